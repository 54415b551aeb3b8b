"""Statements about API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ascwebhooks.storage.models import ApiKey


class ApiKeyRepository:
    """API keys, by the digest of what their holders send."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, key: ApiKey) -> None:
        """Add a key."""
        self._session.add(key)

    def by_digest(self, digest: bytes) -> ApiKey | None:
        """Return the key with this digest, whatever its state."""
        return self._session.scalars(
            select(ApiKey).where(ApiKey.digest == digest)
        ).one_or_none()

    def find(self, key_id: UUID) -> ApiKey | None:
        """Return the key, or None."""
        return self._session.get(ApiKey, key_id)

    def page(
        self, tenant_id: str | None, *, after: UUID | None, limit: int | None
    ) -> Sequence[ApiKey]:
        """Return keys, or one tenant's, the newest first, those before ``after``."""
        query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit)
        if after is not None:
            query = query.where(ApiKey.id < after)
        if tenant_id is not None:
            query = query.where(ApiKey.tenant_id == tenant_id)
        return self._session.scalars(query).all()

    def used(self, key_id: UUID, now: datetime, grain: timedelta) -> None:
        """Note that a key was used, at most once in ``grain``."""
        self._session.execute(
            update(ApiKey)
            .where(
                ApiKey.id == key_id,
                or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - grain),
            )
            .values(last_used_at=now)
        )
