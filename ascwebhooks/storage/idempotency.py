"""Statements about creations that were asked for with an ``Idempotency-Key``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from ascwebhooks.errors import IdempotencyInProgress
from ascwebhooks.storage.models import IdempotencyKey
from ascwebhooks.storage.results import affected

#: The creation was committed; its answer is not kept yet, and perhaps never.
DONE = 0

_RESERVE = text(
    "INSERT INTO idempotency_key (owner, key, request, row_id, created_at)"
    " VALUES (:owner, :key, :request, :row_id, clock_timestamp())"
    " ON CONFLICT (owner, key) DO UPDATE SET request = excluded.request,"
    " row_id = excluded.row_id, status = NULL, sealed = NULL,"
    " created_at = excluded.created_at"
    " WHERE idempotency_key.created_at < clock_timestamp() - CAST(:life AS interval)"
    " OR (idempotency_key.status IS NULL"
    " AND idempotency_key.request = excluded.request"
    " AND idempotency_key.created_at < clock_timestamp() - CAST(:patience AS interval))"
    " RETURNING row_id"
)
_MARK = text(
    "UPDATE idempotency_key SET status = :done WHERE owner = :owner AND key = :key"
    " AND row_id = :row_id AND (status IS NULL OR status = :done) RETURNING 1"
)
_KEEP = text(
    "UPDATE idempotency_key SET status = :status, sealed = :sealed"
    " WHERE owner = :owner AND key = :key AND row_id = :row_id"
)


class Reservation(NamedTuple):
    """The right to answer a request; ``row_id`` is this try's own."""

    owner: str
    key: str
    row_id: UUID


class Promise:
    """Under which reservation, if any, the calling thread works.

    Every transaction that commits under one marks it within itself.  So a
    creation and the note that it was made stand or fall together, whatever
    dies; and whoever lost the reservation to another cannot commit.
    """

    def __init__(self) -> None:
        self._held: ContextVar[Reservation | None] = ContextVar("held", default=None)

    @contextmanager
    def under(self, reservation: Reservation) -> Iterator[None]:
        """Work under a reservation."""
        token = self._held.set(reservation)
        try:
            yield
        finally:
            self._held.reset(token)

    def before_commit(self, session: Session) -> None:
        """Mark the reservation within this transaction.

        Raises:
            IdempotencyInProgress: If another request has taken it over.
        """
        held = self._held.get()
        if held is None:
            return
        values = {**held._asdict(), "done": DONE}
        if session.execute(_MARK, values).first() is None:
            raise IdempotencyInProgress(
                "another request with this Idempotency-Key has taken over."
            )


class IdempotencyRepository:
    """Reservations and what became of them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def reserve(
        self,
        wanted: Reservation,
        request: bytes,
        *,
        life: timedelta,
        patience: timedelta,
    ) -> bool:
        """Reserve; return False if somebody did before.

        Args:
            wanted: The key, and what the reservation is to be known by.
            request: A digest of what is asked.
            life: What is older is forgotten.
            patience: What is older, for the same request and without anything
                committed, was left by a process that died.
        """
        values = {
            **wanted._asdict(),
            "request": request,
            "life": life,
            "patience": patience,
        }
        return self._session.execute(_RESERVE, values).first() is not None

    def find(self, owner: str, key: str) -> IdempotencyKey | None:
        """Return what is known of a key, or None."""
        return self._session.scalars(
            select(IdempotencyKey).where(
                IdempotencyKey.owner == owner, IdempotencyKey.key == key
            )
        ).one_or_none()

    def keep(self, held: Reservation, status: int, sealed: bytes) -> None:
        """Keep an answer."""
        values = {**held._asdict(), "status": status, "sealed": sealed}
        self._session.execute(_KEEP, values)

    def drop(self, held: Reservation) -> None:
        """Give a reservation back, for another try; what was committed stays."""
        self._session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.owner == held.owner,
                IdempotencyKey.key == held.key,
                IdempotencyKey.row_id == held.row_id,
                IdempotencyKey.status.is_(None),
            )
        )

    def forget(self, before: datetime) -> int:
        """Delete what was asked before; return how many."""
        found = self._session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at < before)
        )
        return affected(found)
