"""The last word on where a connection goes, given to libcurl."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pycurl

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_BAD: int = pycurl.SOCKET_BAD
_GO: int = pycurl.PREREQFUNC_OK
_ABORT: int = pycurl.PREREQFUNC_ABORT


class Guard:
    """Ask the address policy before each connection and before each request.

    ``open_socket`` sees every new connection's address, ``before_request`` also
    those of connections that are used again.  To libcurl a veto looks like a
    refused connection, hence ``vetoed``, which says what was vetoed and why.
    ``failed`` says what went wrong on this side.

    Args:
        reason: ``AddressPolicy.reason``: why an address may not be reached.
    """

    __slots__ = ("_reason", "failed", "vetoed")

    def __init__(self, reason: Callable[[str], str | None]) -> None:
        self._reason = reason
        self.vetoed: str | None = None
        self.failed: str | None = None

    def open_socket(self, purpose: int, address: pycurl.CurlSockAddr) -> int:
        """Return a socket for ``address``, or libcurl's word for none."""
        try:
            if address.family not in _FAMILIES:
                self.vetoed = "neither IPv4 nor IPv6"
                return _BAD
            host = str(address.addr[0])
            why = self._reason(host)
            if why is not None:
                self.vetoed = f"{host}: {why}"
                return _BAD
            return socket.socket(
                address.family, address.socktype, address.protocol
            ).detach()
        except Exception as error:  # noqa: BLE001 (libcurl is the caller)
            self.failed = f"no socket: {error!r}"
            return _BAD

    def before_request(
        self, host: str, local_host: str, port: int, local_port: int
    ) -> int:
        """Return whether a request may go out on a connection to ``host``."""
        try:
            why = self._reason(host)
        except Exception as error:  # noqa: BLE001 (libcurl is the caller)
            self.failed = f"no verdict: {error!r}"
            return _ABORT
        if why is None:
            return _GO
        self.vetoed = f"{host}: {why}"
        return _ABORT
