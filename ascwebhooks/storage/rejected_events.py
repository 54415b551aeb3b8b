"""Statements about rejected events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ascwebhooks.storage.models import RejectedEvent
from ascwebhooks.storage.results import affected


class RejectedEventRepository:
    """What was not accepted, by tenant or for the platform."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_all(self, rows: Sequence[RejectedEvent]) -> None:
        """Add rejected events."""
        self._session.add_all(rows)

    def find(self, rejected_id: UUID, tenant_id: str | None) -> RejectedEvent | None:
        """Return a rejected event; with a tenant, only one of that tenant's."""
        query = select(RejectedEvent).where(RejectedEvent.id == rejected_id)
        if tenant_id is not None:
            query = query.where(RejectedEvent.tenant_id == tenant_id)
        return self._session.scalars(query).one_or_none()

    def page(
        self, tenant_id: str | None, *, after: UUID | None, limit: int
    ) -> Sequence[RejectedEvent]:
        """Return rejected events, the newest first; all of them without a tenant."""
        query = select(RejectedEvent)
        if tenant_id is not None:
            query = query.where(RejectedEvent.tenant_id == tenant_id)
        if after is not None:
            query = query.where(RejectedEvent.id < after)
        return self._session.scalars(
            query.order_by(RejectedEvent.id.desc()).limit(limit)
        ).all()

    def lock(self, rejected_id: UUID) -> RejectedEvent | None:
        """Return a rejected event that nobody else changes until the commit."""
        return self._session.get(RejectedEvent, rejected_id, with_for_update=True)

    def remove(self, rejected: RejectedEvent) -> None:
        """Delete one."""
        self._session.delete(rejected)

    def purge(self, before: UUID) -> int:
        """Delete those older than a bound; return how many there were."""
        return affected(
            self._session.execute(
                delete(RejectedEvent).where(RejectedEvent.id < before)
            )
        )
