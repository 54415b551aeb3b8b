"""A tenant's own headers, which go out with each of an endpoint's deliveries."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ascwebhooks.errors import InvalidInput

MAX_HEADERS = 20
MAX_TOTAL_BYTES = 8 * 1024

#: Headers that frame the message or steer the connection, and those that the
#: sender itself sets.
REFUSED_NAMES = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "traceparent",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
REFUSED_PREFIXES = ("proxy-", "webhook-", "ce-")

_NAME = re.compile(r"[!#$%&'*+.^_|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return ``headers`` as they will be sent, values stripped of outer blanks.

    Args:
        headers: Names and values as the tenant gave them.

    Raises:
        InvalidInput: If one cannot be sent, is reserved or given twice, or if
            there are more than 20 of them or more than 8 KiB; the message names
            the header and never shows a value, which may be a credential.

    Source:
        RFC 9110 §5.1 and §5.5, without obs-text and the backtick.
    """
    if len(headers) > MAX_HEADERS:
        raise InvalidInput(
            f"headers: {len(headers)} given; at most {MAX_HEADERS} are allowed.",
            field="headers",
        )
    checked: dict[str, str] = {}
    seen: set[str] = set()
    total_bytes = 0
    for name, value in headers.items():
        _check_name(name)
        if name.lower() in seen:
            raise _refusal(name, "is given twice; case makes no difference.")
        seen.add(name.lower())
        checked[name] = _checked_value(name, value)
        total_bytes += len(name) + len(checked[name]) + len(": \r\n")
        if total_bytes > MAX_TOTAL_BYTES:
            raise _refusal(
                name, f"takes the headers beyond {MAX_TOTAL_BYTES} bytes in all."
            )
    return checked


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refusal(name, "is not a valid header name.")
    lower = name.lower()
    if lower in REFUSED_NAMES or lower.startswith(REFUSED_PREFIXES):
        raise _refusal(name, "is set by the sender and cannot be chosen.")


def _checked_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refusal(name, "has a value that is not text.")
    if not _VALUE.fullmatch(value):
        raise _refusal(
            name, "has a value with something other than visible ASCII, space and tab."
        )
    return value.strip(" \t")


def _refusal(name: object, problem: str) -> InvalidInput:
    shown = ascii(name if isinstance(name, str) else str(name))[:100]
    return InvalidInput(f"headers: {shown} {problem}", field="headers", header=shown)
