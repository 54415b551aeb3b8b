"""Data keys: made once for each tenant and day, wrapped, kept in the database."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ascwebhooks.domain import encryption, ids
from ascwebhooks.domain.encryption import CannotOpen, KeyRing, associated_data
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: Whose key seals what belongs to no known tenant.
PLATFORM = ""
PLATFORM_NAME = "the platform"
SECRETS = "secrets"
_CACHED_KEYS = 4_096


class Sealing:
    """Seals and unseals rows; data keys are cached for the process's life."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        ring: KeyRing,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take the key ring and the source of random bytes."""
        self._uow = uow
        self._ring = ring
        self._entropy = entropy
        self._lock = Lock()
        self._keys: OrderedDict[tuple[str, str], tuple[bytes, AESGCM]] = OrderedDict()

    def seal(
        self, tenant_id: str, scope: str, table: str, row: UUID, plain: bytes
    ) -> bytes:
        """Return ``plain`` sealed for one row, with the tenant's key of that scope."""
        cipher = self._key(tenant_id, scope)[1]
        nonce = self._entropy(encryption.NONCE_BYTES)
        return encryption.seal(
            cipher, nonce, plain, associated_data(tenant_id, table, row)
        )

    def unseal(
        self, tenant_id: str, scope: str, table: str, row: UUID, sealed: bytes
    ) -> bytes:
        """Return what was sealed.

        Raises:
            CannotOpen: If the data key is gone or the bytes were moved or changed.
        """
        cipher = self._key(tenant_id, scope, make=False)[1]
        return encryption.unseal(cipher, sealed, associated_data(tenant_id, table, row))

    def prepare(self, tenant_id: str, scope: str) -> None:
        """Have a key at hand, so that sealing takes no other connection later on.

        Before locks that others wait for: they may hold the connections there are.
        """
        self._key(tenant_id, scope)

    def missing(self, ring_keys: Iterable[str]) -> list[str]:
        """Return those of these ids whose keys the ring lacks, sorted."""
        return sorted(set(ring_keys) - self._ring.ids)

    def content_hash(self, tenant_id: str, content: bytes) -> bytes:
        """Return a keyed hash: equal content is found, guessed content is not."""
        key = self._key(tenant_id, SECRETS)[0]
        return hmac.digest(key, b"event content\0" + content, "sha256")[:16]

    def _key(
        self, tenant_id: str, scope: str, *, make: bool = True
    ) -> tuple[bytes, AESGCM]:
        found = self._keys.get((tenant_id, scope))
        if found is None:
            try:
                key = self._load(tenant_id, scope, make=make)
            except CannotOpen as error:
                raise CannotOpen(f"{error} ({tenant_id or PLATFORM_NAME})") from error
            found = key, AESGCM(key)
            with self._lock:
                self._keys[tenant_id, scope] = found
                while len(self._keys) > _CACHED_KEYS:
                    self._keys.popitem(last=False)
        return found

    def _load(self, tenant_id: str, scope: str, *, make: bool) -> bytes:
        name = f"{tenant_id}\0{scope}".encode()
        with self._uow() as uow:
            row = uow.data_keys.find(tenant_id, scope)
            if row is None:
                if not make:
                    raise CannotOpen("the data key was destroyed or never existed")
                fresh = self._entropy(encryption.KEY_BYTES)
                nonce = self._entropy(encryption.NONCE_BYTES)
                wrapped = self._ring.wrap(fresh, nonce, name)
                uow.data_keys.add(tenant_id, scope, self._ring.current, wrapped)
                uow.commit()
                row = uow.data_keys.find(tenant_id, scope)
            if row is None:
                raise CannotOpen("the data key was destroyed a moment ago")
            return self._ring.unwrap(row.ring_key, row.wrapped, name)


def day_scope(row: UUID) -> str:
    """Return the scope of the key for a row: the day of its id."""
    return ids.day_text(row)
