"""What a browser keeps while somebody is at the identity provider, sealed."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from ascwebhooks.domain.encryption import NONCE_BYTES, CannotOpen, KeyRing
from ascwebhooks.domain.identities import Refusal
from ascwebhooks.errors import SignOnRefused

#: How long somebody may stay at the provider.
PATIENCE = timedelta(minutes=10)
_RANDOM_BYTES = 32
#: Browsers take no cookie of more than 4,096 bytes.
_LONGEST_TARGET = 2_000
_PURPOSE = b"single sign-on"


class Attempt(NamedTuple):
    """One attempt to sign in.

    Args:
        state: What the provider's answer repeats.
        nonce: What its token repeats.
        verifier: What proves to it that we began (PKCE).
        target: The page to go to in the end.
        until: When it is too late, in seconds since 1970.
    """

    state: str
    nonce: str
    verifier: str
    target: str | None
    until: float


class Attempts:
    """Seals attempts with the key ring, so that any process can go on with one."""

    def __init__(self, ring: KeyRing, entropy: Callable[[int], bytes]) -> None:
        """Take the key ring and the source of random bytes."""
        self._ring = ring
        self._entropy = entropy

    def begin(self, target: str | None, now: datetime) -> Attempt:
        """Return a new attempt."""
        if target is not None and len(target) > _LONGEST_TARGET:
            target = None
        state, nonce, verifier = (self._random() for _ in range(3))
        return Attempt(state, nonce, verifier, target, (now + PATIENCE).timestamp())

    def seal(self, attempt: Attempt) -> str:
        """Return an attempt as a browser keeps it."""
        plain = json.dumps(attempt).encode()
        sealed = self._ring.wrap(plain, self._entropy(NONCE_BYTES), _PURPOSE)
        whole = self._ring.current.encode() + b"\0" + sealed
        return base64.urlsafe_b64encode(whole).decode()

    def resume(self, kept: str | None, state: str, now: datetime) -> Attempt:
        """Return the attempt that an answer belongs to.

        Raises:
            SignOnRefused: If it is not this browser's, or it is too late.
        """
        attempt = self._opened(kept)
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise _not_asked()
        if now.timestamp() > attempt.until:
            told = "it took too long; please try once more."
            raise SignOnRefused(Refusal.LATE, told)
        return attempt

    def _opened(self, kept: str | None) -> Attempt:
        try:
            whole = base64.urlsafe_b64decode((kept or "").encode())
            key, _, sealed = whole.partition(b"\0")
            plain = self._ring.unwrap(key.decode(), sealed, _PURPOSE)
        except (CannotOpen, binascii.Error, UnicodeError) as error:
            raise _not_asked() from error
        return Attempt(*json.loads(plain))

    def _random(self) -> str:
        whole = base64.urlsafe_b64encode(self._entropy(_RANDOM_BYTES))
        return whole.rstrip(b"=").decode()


def _not_asked() -> SignOnRefused:
    told = "this browser did not ask for it, or it has been used already."
    return SignOnRefused(Refusal.STATE, told)
