"""What an answer amounts to: header lines and libcurl's word made into values."""

from __future__ import annotations

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


def final_block(lines: list[bytes]) -> tuple[list[bytes], bool]:
    """Return the last answer's header lines, and whether they are complete.

    ``lines`` begin with a status line and hold everything that libcurl saw:
    interim answers (1xx), the answer, and trailers after its body.  The lines
    returned are without status line, end and trailers.
    """
    if lines and lines[-1] in _END and not _is_interim(lines[0]):
        end = lines.index(lines[-1])
        return lines[1:end], True
    start = 0
    while start < len(lines) and _is_interim(lines[start]):
        start = _end_of_block(lines, start) + 1
    end = _end_of_block(lines, start)
    return lines[start + 1 : end], end < len(lines)


def _is_interim(line: bytes) -> bool:
    status = line.split(None, 2)[1:2]
    # 101 would be final: nothing was offered to switch to.
    return bool(status) and status[0].startswith(b"1") and status[0] != b"101"


def _end_of_block(lines: list[bytes], start: int) -> int:
    for index in range(start, len(lines)):
        if lines[index] in _END:
            return index
    return len(lines)


def header_pairs(lines: list[bytes]) -> tuple[tuple[str, str], ...]:
    """Return names and values, at most 100 and 16 KiB of them."""
    pairs: list[tuple[str, str]] = []
    room = KEPT_HEADER_BYTES
    for line in lines[:KEPT_HEADERS]:
        room -= len(line)
        if room < 0:
            break
        if line[:1] in (b" ", b"\t") and pairs:
            # RFC 9112 §5.2: a folded line continues the one before it.
            name, value = pairs[-1]
            pairs[-1] = name, f"{value} {line.decode('latin-1').strip()}"
        else:
            pairs.append(_cached_pair(line) if len(line) < 256 else _pair(line))
    return tuple(pairs)


def _pair(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.strip(), value.strip()


# Most answers of one second differ in no line.
_cached_pair = lru_cache(maxsize=4096)(_pair)


def header_value(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Return the first value of ``name`` (lower case), or None."""
    return next((value for key, value in headers if key.lower() == name), None)
