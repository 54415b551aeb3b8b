"""Statements about wrapped data keys."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ascwebhooks.storage.models import DataKey


class DataKeyRepository:
    """Wrapped data keys by tenant and scope."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, tenant_id: str, scope: str) -> DataKey | None:
        """Return the wrapped key, or None."""
        return self._session.scalars(
            select(DataKey).where(
                DataKey.tenant_id == tenant_id, DataKey.scope == scope
            )
        ).one_or_none()

    def ring_keys(self) -> list[str]:
        """Return the ids of the ring's keys that wrap any data key."""
        return list(self._session.scalars(select(DataKey.ring_key).distinct()))

    def add(self, tenant_id: str, scope: str, ring_key: str, wrapped: bytes) -> None:
        """Add a key, unless another process was first."""
        self._session.execute(
            insert(DataKey)
            .values(
                tenant_id=tenant_id, scope=scope, ring_key=ring_key, wrapped=wrapped
            )
            .on_conflict_do_nothing()
        )
