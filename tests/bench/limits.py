"""``limit``: what one process can send at all, signing included.

``bare`` is libcurl's multi interface and nothing else; ``sender`` is ours, with
its guard, its lanes and its deadlines.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import pycurl

from ascwebhooks.domain import signing
from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.deliveries import Outcome
from ascwebhooks.outbound.loop import Lane, Request, Sender
from ascwebhooks.outbound.requests import Destination
from tests.bench import events
from tests.bench.failures import BenchFailed

WINDOW = 64
KEY = b"k" * 32


def _signed(number: int, body: bytes) -> list[str]:
    message_id = f"evt_{number:026d}"
    timestamp = int(time.time())
    signature = signing.sign([KEY], message_id, timestamp, body)
    return [
        "content-type: application/json",
        f"webhook-id: {message_id}",
        f"webhook-timestamp: {timestamp}",
        f"webhook-signature: {signature}",
    ]


class Bare:
    """The bare loop: ``WINDOW`` handles that are used again and again."""

    def __init__(self, url: str, total: int) -> None:
        self._body = events.make("bench-0", "bench.0", "limit-000000")
        self._total = total
        self._begun = 0
        self._done = 0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * WINDOW)
        self._handles = [self._handle(url) for _ in range(WINDOW)]

    def _handle(self, url: str) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, self._body)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.TIMEOUT_MS, 15_000)
        curl.setopt(pycurl.WRITEFUNCTION, lambda data: None)
        return curl

    def run(self) -> float:
        """Send all of it; return requests a second."""
        began = time.monotonic()
        for curl in self._handles:
            self._begin(curl)
        while self._done < self._total:
            self._multi.perform()
            self._finish()
            if self._done < self._total:
                self._multi.select(1.0)
        return self._total / (time.monotonic() - began)

    def _begin(self, curl: pycurl.Curl) -> None:
        if self._begun < self._total:
            curl.setopt(pycurl.HTTPHEADER, _signed(self._begun, self._body))
            self._begun += 1
            self._multi.add_handle(curl)

    def _finish(self) -> None:
        left = 1
        while left:
            left, whole, failed = self._multi.info_read(WINDOW)
            if failed:
                raise BenchFailed(f"limit: a request failed: {failed[0][2]}")
            for curl in whole:
                self._done += 1
                self._multi.remove_handle(curl)
                self._begin(curl)


class _Job:
    def __init__(
        self, number: int, to: Destination, body: bytes, done: Callable[[], None]
    ) -> None:
        self._number, self._to, self._body, self._done = number, to, body, done

    def prepare(self) -> Request:
        return Request(self._to, _signed(self._number, self._body), self._body)

    def done(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self._done()


def bare(url: str, total: int) -> float:
    """Return requests a second of the bare loop."""
    return Bare(url, total).run()


def sender(url: str, total: int) -> float:
    """Return requests a second of our sender, one lane of the same window."""
    port = int(url.split(":")[2].rstrip("/"))
    body = events.make("bench-0", "bench.0", "limit-000000")
    finished, done = Event(), [0]

    def count() -> None:
        done[0] += 1
        if done[0] == total:
            finished.set()

    loop = Sender(AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),)))
    loop.start()
    to = Destination(url, "127.0.0.1", port, [], timedelta(seconds=15), "bench-0")
    jobs = [_Job(number, to, body, count) for number in range(total)]
    began = time.monotonic()
    loop.submit(Lane(WINDOW, WINDOW), jobs)
    whole = finished.wait(60)
    took = time.monotonic() - began
    loop.stop(1.0)
    if not whole:
        raise BenchFailed(f"limit: {total - done[0]} of the sender's requests failed")
    return total / took
