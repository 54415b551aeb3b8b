"""Envelope encryption: data keys seal rows, the key ring wraps data keys.

Sealed bytes are ``nonce (12) ‖ ciphertext ‖ tag (16)`` of AES-256-GCM.  The
associated data names the tenant, the table and the row, so that sealed bytes
moved to another row do not open.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ascwebhooks.errors import AscWebhooksError

KEY_BYTES = 32
NONCE_BYTES = 12


class CannotOpen(AscWebhooksError):
    """Sealed bytes do not open: another key, another row, or changed."""

    code = "cannot_open"


def seal(cipher: AESGCM, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """Return ``plain`` sealed.

    Args:
        cipher: The data key's.
        nonce: Twelve random bytes, never used twice with one key.
        plain: What is to be sealed.
        associated: See ``associated_data``.
    """
    return nonce + cipher.encrypt(nonce, plain, associated)


def unseal(cipher: AESGCM, sealed: bytes, associated: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        CannotOpen: If the key, the row or a byte is not the one it was sealed with.
    """
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
    except (InvalidTag, ValueError) as error:
        # ValueError: too short to hold a nonce.
        raise CannotOpen("sealed bytes do not open with this key and row") from error


def associated_data(tenant_id: str, table: str, row: UUID) -> bytes:
    """Return what binds sealed bytes to their row."""
    return b"%b\0%b\0%b" % (tenant_id.encode(), table.encode(), row.bytes)


class KeyRing:
    """The operator's keys: the first wraps, all unwrap."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Take the keys as ``(id, 32 bytes)``, the wrapping one first.

        Raises:
            ValueError: If there is none.
        """
        if not keys:
            raise ValueError("a key ring needs a key")
        self.current = keys[0][0]
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys}
        self.ids = frozenset(self._ciphers)

    def wrap(self, key: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Return a data key wrapped with the ring's first key."""
        return seal(self._ciphers[self.current], nonce, key, associated)

    def unwrap(self, ring_key: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return a data key.

        Raises:
            CannotOpen: If the ring lacks the key that wrapped it, or it was changed.
        """
        cipher = self._ciphers.get(ring_key)
        if cipher is None:
            raise CannotOpen(
                f"ENCRYPTION_KEYS lacks the key {ring_key!r} that wrapped this data key"
            )
        return unseal(cipher, wrapped, associated)
