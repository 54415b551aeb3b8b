"""Gunicorn, started from within: one process of threads behind its arbiter."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.gthread import ThreadWorker

from ascwebhooks.web import errors

#: Of method, path and query, in bytes: the most that gunicorn takes.  By default it is
#: half of that; a filter in a script other than Latin is escaped to thrice its size.
MAX_REQUEST_LINE_BYTES = 8_190
_READ_BYTES = 16_384
#: What gunicorn refuses before there is a request that the application could see.
_REFUSALS = {
    LimitRequestLine: (
        HTTPStatus.REQUEST_URI_TOO_LONG,
        f"The URL is too long: at most {MAX_REQUEST_LINE_BYTES:,} bytes with the"
        " method. Take filters away.",
    ),
    LimitRequestHeaders: (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too long or too many.",
    ),
}


class _Patience(NamedTuple):
    """How much of what was answered unread is read, and waited for how long."""

    bytes: int
    pause_s: float
    total_s: float


_FOR_HEAD = _Patience(65_536, 0.25, 1.0)
_FOR_BODY = _Patience(16 * 1024 * 1024, 1.0, 5.0)


class _Server(BaseApplication):
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()


class Worker(ThreadWorker):
    """Answers what is too long as the application answers: with problem details."""

    def handle_error(
        self, req: Any, client: socket.socket, addr: Any, exc: BaseException
    ) -> None:
        """Answer a request that could not be read."""
        refusal = _REFUSALS.get(type(exc))
        if refusal is None:
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            client.settimeout(_FOR_HEAD.pause_s)
            client.sendall(_answer(*refusal))
            _read_on(client, _FOR_HEAD)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Serve a request; return whether the connection is to be used again.

        Where it is not, gunicorn reads on a little.  A body that was refused for its
        length is longer than that.
        """
        again = bool(super().handle_request(req, conn))
        if not again:
            with suppress(OSError, ParseException):
                conn.sock.settimeout(_FOR_BODY.pause_s)
                if req.body.read(1):
                    _read_on(conn.sock, _FOR_BODY)
        return again


def _read_on(client: socket.socket, patience: _Patience) -> None:
    """Read what is still being sent.

    Closed with something unread, a connection is reset, and the answer is lost.

    Raises:
        OSError: If nothing more came, or the connection is gone.
    """
    client.settimeout(patience.pause_s)
    client.shutdown(socket.SHUT_WR)
    left, last = patience.bytes, time.monotonic() + patience.total_s
    while left > 0 and time.monotonic() < last:
        received = len(client.recv(_READ_BYTES))
        if not received:
            break
        left -= received


def _answer(status: HTTPStatus, detail: str) -> bytes:
    code = status.name.lower()
    body = json.dumps(errors.details(status, code, detail)).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: {errors.PROBLEM_TYPE}\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode() + body


def serve(make_app: Callable[[], Flask], bind: str) -> None:
    """Serve until told to stop.

    Args:
        make_app: Called in each worker process, after the fork.
        bind: ``host:port``.
    """
    options = {
        "bind": bind,
        "worker_class": f"{__name__}.{Worker.__name__}",
        "workers": 1,
        "threads": 8,
        "graceful_timeout": 20,
        "timeout": 60,
        "limit_request_line": MAX_REQUEST_LINE_BYTES,
        "accesslog": None,
        "loglevel": "warning",
        "proc_name": "ascwebhooks-web",
    }
    _Server(make_app, options).run()
