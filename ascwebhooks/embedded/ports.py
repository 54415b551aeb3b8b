"""Ports on the loopback address that stay ours over restarts."""

from __future__ import annotations

import http.client
import random
import socket

from ascwebhooks.errors import Unavailable

HOST = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections (32768 and up), so
# that ours is still free after a restart.
_PORTS = range(20_000, 32_000)
_ANSWER_TIMEOUT_S = 2


def choose(former: int | None = None) -> int:
    """Return a free port: the former one, if it still is.

    Raises:
        Unavailable: If none is free.
    """
    if former and is_free(former):
        return former
    for port in random.sample(_PORTS, 200):
        if is_free(port):
            return port
    raise Unavailable(f"No port of {_PORTS.start}-{_PORTS.stop} is free on {HOST}.")


def is_free(port: int) -> bool:
    """Return whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True


def reachable(bind: str) -> str:
    """Return the ``host:port`` at which this machine reaches a server on ``bind``."""
    host, _, port = bind.rpartition(":")
    return f"{HOST if host == '0.0.0.0' else host}:{port}"  # noqa: S104  (compared)


def answers(bind: str, path: str) -> bool:
    """Return whether a server on ``bind`` answers ``GET path`` with 200 now."""
    connection = http.client.HTTPConnection(reachable(bind), timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
