"""What an answer amounts to: header lines and libcurl's word made into values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pycurl

from ascwebhooks.domain.deliveries import ErrorClass

#: How much of an answer is taken at all, and how much of it is kept.
MAX_BODY_BYTES = 64 * 1024
KEPT_BODY_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADER_LINES = 1000
KEPT_HEADERS = 100
KEPT_HEADER_BYTES = 16 * 1024

_END = (b"\r\n", b"\n")

#: libcurl's codes by what they mean here; what is not listed is INTERNAL.
ERROR_CLASSES: dict[int, ErrorClass] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: ErrorClass.BROKEN_RESPONSE,  # HTTP/0.9
    pycurl.E_URL_MALFORMAT: ErrorClass.INVALID_REQUEST,
    pycurl.E_COULDNT_RESOLVE_HOST: ErrorClass.DNS_ERROR,
    pycurl.E_COULDNT_CONNECT: ErrorClass.CONNECT_ERROR,
    8: ErrorClass.BROKEN_RESPONSE,  # CURLE_WEIRD_SERVER_REPLY
    16: ErrorClass.BROKEN_RESPONSE,  # CURLE_HTTP2
    pycurl.E_PARTIAL_FILE: ErrorClass.BROKEN_RESPONSE,
    pycurl.E_OPERATION_TIMEDOUT: ErrorClass.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: ErrorClass.TLS_ERROR,
    pycurl.E_GOT_NOTHING: ErrorClass.BROKEN_RESPONSE,
    pycurl.E_SSL_ENGINE_NOTFOUND: ErrorClass.TLS_ERROR,
    pycurl.E_SEND_ERROR: ErrorClass.BROKEN_RESPONSE,
    pycurl.E_RECV_ERROR: ErrorClass.BROKEN_RESPONSE,
    pycurl.E_SSL_CERTPROBLEM: ErrorClass.TLS_ERROR,
    pycurl.E_SSL_CIPHER: ErrorClass.TLS_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION: ErrorClass.TLS_ERROR,
    pycurl.E_BAD_CONTENT_ENCODING: ErrorClass.BROKEN_RESPONSE,
    64: ErrorClass.TLS_ERROR,  # CURLE_USE_SSL_FAILED
    80: ErrorClass.TLS_ERROR,  # CURLE_SSL_SHUTDOWN_FAILED
    83: ErrorClass.TLS_ERROR,  # CURLE_SSL_ISSUER_ERROR
    90: ErrorClass.TLS_ERROR,  # CURLE_SSL_PINNEDPUBKEYNOTMATCH
    91: ErrorClass.TLS_ERROR,  # CURLE_SSL_INVALIDCERTSTATUS
    98: ErrorClass.TLS_ERROR,  # CURLE_SSL_CLIENTCERT
    100: ErrorClass.HEADERS_TOO_LARGE,  # CURLE_TOO_LARGE
}


def status_error(status: int) -> ErrorClass | None:
    """Return what a whole answer with ``status`` is: only 2xx is no error."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return ErrorClass.REDIRECT
    return ErrorClass.HTTP_STATUS


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's headers; ``complete`` is whether their end was seen."""

    pairs: tuple[tuple[str, str], ...]
    complete: bool


def parse_head(lines: list[bytes], total_bytes: int) -> Head:
    """Return the headers of the answer that ``lines`` end with.

    Args:
        lines: All that libcurl saw, from a status line on: interim answers
            (1xx), the answer, and trailers after its body.
        total_bytes: How long they are.
    """
    if total_bytes <= _REMEMBERED_BYTES:
        return _remembered_head(tuple(lines))
    return _head(lines)


def _head(lines: Sequence[bytes]) -> Head:
    start = 0
    while start < len(lines) and _is_interim(lines[start]):
        start = _end_of_block(lines, start) + 1
    end = _end_of_block(lines, start)
    return Head(_pairs(lines[start + 1 : end]), complete=end < len(lines))


# Most answers that a receiver gives within one second differ in nothing.
_REMEMBERED_BYTES = 2048
_remembered_head = lru_cache(maxsize=1024)(_head)


def _is_interim(line: bytes) -> bool:
    status = line.split(None, 2)[1:2]
    # 101 would be final: nothing was offered to switch to.
    return bool(status) and status[0].startswith(b"1") and status[0] != b"101"


def _end_of_block(lines: Sequence[bytes], start: int) -> int:
    for index in range(start, len(lines)):
        if lines[index] in _END:
            return index
    return len(lines)


def _pairs(lines: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """Return names and values, at most 100 and 16 KiB of them."""
    pairs: list[tuple[str, str]] = []
    room = KEPT_HEADER_BYTES
    for line in lines[:KEPT_HEADERS]:
        room -= len(line)
        if room < 0:
            break
        text = line.decode("latin-1")
        if text[0] in " \t" and pairs:
            # RFC 9112 §5.2: a folded line continues the one before it.
            name, value = pairs[-1]
            pairs[-1] = name, f"{value} {text.strip()}"
        else:
            name, _, value = text.partition(":")
            pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def header_value(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Return the first value of ``name`` (lower case), or None."""
    return next((value for key, value in headers if key.lower() == name), None)
