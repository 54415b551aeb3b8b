"""API keys: create, recognise, revoke."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids, keys
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.errors import NotAuthenticated, NotFound
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import ApiKey
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

_USE_GRAIN = timedelta(minutes=1)


class Keys:
    """Use cases of API keys."""

    def __init__(
        self, uow: Callable[[], UnitOfWork], entropy: Callable[[int], bytes]
    ) -> None:
        """Take the source of random bytes."""
        self._uow = uow
        self._entropy = entropy

    def create(
        self,
        role: Role,
        *,
        tenant_id: str | None = None,
        name: str = "",
        expires_in: timedelta | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key; return its row and the key itself, in clear for this once.

        Args:
            role: What it may do.
            tenant_id: For one tenant only; for all of them if None.
            name: For people.
            expires_in: When it ends; never if None.

        Raises:
            NotFound: If there is no such tenant.
        """
        secret = keys.format_key(self._entropy(32))
        with self._uow() as uow:
            if tenant_id is not None:
                find_tenant(uow, tenant_id)
            now = uow.now()
            row = ApiKey(
                id=ids.uuid7(int(now.timestamp() * 1000), self._entropy(10)),
                tenant_id=tenant_id,
                role=role,
                name=name,
                shown=keys.shown(secret),
                digest=keys.digest(secret),
                created_at=now,
                expires_at=None if expires_in is None else now + expires_in,
            )
            uow.keys.add(row)
            uow.audit.record(
                "api_key.created",
                Kind.API_KEY,
                row.id,
                tenant_id=tenant_id,
                role=role,
                name=name,
                key=row.shown,
                expires_at=row.expires_at,
            )
            uow.commit()
        log.info("api_key_created", key=row.shown, role=role, tenant_id=tenant_id)
        return row, secret

    def recognise(self, secret: str) -> ApiKey:
        """Return the row of a key that is in force.

        It is found by the digest of 256 random bits, so neither the time a look-up
        takes nor a partial match tells anything about another key.

        Raises:
            NotAuthenticated: If it is unknown, expired or revoked.
        """
        with self._uow() as uow:
            row = uow.keys.by_digest(keys.digest(secret))
            now = uow.now()
            if (
                row is None
                or row.revoked_at is not None
                or (row.expires_at is not None and row.expires_at <= now)
            ):
                raise NotAuthenticated("the API key is unknown, expired or revoked.")
            if row.last_used_at is None or row.last_used_at < now - _USE_GRAIN:
                uow.keys.used(row.id, now, _USE_GRAIN)
                uow.commit()
            return row

    def page(
        self,
        tenant_id: str | None = None,
        *,
        after: UUID | None = None,
        limit: int | None = None,
    ) -> Sequence[ApiKey]:
        """Return keys, or one tenant's, the newest first, those before ``after``."""
        with self._uow() as uow:
            return uow.keys.page(tenant_id, after=after, limit=limit)

    def revoke(self, key_id: UUID, tenant_id: str | None = None) -> ApiKey:
        """End a key, at once.

        Args:
            key_id: Which.
            tenant_id: Only if it is this tenant's; anybody's if None.

        Raises:
            NotFound: If there is no such key.
        """
        with self._uow() as uow:
            row = uow.keys.find(key_id)
            if row is None or tenant_id not in (None, row.tenant_id):
                raise NotFound("there is no such API key.")
            if row.revoked_at is None:
                row.revoked_at = uow.now()
                uow.audit.record(
                    "api_key.revoked",
                    Kind.API_KEY,
                    key_id,
                    tenant_id=row.tenant_id,
                    key=row.shown,
                )
            uow.commit()
        log.info("api_key_revoked", key=row.shown)
        return row
