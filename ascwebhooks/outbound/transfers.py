"""One libcurl handle, used for one request after the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pycurl

from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.deliveries import ErrorClass, Outcome, Timings
from ascwebhooks.domain.retry import parse_retry_after
from ascwebhooks.outbound.guard import Guard
from ascwebhooks.outbound.lanes import Lane
from ascwebhooks.outbound.requests import Job, Request
from ascwebhooks.outbound.responses import (
    ERROR_CLASSES,
    KEPT_BODY_BYTES,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    header_value,
    parse_head,
    status_error,
)

#: Connecting may take all the time that an attempt has; none has more than this.
MAX_ATTEMPT_S = 30
MAX_IDLE_S = 60
MAX_LIFETIME_S = 300

#: A longer body is not held by an idle handle.
_HELD_BODY_BYTES = 16 * 1024

#: What a veto looks like to libcurl: refused, or stopped by a callback.
_VETOED_CODES = (pycurl.E_COULDNT_CONNECT, pycurl.E_ABORTED_BY_CALLBACK)

_CUT = "cut"
_HEADERS = "headers"


@dataclass(eq=False, slots=True)
class Attempt:
    """A job on its way: prepared, perhaps waiting for an address, perhaps out.

    ``started`` and ``deadline`` are seconds of the monotonic clock; ``dns_s`` is
    what resolving took; ``waiting`` is whether it is not yet with libcurl, and
    ``placed`` whether it has its address by then.
    """

    job: Job
    lane: Lane
    request: Request
    lines: list[str]
    started: float
    deadline: float
    dns_s: float = 0.0
    waiting: bool = False
    placed: bool = False


class Transfer:
    """A pooled handle with its static options, its guard and what it receives.

    Args:
        policy: Asked by the guard.
        ca_file: PEM file of the authorities that are trusted.
    """

    __slots__ = (
        "_body_bytes",
        "_chunks",
        "_guard",
        "_header_bytes",
        "_lines",
        "_pin",
        "_pinned",
        "_stopped",
        "_timeout_ms",
        "_url",
        "attempt",
        "curl",
        "endless",
    )

    def __init__(self, policy: AddressPolicy, ca_file: str) -> None:
        self.curl = pycurl.Curl()
        self.attempt: Attempt | None = None
        #: Set when the answer went on and on without saying anything.
        self.endless = False
        self._guard = Guard(policy.reason)
        self._url = ""
        self._timeout_ms = 0
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._header_bytes = 0
        self._body_bytes = 0
        self._stopped: str | None = None
        self._set_static_options(ca_file)

    def _set_static_options(self, ca_file: str) -> None:
        curl = self.curl
        options: list[tuple[int, object]] = [
            (pycurl.OPENSOCKETFUNCTION, self._guard.open_socket),
            (pycurl.PREREQFUNCTION, self._guard.before_request),
            (pycurl.HEADERFUNCTION, self._on_header),
            (pycurl.WRITEFUNCTION, self._on_body),
            (pycurl.POST, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            # The environment's proxies would see and choose where we connect.
            (pycurl.PROXY, ""),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.HTTP09_ALLOWED, 0),
            # "identity", and were the answer compressed all the same, it stays so.
            (pycurl.ACCEPT_ENCODING, "identity"),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.CAINFO, ca_file),
            # It bounds what one event can make libcurl read (ten times as much).
            (pycurl.BUFFERSIZE, 4096),
            (pycurl.NOSIGNAL, 1),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.CONNECTTIMEOUT_MS, MAX_ATTEMPT_S * 1000),
            (pycurl.MAXAGE_CONN, MAX_IDLE_S),
            (pycurl.MAXLIFETIME_CONN, MAX_LIFETIME_S),
            # Each request brings its address itself; what is older is forgotten.
            (pycurl.DNS_CACHE_TIMEOUT, MAX_IDLE_S),
        ]
        for option, value in options:
            curl.setopt(option, value)

    def begin(self, attempt: Attempt, pin: str | None, now: float) -> None:
        """Load the handle with ``attempt``; it is then ready for libcurl.

        Args:
            attempt: What to send.
            pin: The RESOLVE entry of its host, None if the host is an address.
            now: Seconds of the monotonic clock.

        Raises:
            pycurl.error: If libcurl refuses something.
            UnicodeError: If a header is not ASCII.
        """
        setopt = self.curl.setopt
        request = attempt.request
        self.attempt = attempt
        url = request.to.url
        if url != self._url:
            setopt(pycurl.URL, url)
            self._url = url
        setopt(pycurl.HTTPHEADER, attempt.lines)
        setopt(pycurl.POSTFIELDS, request.body)
        timeout_ms = max(1, round((attempt.deadline - now) * 1000))
        if timeout_ms != self._timeout_ms:
            setopt(pycurl.TIMEOUT_MS, timeout_ms)
            self._timeout_ms = timeout_ms
        if pin is not None:
            # Each time, though the same may be there: the cache is the whole
            # multi's, and another handle's entry may have taken its place or its
            # time may be over.  libcurl would resolve by itself then.
            setopt(pycurl.RESOLVE, [pin])

    def _on_header(self, line: bytes) -> int | None:
        self._header_bytes += len(line)
        if (
            self._header_bytes > MAX_HEADER_BYTES
            or len(self._lines) >= MAX_HEADER_LINES
        ):
            self._stopped = _HEADERS
            return -1
        self._lines.append(line)
        return None

    def _on_body(self, data: bytes) -> int | None:
        before = self._body_bytes
        self._body_bytes = before + len(data)
        if before < KEPT_BODY_BYTES:
            self._chunks.append(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._stopped = _CUT
            return -1
        return None

    def release(self) -> None:
        """Forget the attempt, so that the handle can take another."""
        if self.attempt and len(self.attempt.request.body) > _HELD_BODY_BYTES:
            # The handle would hold it until its next request.
            self.curl.setopt(pycurl.POSTFIELDS, b"")
        self.attempt = None
        self.endless = False
        self._guard.vetoed = None
        self._guard.failed = None
        self._lines.clear()
        self._chunks.clear()
        self._header_bytes = 0
        self._body_bytes = 0
        self._stopped = None

    def outcome(self, code: int, message: str | None) -> Outcome:
        """Return what came of the attempt.

        Args:
            code: libcurl's result, 0 for a whole answer.
            message: libcurl's words, for the operator.
        """
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        if status < 200 and status != 101:
            status = None
        head = parse_head(self._lines, self._header_bytes)
        headers = head.pairs if status else ()
        error, detail = self._judge(code, message, status, head.complete)
        body = b"".join(self._chunks)[:KEPT_BODY_BYTES]
        return Outcome(
            status,
            error,
            detail,
            _retry_after(status, headers) if error else None,
            headers,
            body,
            self._body_bytes > len(body),
            self._address(),
            self._timings(),
        )

    def _judge(
        self, code: int, message: str | None, status: int | None, complete: bool
    ) -> tuple[ErrorClass | None, str | None]:
        if code == 0 or self._stopped is _CUT:
            if status is not None and complete:
                return status_error(status), None
            return ErrorClass.BROKEN_RESPONSE, "the answer ended within its headers"
        return self._our_doing(code, message) or (
            ERROR_CLASSES.get(code, ErrorClass.INTERNAL),
            message,
        )

    def _our_doing(
        self, code: int, message: str | None
    ) -> tuple[ErrorClass, str | None] | None:
        """Return what it was that libcurl did not decide alone, if it was that."""
        guard = self._guard
        if guard.vetoed is not None and code in _VETOED_CODES:
            return ErrorClass.BLOCKED_ADDRESS, guard.vetoed
        if guard.failed is not None:
            return ErrorClass.INTERNAL, guard.failed
        if self._stopped is _HEADERS:
            return ErrorClass.HEADERS_TOO_LARGE, message
        if self.endless:
            return ErrorClass.BROKEN_RESPONSE, "the answer went on without content"
        if code == pycurl.E_OPERATION_TIMEDOUT and not self._connected():
            return ErrorClass.CONNECT_TIMEOUT, message
        return None

    def _connected(self) -> bool:
        return bool(self.curl.getinfo(pycurl.CONNECT_TIME) > 0)

    def _address(self) -> str | None:
        ip = self.curl.getinfo(pycurl.PRIMARY_IP)
        if not ip:
            return None
        port = self.curl.getinfo(pycurl.PRIMARY_PORT)
        return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"

    def _timings(self) -> Timings:
        getinfo = self.curl.getinfo
        dns_s = self.attempt.dns_s if self.attempt else 0.0
        dns_ms = dns_s * 1000
        tls_s = getinfo(pycurl.APPCONNECT_TIME)
        first_s = getinfo(pycurl.STARTTRANSFER_TIME)
        connect_s = getinfo(pycurl.CONNECT_TIME)
        return Timings(
            dns_ms + getinfo(pycurl.NAMELOOKUP_TIME) * 1000,
            dns_ms + connect_s * 1000 if connect_s else None,
            dns_ms + tls_s * 1000 if tls_s else None,
            dns_ms + first_s * 1000 if first_s else None,
            dns_ms + getinfo(pycurl.TOTAL_TIME) * 1000,
        )


def _retry_after(
    status: int | None, headers: tuple[tuple[str, str], ...]
) -> timedelta | None:
    """Return what a failed answer asks for; a success has nothing to ask."""
    if status is None or status_error(status) is None:
        return None
    value = header_value(headers, "retry-after")
    return parse_retry_after(value, datetime.now(UTC)) if value else None
