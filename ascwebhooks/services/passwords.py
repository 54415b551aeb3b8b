"""Passwords: Argon2id, and no more of it at once than this process can afford."""

from __future__ import annotations

from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Each hash takes 64 MiB: a flood of logins must not take all there is.
_AT_ONCE = 2
# RFC 9106 §4, the second recommended set; argon2-cffi's own defaults may change.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)
_turn = BoundedSemaphore(_AT_ONCE)
# Of a password that nobody has: whether somebody exists does not show in the time.
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$mjVYEwiTgDUlzqWVxIWbzg"
    "$NdcKI33+IxtvKKgGRc88u7FEGFrUksGo8mvtL7WTRe4"
)


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    with _turn:
        return _HASHER.hash(password)


def fits(kept: str | None, password: str) -> bool:
    """Return whether a password is the one; None takes as long and fits never."""
    with _turn:
        try:
            _HASHER.verify(kept or _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


def is_dated(kept: str) -> bool:
    """Return whether a password was hashed with other parameters than are in use."""
    return _HASHER.check_needs_rehash(kept)
