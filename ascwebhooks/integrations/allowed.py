"""What of a gateway's record may be kept: values of a known shape, never free text.

A record holds prompts, answers, e-mail addresses and tracebacks, and so may any field
that a client fills in as it likes.  What is not plainly an identifier is therefore
replaced by its digest: it still tells one user from another, and tells nobody who.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from typing import Any

MAX_TAGS = 32

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/|=+-]{0,127}\Z")
# A version after '@' is part of a model's name; a host after it is an e-mail address.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/|=+-]{0,199}(@[A-Za-z0-9-]{1,40})?\Z")
_CODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_ROUTE = re.compile(r"/[A-Za-z0-9._/{}:-]{0,127}\Z")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,127}\Z")
_MAX_DIGITS = 40


class NotMapped(Exception):
    """A record is not what it should be; the message holds nothing of it."""


def identifier(value: Any) -> str | None:
    """Return an identifier; what may name somebody, or be a key, as a digest."""
    text = _text(value)
    if text is None:
        return None
    if _IDENTIFIER.match(text) and not (_is_address(text) or _is_secret(text)):
        return text
    return pseudonym(text)


def model(value: Any) -> str | None:
    """Return a model's name; whatever else a client asked for, as a digest."""
    text = _text(value)
    if text is None or _MODEL.match(text):
        return text
    return pseudonym(text)


def code(value: Any) -> str | None:
    """Return an error's class or code; None if it is anything else."""
    text = _text(value)
    return text if text is not None and _CODE.match(text) else None


def route(value: Any) -> str | None:
    """Return a path of the gateway's own; None if it is anything else."""
    text = _text(value)
    return text if text is not None and _ROUTE.match(text) else None


def tags(values: Any) -> list[str]:
    """Return the tags that are single words, each once, ``MAX_TAGS`` at most."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | dict):
        return []
    plain = (each for each in values if isinstance(each, str) and _TAG.match(each))
    return list(dict.fromkeys(plain))[:MAX_TAGS]


def money(value: Any) -> str | None:
    """Return an amount as it was written, in plain digits; None if it is none.

    A float is taken by its shortest decimal form, which is what whoever made it
    would read: 5.1e-06 is 0.0000051, and no sum of such amounts is ever rounded.
    """
    number = _decimal(value)
    if number is None or not number.is_finite():
        return None
    if abs(number.adjusted()) > _MAX_DIGITS or len(number.as_tuple().digits) > (
        _MAX_DIGITS
    ):
        return None
    return format(number, "f")


def number(value: Any) -> float | None:
    """Return a finite number; None if it is none."""
    found = _decimal(value)
    if found is None or not found.is_finite():
        return None
    try:
        result = float(found)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def count(value: Any) -> int | None:
    """Return a count; None if it is none, or negative."""
    found = number(value)
    if found is None or found < 0 or found > 2**53 or found != int(found):
        return None
    return int(found)


def http_status(value: Any) -> int | None:
    """Return an HTTP status; None if it is none."""
    found = count(value)
    return found if found is not None and 100 <= found <= 999 else None


def moment(value: Any, unit_s: float = 1.0) -> str | None:
    """Return a time in RFC 3339 with milliseconds; None if it is none.

    Args:
        value: Since 1970, in UTC.
        unit_s: How long one of its units is, in seconds.
    """
    found = number(value)
    if found is None:
        return None
    try:
        when = datetime.fromtimestamp(found * unit_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, or one without anything in it."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> list[Any]:
    """Return a list, or one without anything in it."""
    return value if isinstance(value, list) else []


def pseudonym(text: str) -> str:
    """Return what stands for a text that may not be kept."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"sha256:{digest[:32]}"


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(repr(value) if isinstance(value, float) else value)
    except (DecimalException, ValueError):
        return None


def _is_secret(text: str) -> bool:
    """Return whether a text looks like an API key that nobody hashed."""
    return text.startswith(("sk-", "Bearer", "eyJ"))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
