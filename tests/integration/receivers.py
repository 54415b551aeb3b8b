"""Receivers on loopback that behave, or misbehave, exactly as a test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    """Accept connections; a thread for each runs ``script(receiver, connection)``.

    ``closing`` is set when the test is over: a script that waits, waits on it.
    """

    def __init__(
        self,
        script: Callable[[Receiver, socket.socket], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.connections = 0
        self.requests: list[bytes] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._script = script
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self.host, self.port = self._listener.getsockname()[:2]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self.lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a receiver's script does not end"

    def url(self, path: str = "/hook", host: str | None = None) -> str:
        scheme = "https" if self._tls else "http"
        host = host or self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{path}"

    def read_request(self, connection: socket.socket) -> bytes:
        """Return one whole request, or b"" if the peer has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65536)
        request = head + b"\r\n\r\n" + body
        with self.lock:
            self.requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return request

    def answered(self) -> None:
        """Count one request as no longer in flight; call before answering."""
        with self.lock:
            self.in_flight -= 1

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        used = connection
        try:
            connection.settimeout(30)
            if self._tls:
                used = self._tls.wrap_socket(connection, server_side=True)
                with self.lock:
                    self._open.discard(connection)
                    self._open.add(used)
            self._script(self, used)
        except OSError:
            pass  # the peer went away, as it should from a misbehaving receiver
        finally:
            with self.lock:
                self._open.discard(connection)
                self._open.discard(used)
            used.close()
            connection.close()


def answer(*parts: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Answer the first request with ``parts`` and close the connection."""

    def script(receiver: Receiver, connection: socket.socket) -> None:
        if receiver.read_request(connection):
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    return script


def keep_alive(response: bytes = OK) -> Callable[[Receiver, socket.socket], None]:
    """Answer each request on the connection with ``response``."""

    def script(receiver: Receiver, connection: socket.socket) -> None:
        while receiver.read_request(connection):
            receiver.answered()
            connection.sendall(response)

    return script


def gated(gate: threading.Semaphore) -> Callable[[Receiver, socket.socket], None]:
    """Answer each request once the gate lets it."""

    def script(receiver: Receiver, connection: socket.socket) -> None:
        while receiver.read_request(connection):
            while not gate.acquire(timeout=0.05):
                if receiver.closing.is_set():
                    return
            receiver.answered()
            connection.sendall(OK)

    return script


def endless(
    head: bytes, chunk: bytes, every_s: float = 0.0
) -> Callable[[Receiver, socket.socket], None]:
    """Answer with ``head``, then with ``chunk`` again and again."""

    def script(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(head)
        while not receiver.closing.is_set():
            connection.sendall(chunk)
            if every_s:
                receiver.closing.wait(every_s)

    return script


def silent(receiver: Receiver, connection: socket.socket) -> None:
    """Read the request and never answer."""
    receiver.read_request(connection)
    receiver.closing.wait(30)
