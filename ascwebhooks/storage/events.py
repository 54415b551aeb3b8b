"""Statements about events: accepting them in batches, finding them again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, Status
from ascwebhooks.storage.arrays import columns, uuids
from ascwebhooks.storage.copies import copy
from ascwebhooks.storage.models import Event, EventKey
from ascwebhooks.storage.results import affected


class NewKey(NamedTuple):
    """A row of ``event_key``."""

    tenant_id: str
    digest: bytes
    event_id: UUID
    content_hash: bytes


class NewEvent(NamedTuple):
    """A row of ``event``."""

    id: UUID
    tenant_id: str
    type: str
    source: str
    source_id: str
    time: datetime
    size_bytes: int
    sealed: bytes
    not_sent: dict[str, Any] | None = None


class SealedEvent(NamedTuple):
    """What sending needs of an event, in the order of the statement's columns."""

    id: UUID
    tenant_id: str
    type: str
    source: str
    source_id: str
    size_bytes: int
    sealed: memoryview


class NewDelivery(NamedTuple):
    """A row of ``delivery``; with a reason it is dead from the start.

    ``position``: its place at an endpoint in order.
    """

    id: UUID
    tenant_id: str
    event_id: UUID
    endpoint_id: UUID
    event_type: str
    status: Status
    next_attempt_at: datetime
    dead_reason: DeadReason | None
    completed_at: datetime | None
    position: int | None = None


# Two writers that insert the same keys in different orders deadlock.
_CLAIM_KEYS = text(
    "INSERT INTO event_key (tenant_id, digest, event_id, content_hash)"
    " SELECT * FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS bytea[]),"
    " CAST(:c2 AS uuid[]), CAST(:c3 AS bytea[])) ORDER BY 1, 2"
    " ON CONFLICT DO NOTHING"
)
_MINE = text(
    "SELECT k.event_id FROM event_key k"
    " JOIN unnest(CAST(:c0 AS text[]), CAST(:c1 AS bytea[])) AS w(tenant_id, digest)"
    " USING (tenant_id, digest) WHERE k.event_id = ANY(CAST(:ids AS uuid[]))"
)
_KEYS = text(
    "SELECT k.tenant_id, k.digest, k.event_id, k.content_hash FROM event_key k"
    " JOIN unnest(CAST(:c0 AS text[]), CAST(:c1 AS bytea[])) AS w(tenant_id, digest)"
    " USING (tenant_id, digest)"
)
# A lock of its own kind: no other one of ours has two keys.
_LOCK_ORDER = text("SELECT pg_advisory_xact_lock(:kind, hashtext(:endpoint))")
_ORDER_LOCK = 0x0F1F0
_PLACES = text("SELECT nextval('delivery_position') FROM generate_series(1, :count)")
_SEALED = text(
    "SELECT id, tenant_id, type, source, source_id, size_bytes, sealed FROM event"
    " WHERE id = ANY(:ids)"
)


class EventRepository:
    """Events, and the keys by which they are known again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim_keys(self, keys: Sequence[NewKey]) -> set[UUID]:
        """Take the keys that are free; return the ids of the events they are for."""
        if not keys:
            return set()
        done = self._session.execute(_CLAIM_KEYS, columns(keys))
        if affected(done) == len(keys):
            return {key.event_id for key in keys}
        mine = uuids([key.event_id for key in keys])
        wanted = columns([(key.tenant_id, key.digest) for key in keys])
        return set(self._session.execute(_MINE, {**wanted, "ids": mine}).scalars())

    def keys(
        self, wanted: Sequence[tuple[str, bytes]]
    ) -> dict[tuple[str, bytes], NewKey]:
        """Return the keys that are taken, by tenant and digest."""
        if not wanted:
            return {}
        rows = self._session.execute(_KEYS, columns(wanted))
        found = [NewKey(r[0], bytes(r[1]), r[2], bytes(r[3])) for r in rows]
        return {(key.tenant_id, key.digest): key for key in found}

    def add_all(self, events: Sequence[NewEvent]) -> None:
        """Insert events."""
        copy(self._session, "event", NewEvent._fields, events)

    def add_deliveries(self, rows: Sequence[NewDelivery]) -> None:
        """Insert the deliveries that events cause."""
        copy(self._session, "delivery", NewDelivery._fields, rows)

    def lock_order(self, endpoint_ids: Sequence[UUID]) -> None:
        """Wait until nobody else gives places at these endpoints; held until the end.

        Args:
            endpoint_ids: Which, sorted: whoever locks several does so in this order.
        """
        for each in endpoint_ids:
            self._session.execute(
                _LOCK_ORDER, {"kind": _ORDER_LOCK, "endpoint": each.hex}
            )

    def places(self, count: int) -> list[int]:
        """Return so many places, each behind all that were given before."""
        return list(self._session.execute(_PLACES, {"count": count}).scalars())

    def sealed(self, event_ids: Collection[UUID]) -> list[SealedEvent]:
        """Return what sending needs of these events, in any order."""
        rows = self._session.execute(_SEALED, {"ids": uuids(event_ids)})
        return list(map(SealedEvent._make, rows))

    def recent_types(self, tenant_id: str, among: int) -> Sequence[str]:
        """Return the types of a tenant's last ``among`` events, in order."""
        last = (
            select(Event.type)
            .where(Event.tenant_id == tenant_id)
            .order_by(Event.id.desc())
            .limit(among)
            .subquery()
        )
        return self._session.scalars(
            select(last.c.type).distinct().order_by(last.c.type)
        ).all()

    def find(self, tenant_id: str, event_id: UUID) -> Event | None:
        """Return the event, or None."""
        return self._session.scalars(
            select(Event).where(Event.id == event_id, Event.tenant_id == tenant_id)
        ).one_or_none()

    def was_accepted(self, tenant_id: str, event_id: UUID) -> bool:
        """Return whether an event of the last ``DEDUPE_DAYS`` days had this id."""
        found = select(EventKey.event_id).where(
            EventKey.event_id == event_id, EventKey.tenant_id == tenant_id
        )
        return self._session.scalars(found).one_or_none() is not None

    def of_source(
        self, tenant_id: str, source: str, source_ids: Sequence[str]
    ) -> Sequence[Event]:
        """Return a tenant's events with these ids of one source, the oldest first."""
        query = select(Event).where(
            Event.tenant_id == tenant_id,
            Event.source == source,
            Event.source_id.in_(source_ids),
        )
        return self._session.scalars(query.order_by(Event.id)).all()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        before: UUID | None = None,
        limit: int,
        type: str | None = None,
        source_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Event]:
        """Return a tenant's events, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            before: The first id of the page after: those that come just before it.
            limit: How many.
            type: Only this type.
            source_id: Only those with this id of the gateway's.
            since: Accepted at or after this time.
            until: Accepted before this time.
        """
        query = select(Event).where(Event.tenant_id == tenant_id)
        if type is not None:
            query = query.where(Event.type == type)
        if source_id is not None:
            query = query.where(Event.source_id == source_id)
        if since is not None:
            query = query.where(Event.id >= ids.lowest(since))
        if until is not None:
            query = query.where(Event.id < ids.lowest(until))
        if after is not None:
            query = query.where(Event.id < after)
        if before is None:
            order = Event.id.desc()
            return self._session.scalars(query.order_by(order).limit(limit)).all()
        query = query.where(Event.id > before).order_by(Event.id).limit(limit)
        return self._session.scalars(query).all()[::-1]

    def forget_keys(self, now: datetime, older_than: timedelta) -> int:
        """Delete the keys of events older than this; return how many there were."""
        bound = ids.lowest(now - older_than)
        done = self._session.execute(delete(EventKey).where(EventKey.event_id < bound))
        return affected(done)
