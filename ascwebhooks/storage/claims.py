"""Statements of a turn: claim what is due, record what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from ascwebhooks.domain.deliveries import DeadReason
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.arrays import columns, uuids
from ascwebhooks.storage.copies import copy
from ascwebhooks.storage.results import affected


class Claimed(NamedTuple):
    """A delivery that is due."""

    id: UUID
    tenant_id: str
    event_id: UUID
    endpoint_id: UUID
    step: int


class NewAttempt(NamedTuple):
    """A row of ``attempt``."""

    delivery_id: UUID
    id: UUID
    tenant_id: str
    endpoint_id: UUID
    started_at: datetime
    status_code: int | None
    error: str | None
    detail: str | None
    address: str | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float
    sealed: bytes


class Failure(NamedTuple):
    """What a failed attempt does to its delivery, if that is still at this step."""

    id: UUID
    step: int
    status: str
    retry_in_s: float | None
    status_code: int | None
    error: str | None
    dead_reason: str | None


_CLAIM = text(
    "SELECT d.id, d.tenant_id, d.event_id, d.endpoint_id, d.step"
    " FROM unnest(CAST(:endpoints AS uuid[]), CAST(:limits AS int[]))"
    " AS w(endpoint_id, most)"
    " CROSS JOIN LATERAL (SELECT * FROM delivery"
    " WHERE endpoint_id = w.endpoint_id AND status = 'pending'"
    " AND next_attempt_at <= statement_timestamp()"
    " AND id >= :low AND id < :high"
    " AND NOT id = ANY(CAST(:busy AS uuid[]))"
    " ORDER BY next_attempt_at, id LIMIT w.most) d"
)
# The first one blocks those behind it, also while it waits.
_FIRST = text(
    "SELECT d.id, d.tenant_id, d.event_id, d.endpoint_id, d.step"
    " FROM unnest(CAST(:endpoints AS uuid[])) AS w(endpoint_id)"
    " CROSS JOIN LATERAL (SELECT * FROM delivery"
    " WHERE endpoint_id = w.endpoint_id AND status = 'pending'"
    " AND position IS NOT NULL AND id >= :low AND id < :high"
    " ORDER BY position LIMIT 1) d"
    " WHERE d.next_attempt_at <= statement_timestamp()"
)
_ATTEMPTS = text(
    "SELECT id FROM attempt WHERE delivery_id = ANY(CAST(:deliveries AS uuid[]))"
    " AND id = ANY(CAST(:ids AS uuid[]))"
)
_DELIVER = (
    "UPDATE delivery SET status = 'delivered', attempt_count = attempt_count + 1,"
    " step = step + 1, last_status_code = :code, last_error = NULL,"
    " sent_alone = 0, completed_at = :at, dead_reason = NULL"
    " WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_DELIVERED = text(_DELIVER + " AND status = 'pending'")
# What ended with its endpoint while it was out did arrive, and is not sent again.
_DELIVERED_AFTER_ALL = text(
    _DELIVER + " AND (status = 'pending' OR (status = 'dead_lettered' AND dead_reason"
    " IN ('endpoint_disabled', 'endpoint_deleted', 'residency')))"
)
_DELIVERED_AT = text(
    "SELECT id FROM delivery WHERE id = ANY(CAST(:ids AS uuid[]))"
    " AND status = 'delivered' AND completed_at = :at"
)
# The ids stand there as values too: a join alone would look into every partition.
_FAILED = text(
    "UPDATE delivery d SET status = w.status, attempt_count = d.attempt_count + 1,"
    " step = d.step + 1, last_status_code = w.code, last_error = w.error,"
    " dead_reason = w.reason, sent_alone = 0,"
    " next_attempt_at = CASE WHEN w.retry_in_s IS NULL THEN d.next_attempt_at"
    " ELSE clock_timestamp() + make_interval(secs => w.retry_in_s) END,"
    " completed_at ="
    " CASE WHEN w.status = 'pending' THEN NULL ELSE clock_timestamp() END"
    " FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS int[]), CAST(:c2 AS text[]),"
    " CAST(:c3 AS float[]), CAST(:c4 AS int[]), CAST(:c5 AS text[]),"
    " CAST(:c6 AS text[])) AS w(id, step, status, retry_in_s, code, error, reason)"
    " WHERE d.id = w.id AND d.id = ANY(CAST(:ids AS uuid[]))"
    # It may have been cancelled and begun anew while this attempt was out.
    " AND d.status = 'pending' AND d.step = w.step RETURNING d.id"
)
_COUNT = text(
    "UPDATE delivery SET attempt_count = attempt_count + 1, sent_alone = 0"
    " WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_ALONE = text(
    "UPDATE delivery SET sent_alone = sent_alone + 1"
    " WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'pending' RETURNING sent_alone"
)

_NOT_ALONE = text(
    "UPDATE delivery SET sent_alone = greatest(sent_alone - 1, 0)"
    " WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'pending'"
)
_END = text(
    "UPDATE delivery SET status = 'dead_lettered', dead_reason = :reason,"
    " completed_at = clock_timestamp()"
    " WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'pending'"
)


class ClaimRepository:
    """What a turn does to deliveries."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(
        self,
        limits: Mapping[UUID, int],
        busy: Sequence[UUID],
        window: Window,
    ) -> list[Claimed]:
        """Return what is due, the oldest first; it writes nothing.

        Args:
            limits: How many at most for each endpoint; the caller holds their leases.
            busy: Deliveries that the caller has in hand already.
            window: Bounds of the ids.
        """
        rows = self._session.execute(
            _CLAIM,
            {
                **window._asdict(),
                "endpoints": uuids(limits),
                "limits": list(limits.values()),
                "busy": uuids(busy),
            },
        )
        return [Claimed(*row) for row in rows]

    def first(self, endpoint_ids: Sequence[UUID], window: Window) -> list[Claimed]:
        """Return the first delivery in order of each endpoint, if it is due.

        Args:
            endpoint_ids: Whose; the caller holds their leases and has nothing of
                theirs in hand.
            window: Bounds of the ids.
        """
        rows = self._session.execute(
            _FIRST, {**window._asdict(), "endpoints": uuids(endpoint_ids)}
        )
        return [Claimed(*row) for row in rows]

    def mark_alone(self, delivery_id: UUID) -> int | None:
        """Count that a delivery is sent alone; return how often it was by now."""
        row = self._session.execute(_ALONE, {"ids": uuids([delivery_id])})
        return row.scalar_one_or_none()

    def unmark_alone(self, delivery_ids: Sequence[UUID]) -> None:
        """Take back that these were sent alone: they were not sent."""
        self._session.execute(_NOT_ALONE, {"ids": uuids(delivery_ids)})

    def end(self, delivery_id: UUID, reason: DeadReason) -> None:
        """Dead-letter a pending delivery without an attempt."""
        self._session.execute(
            _END, {"ids": uuids([delivery_id]), "reason": reason.value}
        )

    def add_attempts(self, attempts: Sequence[NewAttempt], *, again: bool) -> set[UUID]:
        """Insert attempts; return the ids of those that were not there yet.

        Args:
            attempts: What was made.
            again: Whether some may be there: a commit whose answer was lost is
                made again, and what it did is not done twice.
        """
        known = self._known(attempts) if again else set()
        new = [each for each in attempts if each.id not in known]
        copy(self._session, "attempt", NewAttempt._fields, new)
        return {each.id for each in new}

    def _known(self, attempts: Sequence[NewAttempt]) -> set[UUID]:
        """Return which of these were recorded already.

        What was committed unheard held the locks of the mailboxes, which the
        caller has by now; so it is seen here.
        """
        given = {
            "deliveries": uuids([each.delivery_id for each in attempts]),
            "ids": uuids([each.id for each in attempts]),
        }
        return set(self._session.execute(_ATTEMPTS, given).scalars())

    def delivered(
        self,
        delivery_ids: Sequence[UUID],
        status_code: int,
        at: datetime,
        *,
        held: bool,
    ) -> set[UUID]:
        """Mark deliveries as delivered that are pending; return which it were.

        Args:
            delivery_ids: Which.
            status_code: What their receivers answered.
            at: The time of this batch, which no other batch has.
            held: Whether their mailboxes are in hand: then those too that ended with
                their endpoint.
        """
        given = {"ids": uuids(delivery_ids), "at": at}
        statement = _DELIVERED_AFTER_ALL if held else _DELIVERED
        done = self._session.execute(statement, {**given, "code": status_code})
        if affected(done) == len(delivery_ids):
            return set(delivery_ids)
        return set(self._session.execute(_DELIVERED_AT, given).scalars())

    def failed(self, failures: Sequence[Failure]) -> set[UUID]:
        """Move pending deliveries on after a failure; return which it were."""
        if not failures:
            return set()
        ids = [each.id for each in failures]
        rows = self._session.execute(_FAILED, {**columns(failures), "ids": uuids(ids)})
        return set(rows.scalars())

    def count_only(self, delivery_ids: Sequence[UUID]) -> None:
        """Count an attempt of deliveries whose status it does not change."""
        if delivery_ids:
            self._session.execute(_COUNT, {"ids": uuids(delivery_ids)})
