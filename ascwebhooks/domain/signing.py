"""Standard Webhooks 1.0 signatures: HMAC-SHA256 over ``id.timestamp.body``."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from ascwebhooks.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32


class SignatureInvalid(InvalidInput):
    """No signature in the request is one of ours, or it is too old."""

    code = "signature_invalid"


def format_secret(key: bytes) -> str:
    """Return the secret as it is shown, once: ``whsec_`` and base64."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def parse_secret(text: str) -> bytes:
    """Return the key in a secret.

    Raises:
        InvalidInput: If it is not ``whsec_`` and base64, or holds no key at all:
            anybody could sign with that.
    """
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("a secret is 'whsec_' and base64.") from error
    if not key:
        raise InvalidInput("a secret is 'whsec_' and base64; this one is empty.")
    return key


def hint(secret: str) -> str:
    """Return what may be shown of a secret later: its last four characters."""
    return f"{SECRET_PREFIX}…{secret[-4:]}"


def sign(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``.

    Args:
        keys: The endpoint's signing keys that are in force, the newest first;
            several while a rotation overlaps.
        message_id: Value of ``webhook-id``.
        timestamp: Value of ``webhook-timestamp``, seconds since 1970.
        body: The bytes that are sent.

    Source:
        Standard Webhooks 1.0, "Signature scheme" (symmetric, ``v1``).
    """
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join("v1," + _mac(key, content) for key in keys)


def _mac(key: bytes, content: bytes) -> str:
    digest = hmac.digest(key, content, "sha256")
    return binascii.b2a_base64(digest, newline=False).decode()


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = timedelta(minutes=5),
) -> None:
    """Raise unless the request was signed with ``secret`` and is recent.

    Args:
        secret: ``whsec_`` and base64.
        headers: The request's headers, in any case.
        body: Its body, byte for byte.
        now: The receiver's time, aware.
        tolerance: How far the timestamp may be off, either way.

    Raises:
        SignatureInvalid: If a header is missing, the time is off or nothing matches.
        InvalidInput: If the secret is malformed.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = given["webhook-id"]
        message_id.encode()
        timestamp = int(given["webhook-timestamp"])
        signatures = given["webhook-signature"].split()
    except (KeyError, ValueError) as error:
        raise SignatureInvalid(f"header missing or malformed: {error}") from error
    try:
        sent = datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SignatureInvalid(f"webhook-timestamp {timestamp} is no time") from error
    if abs(now - sent) > tolerance:
        raise SignatureInvalid(f"webhook-timestamp {timestamp} is too far from now")
    expected = sign([parse_secret(secret)], message_id, timestamp, body)
    if not any(_same(expected, each) for each in signatures):
        raise SignatureInvalid("no signature matches")


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
