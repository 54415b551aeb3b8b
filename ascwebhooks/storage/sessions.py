"""Statements about sessions of people and of portal links."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, cast, delete, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from ascwebhooks.storage.accounts import BrowserSession
from ascwebhooks.storage.results import affected


class SessionRepository:
    """Sessions, by the digest of what browsers send."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: BrowserSession) -> None:
        """Add a session."""
        self._session.add(row)

    def by_digest(self, digest: bytes) -> BrowserSession | None:
        """Return the session with this digest, also one that has ended."""
        return self._session.scalars(
            select(BrowserSession).where(BrowserSession.digest == digest)
        ).one_or_none()

    def seen(self, session_id: UUID, now: datetime, grain: timedelta) -> None:
        """Note that a session was used, at most once in ``grain``."""
        self._session.execute(
            update(BrowserSession)
            .where(
                BrowserSession.id == session_id,
                BrowserSession.last_seen_at < now - grain,
            )
            .values(last_seen_at=now)
        )

    def notify(self, session_id: UUID, notice: list[str]) -> None:
        """Keep a message for the next page."""
        self._session.execute(
            update(BrowserSession)
            .where(BrowserSession.id == session_id)
            .values(notices=BrowserSession.notices + cast([notice], JSONB))
        )

    def take_notices(self, session_id: UUID) -> list[Any]:
        """Return the messages that were kept, and keep them no longer."""
        row = self._session.get(BrowserSession, session_id, with_for_update=True)
        if row is None:
            return []
        taken, row.notices = row.notices, []
        return taken

    def end(self, session_id: UUID) -> None:
        """End one."""
        self._end(BrowserSession.id == session_id)

    def end_of(self, person_id: UUID, *, but: UUID | None = None) -> int:
        """End all of a person's, ``but`` one; return how many."""
        chosen = BrowserSession.person_id == person_id
        if but is not None:
            chosen &= BrowserSession.id != but
        return self._end(chosen)

    def end_expired(self, now: datetime) -> int:
        """Remove those whose time is over; return how many."""
        return self._end(BrowserSession.expires_at <= now)

    def _end(self, chosen: ColumnElement[bool]) -> int:
        return affected(self._session.execute(delete(BrowserSession).where(chosen)))
