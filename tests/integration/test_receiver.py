"""The built-in receiver, asked by a client that keeps its connection."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ascwebhooks.domain import signing
from ascwebhooks.embedded.receiver import Failure, Received, Receiver, verifier
from ascwebhooks.errors import InvalidInput

SECRETS = {
    "/a": signing.format_secret(b"a" * 32),
    "/b": signing.format_secret(b"b" * 32),
}


def check(secret: str):
    return verifier(
        lambda headers, body: signing.verify(secret, headers, body, datetime.now(UTC))
    )


def signed(secret: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": signing.sign(
            [signing.parse_secret(secret)], "evt_1", now, body
        ),
    }


def post(port: int, path="/", body=b"{}", headers=None, times=1) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    statuses = []
    try:
        for _ in range(times):
            connection.request("POST", path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    finally:
        connection.close()
    return statuses


@pytest.mark.parametrize(
    ("path", "secret", "status", "verified"),
    [
        pytest.param("/a", SECRETS["/a"], 200, True, id="right"),
        pytest.param("/b", SECRETS["/a"], 401, False, id="another path's secret"),
        pytest.param("/c", SECRETS["/a"], 404, None, id="unknown path"),
    ],
)
def test_verifies_with_the_secret_of_the_path(path, secret, status, verified):
    seen: list[Received] = []
    verify = {each: check(known) for each, known in SECRETS.items()}
    with Receiver(verify=verify, on_delivery=seen.append) as receiver:
        assert post(receiver.port, path, b'{"n":1}', signed(secret, b'{"n":1}')) == [
            status
        ]

    (delivery,) = seen
    assert (delivery.path, delivery.body) == (path, b'{"n":1}')
    assert (delivery.verified, delivery.answered_status) == (verified, status)
    assert delivery.headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("text", "statuses"),
    [("503:3", [503, 503, 503, 200, 200]), ("410", [410] * 5)],
)
def test_fails_as_it_is_told(text, statuses):
    with Receiver(failure=Failure.parse(text)) as receiver:
        assert post(receiver.port, times=5) == statuses


@pytest.mark.parametrize("text", ["", "503:", "99", "600", "503:x", "x:3", "503:3:3"])
def test_a_failure_that_means_nothing_is_refused(text):
    with pytest.raises(InvalidInput):
        Failure.parse(text)


def test_answers_late_when_told_to():
    with Receiver(delay_s=0.3) as receiver:
        began = time.monotonic()
        post(receiver.port)
        assert time.monotonic() - began >= 0.3


def test_ends_at_once_with_connections_open_and_leaves_no_thread():
    before = set(threading.enumerate())
    with Receiver(delay_s=60) as receiver:
        idle = socket.create_connection(("127.0.0.1", receiver.port))
        busy = socket.create_connection(("127.0.0.1", receiver.port))
        busy.sendall(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        began = time.monotonic()
    took_s = time.monotonic() - began
    idle.close()
    busy.close()

    assert took_s < 5
    assert set(threading.enumerate()) <= before


class Bare(BaseHTTPRequestHandler):
    """Looks at nothing, and answers at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def bare() -> Iterator[int]:
    """A server of the library's by itself; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bare) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def took_s(port: int) -> float:
    """Return how long four senders on kept connections take for 100 each."""
    arguments = (port, "/a", b"{}", signed(SECRETS["/a"], b"{}"), 100)
    senders = [threading.Thread(target=post, args=arguments) for _ in range(4)]
    began = time.monotonic()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return time.monotonic() - began


def test_nothing_holds_requests_up():
    """Twice as long as without looking at anything is usual; an answer that waits for
    an acknowledgement, or for a look round, takes a hundred times as long.
    """
    with Receiver(verify={"/a": check(SECRETS["/a"])}) as receiver, bare() as port:
        rounds = [(took_s(receiver.port), took_s(port)) for _ in range(5)]
    ours, theirs = (min(each) for each in zip(*rounds, strict=True))
    assert ours < 8 * theirs
