"""A receiver that notes when each request came, as a process of its own.

One thread under epoll; what a request says is read after the measurement.  It
says its port, and when its standard input ends, ``{source id: [seconds, …]}``.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Arrivals:
    """The receiver."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._open: dict[int, tuple[socket.socket, bytearray]] = {}
        self._seen: list[tuple[float, bytes]] = []
        self.port: int = self._listener.getsockname()[1]

    def run_until(self, end: int) -> None:
        """Serve until there is something to read from ``end``."""
        self._epoll.register(end, select.EPOLLIN)
        while True:
            for fd, _ in self._epoll.poll():
                if fd == end:
                    return
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(fd)

    def by_id(self) -> dict[str, list[float]]:
        """Return when each event came, by the gateway's id."""
        came: dict[str, list[float]] = {}
        for when, body in self._seen:
            came.setdefault(json.loads(body)["id"], []).append(when)
        return came

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection.fileno()] = connection, bytearray()
        self._epoll.register(connection, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        connection, buffer = self._open[fd]
        data = connection.recv(65536)
        now = time.monotonic()
        if not data:
            self._epoll.unregister(fd)
            connection.close()
            del self._open[fd]
            return
        buffer += data
        while (body := _take(buffer)) is not None:
            self._seen.append((now, body))
            connection.sendall(_ANSWER)


def _take(buffer: bytearray) -> bytes | None:
    """Return the body of a whole request and remove it, or return None."""
    head = buffer.find(_END)
    if head < 0:
        return None
    fields = bytes(buffer[:head]).lower()
    start = fields.index(_LENGTH) + len(_LENGTH)
    length = int(fields[start:].partition(b"\r\n")[0])
    end = head + len(_END) + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[head + len(_END) : end])
    del buffer[:end]
    return body


def main() -> None:
    """Serve until standard input ends."""
    arrivals = Arrivals()
    sys.stdout.write(f"{arrivals.port}\n")
    sys.stdout.flush()
    arrivals.run_until(sys.stdin.fileno())
    sys.stdout.write(json.dumps(arrivals.by_id()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
