"""Standard Webhooks 1.0 signatures over ``id.timestamp.body``.

``v1`` is HMAC-SHA256 with a secret that both sides hold.  ``v1a`` is Ed25519: the
private key never leaves us, and whoever has the public one can verify.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from ascwebhooks.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
PUBLIC_PREFIX = "whpk_"
#: Of an HMAC secret as of an Ed25519 private key.
SECRET_BYTES = 32

SigningKey = bytes | Ed25519PrivateKey


class Scheme(StrEnum):
    """How an endpoint's requests are signed."""

    HMAC = "v1"
    ED25519 = "v1a"


class SignatureInvalid(InvalidInput):
    """No signature in the request is one of ours, or it is too old."""

    code = "signature_invalid"


def format_secret(key: bytes) -> str:
    """Return the secret as it is shown, once: ``whsec_`` and base64."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signing_key(scheme: str, key: bytes) -> SigningKey:
    """Return what signs: the key itself, or the private key in these 32 bytes."""
    if scheme == Scheme.ED25519:
        return Ed25519PrivateKey.from_private_bytes(key)
    return key


def public_key(key: bytes) -> bytes:
    """Return the public key, 32 bytes, of a private one."""
    private = Ed25519PrivateKey.from_private_bytes(key)
    return private.public_key().public_bytes_raw()


def format_public_key(raw: bytes) -> str:
    """Return a public key as it is shown: ``whpk_`` and base64."""
    return PUBLIC_PREFIX + base64.b64encode(raw).decode()


def parse_public_key(text: str) -> Ed25519PublicKey:
    """Return the key in ``whpk_…``.

    Raises:
        InvalidInput: If it is not ``whpk_`` and base64 of 32 bytes.
    """
    try:
        raw = base64.b64decode(text.removeprefix(PUBLIC_PREFIX), validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise InvalidInput("a public key is 'whpk_' and base64 of 32 bytes.") from error


def check_key(text: str) -> None:
    """Raise unless this is something to verify with, a secret or a public key.

    Raises:
        InvalidInput: If it is malformed.
    """
    _checker(text)


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
    prefix, mark, _ = secret.partition("_")
    return f"{prefix}{mark}…{secret[-4:]}"


def sign(
    keys: Iterable[SigningKey], message_id: str, timestamp: int, body: bytes
) -> str:
    """Return the value of ``webhook-signature``.

    Args:
        keys: The endpoint's signing keys that are in force, the newest first;
            several while a rotation overlaps.
        message_id: Value of ``webhook-id``.
        timestamp: Value of ``webhook-timestamp``, seconds since 1970.
        body: The bytes that are sent.

    Source:
        Standard Webhooks 1.0, "Signature scheme" (symmetric ``v1``, asymmetric
        ``v1a``).
    """
    content = _content(message_id, timestamp, body)
    return " ".join([_signature(key, content) for key in keys])


class Checked(NamedTuple):
    """One key of an endpoint's, and which of a request's signatures is its.

    Args:
        computed: The signature that the secret makes, if one is made; a private key's
            is only verified.
        matches: The place of the signature that is right, from 0; None if none is.
    """

    computed: str | None
    matches: int | None


def signed_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    """Return what is signed: id, timestamp and body, joined by dots."""
    return b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body)


def check_with_secret(key: bytes, given: Sequence[str], content: bytes) -> Checked:
    """Return which of these signatures an HMAC secret makes of ``content``."""
    computed = _signature(key, content)
    same = (at for at, each in enumerate(given) if _same(computed, each))
    return Checked(computed, next(same, None))


def check_with_public(raw: bytes, given: Sequence[str], content: bytes) -> Checked:
    """Return which of these signatures an Ed25519 public key verifies."""
    public = Ed25519PublicKey.from_public_bytes(raw)
    right = (at for at, each in enumerate(given) if _verifies(public, each, content))
    return Checked(None, next(right, None))


def _content(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%b.%d.%b" % (message_id.encode(), timestamp, body)


def _signature(key: SigningKey, content: bytes) -> str:
    if isinstance(key, bytes):
        digest = hmac.digest(key, content, "sha256")
        return "v1," + binascii.b2a_base64(digest, newline=False).decode()
    return "v1a," + binascii.b2a_base64(key.sign(content), newline=False).decode()


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = timedelta(minutes=5),
) -> None:
    """Raise unless the request was signed with ``secret``'s key and is recent.

    Args:
        secret: ``whsec_`` and base64; or a public key, ``whpk_`` and base64.
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
    content = _content(message_id, timestamp, body)
    check = _checker(secret)
    if not any(check(each, content) for each in signatures):
        raise SignatureInvalid("no signature matches")


def _checker(secret: str) -> Callable[[str, bytes], bool]:
    """Return what says whether one signature, ``v1,…`` or ``v1a,…``, is right."""
    if secret.startswith(PUBLIC_PREFIX):
        public = parse_public_key(secret)
        return lambda given, content: _verifies(public, given, content)
    key = parse_secret(secret)
    return lambda given, content: _same(_signature(key, content), given)


def _verifies(public: Ed25519PublicKey, given: str, content: bytes) -> bool:
    scheme, _, encoded = given.partition(",")
    if scheme != Scheme.ED25519:
        return False
    try:
        public.verify(base64.b64decode(encoded, validate=True), content)
    except (ValueError, InvalidSignature):
        return False
    return True


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
