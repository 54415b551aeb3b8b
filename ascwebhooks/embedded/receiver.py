"""A webhook receiver for one machine: verifies, reports, and fails on request.

It is a real one: a request whose signature is wrong gets 401, and what it
answers is decided before it reports.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from ascwebhooks.errors import InvalidInput

HOST = "127.0.0.1"
Verify = Callable[[Mapping[str, str], bytes], bool]
_MOST_BYTES = 8_000_000
_IDLE_S = 120


@dataclass(frozen=True)
class Received:
    """One request.

    Args:
        path: Where it was sent.
        headers: Its headers, names in lower case.
        body: Its body.
        verified: Whether its signature was right; None: not looked at.
        answered_status: What we answered.
        at: When it came.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes
    verified: bool | None
    answered_status: int
    at: datetime


@dataclass(frozen=True)
class Failure:
    """What to answer instead of success, and how many times; None: always."""

    status: int
    times: int | None = None

    @classmethod
    def parse(cls, text: str) -> Failure:
        """Return the meaning of ``503`` (always) or ``503:3`` (the first three).

        Raises:
            InvalidInput: If it is neither.
        """
        found = re.fullmatch(r"([2-5]\d\d)(?::(\d+))?", text)
        if found is None:
            raise InvalidInput(f"{text!r}: give a status, or status:times as in 503:3")
        return cls(int(found[1]), int(found[2]) if found[2] else None)


def verifier(check: Callable[[Mapping[str, str], bytes], None]) -> Verify:
    """Return a ``Verify`` made of a function that raises ``InvalidInput``."""

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        try:
            check(headers, body)
        except InvalidInput:
            return False
        return True

    return verify


class Receiver:
    """An HTTP/1.1 server in threads of its own.

    ::

        with Receiver(verify={"/a": verify_a}, on_delivery=seen.append) as receiver:
            send_to(f"{receiver.url}/a")

    Args:
        port: Where it listens on the loopback address; 0 is a free one.
        verify: Checks signatures: one function for every path, or one for each
            (other paths are 404; the mapping may grow meanwhile); None checks
            nothing.
        on_delivery: Told of each request, by several threads at once, before
            the sender has its answer.
        failure: What to answer instead of success, for a while or always.
        delay_s: How long to wait before answering.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        verify: Verify | Mapping[str, Verify] | None = None,
        on_delivery: Callable[[Received], None] = lambda _: None,
        failure: Failure | None = None,
        delay_s: float = 0,
    ) -> None:
        self._verify = verify
        self._on_delivery = on_delivery
        self._failure = failure
        self._delay_s = delay_s
        self._failed = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server((HOST, port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="receiver", args=(0.05,)
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close()

    def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take one request; return the status to answer."""
        at = datetime.now(UTC)
        self._closing.wait(self._delay_s)
        verify = self._verify_for(path)
        verified = None if verify is None else verify(headers, body)
        status = self._status(path, verified)
        self._on_delivery(Received(path, headers, body, verified, status, at))
        return status

    def _verify_for(self, path: str) -> Verify | None:
        if isinstance(self._verify, Mapping):
            return self._verify.get(path)
        return self._verify

    def _status(self, path: str, verified: bool | None) -> int:
        if isinstance(self._verify, Mapping) and path not in self._verify:
            return HTTPStatus.NOT_FOUND
        if verified is False:
            return HTTPStatus.UNAUTHORIZED
        return self._told_to_fail() or HTTPStatus.OK

    def _told_to_fail(self) -> int | None:
        if self._failure is None:
            return None
        with self._lock:
            if self._failure.times is not None and self._failed >= self._failure.times:
                return None
            self._failed += 1
        return self._failure.status


class _Server(ThreadingHTTPServer):
    """Keeps hold of its connections, so that closing ends them all."""

    request_queue_size = 1024
    daemon_threads = False  # so that server_close joins them
    # One that is restarted must get its port back at once.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a sender that hangs up is its own business."""

    def close(self) -> None:
        """End every connection, and wait for its thread."""
        with self._lock:
            for each in self._open:
                _hang_up(each)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Reads one request after another from a connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def do_POST(self) -> None:
        """Take a delivery."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.LENGTH_REQUIRED)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(self.server.receiver.handle(self.path, headers, body))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: ``on_delivery`` is told."""

    def _answer(self, status: int) -> None:
        self.send_response_only(status)
        self.send_header("content-length", "0")
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it had hung up already
        connection.shutdown(socket.SHUT_RDWR)
