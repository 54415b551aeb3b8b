"""Statements about portal links."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from ascwebhooks.storage.accounts import BrowserSession, PortalLink
from ascwebhooks.storage.results import affected


class PortalLinkRepository:
    """Portal links, by the digest of what they carry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: PortalLink) -> None:
        """Add a link."""
        self._session.add(row)
        self._session.flush()

    def find(self, tenant_id: str, link_id: UUID) -> PortalLink | None:
        """Return a tenant's link, or None."""
        return self._session.get(PortalLink, (tenant_id, link_id))

    def by_digest(self, digest: bytes, *, lock: bool = False) -> PortalLink | None:
        """Return the link with this digest, also one that is used or too old.

        Whoever holds it alone decides whether it has been used.
        """
        query = select(PortalLink).where(PortalLink.digest == digest)
        if lock:
            query = query.with_for_update()
        return self._session.scalars(query).one_or_none()

    def forget(self, before: datetime) -> int:
        """Remove those that expired before a time and have no session; how many."""
        in_use = exists().where(
            BrowserSession.portal_tenant_id == PortalLink.tenant_id,
            BrowserSession.portal_link_id == PortalLink.id,
        )
        gone = delete(PortalLink).where(PortalLink.expires_at < before, ~in_use)
        return affected(self._session.execute(gone))
