"""Statements of replays: counting, walking, reopening, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.domain.replays import ReplayState, Step
from ascwebhooks.storage.arrays import uuids
from ascwebhooks.storage.deliveries import PLACE
from ascwebhooks.storage.delivery_filters import conditions
from ascwebhooks.storage.limits import Bounded, TookTooLong
from ascwebhooks.storage.models import Delivery, Endpoint, Mailbox, Replay

# Each once: what was reopened since the cut-off has not ended, or later.
_REOPEN = text(
    "UPDATE delivery SET status = 'pending', step = 0, sent_alone = 0,"
    " dead_reason = NULL, completed_at = NULL, replay_id = :replay,"
    " position = {place},"
    " next_attempt_at = :start + make_interval(secs => (w.place - 1) * :gap_s)"
    " FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS w(id, place)"
    " WHERE delivery.id = w.id AND delivery.id = ANY(CAST(:ids AS uuid[]))"
    " AND tenant_id = :tenant AND status <> 'pending'"
    " AND completed_at < :cutoff RETURNING endpoint_id".replace("{place}", PLACE)
)
# Of two who want the same at once, the second sees what the first has made.
_LOCK_CREATION = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('replay ' || :tenant, 0))"
)


_HORIZON = text("SELECT pg_current_xact_id()::text::bigint")
_OLDEST = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


class Candidate(NamedTuple):
    """A delivery that a replay comes to."""

    id: UUID
    endpoint_id: UUID


class Ended(NamedTuple):
    """A delivery that was asked for by its id; ``completed_at`` is None if pending."""

    id: UUID
    endpoint_id: UUID
    completed_at: datetime | None


class Place(NamedTuple):
    """Whether an endpoint takes deliveries, and where it is served.

    ``is_held``: its breaker is open, or its receiver asked for a pause.
    """

    endpoint_id: UUID
    state: str
    region: str
    is_held: bool


class ReplayRepository:
    """Replays and the deliveries they are about."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, replay: Replay) -> None:
        """Add a replay."""
        self._session.add(replay)
        self._session.flush()

    def find(
        self, tenant_id: str, replay_id: UUID, *, lock: bool = False
    ) -> Replay | None:
        """Return the replay, or None; locked until the commit if asked for."""
        query = select(Replay).where(
            Replay.tenant_id == tenant_id, Replay.id == replay_id
        )
        return self._session.scalars(
            query.with_for_update() if lock else query
        ).one_or_none()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        state: str | None = None,
    ) -> Sequence[Replay]:
        """Return a tenant's replays, the newest first, those before ``after``."""
        query = select(Replay).where(Replay.tenant_id == tenant_id)
        if after is not None:
            query = query.where(Replay.id < after)
        if state is not None:
            query = query.where(Replay.state == state)
        return self._session.scalars(
            query.order_by(Replay.id.desc()).limit(limit)
        ).all()

    def horizon(self) -> int:
        """Return this transaction's number: that of all before it is lower."""
        return int(self._session.execute(_HORIZON).scalar_one())

    def oldest_running(self) -> int:
        """Return the number of the first transaction that has not ended yet."""
        return int(self._session.execute(_OLDEST).scalar_one())

    def take(self, but: Collection[UUID]) -> Replay | None:
        """Return a running replay that no other walker has in hand, locked.

        Args:
            but: Not one of these.
        """
        return self._session.scalars(
            select(Replay)
            .where(Replay.state == ReplayState.RUNNING, Replay.id.not_in(but))
            .order_by(Replay.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).one_or_none()

    def count(
        self,
        tenant_id: str,
        wanted: DeliveryFilters,
        cutoff: datetime,
        window: Window,
        within: timedelta,
    ) -> dict[UUID, int] | None:
        """Return how many ended deliveries there are at each endpoint.

        Args:
            tenant_id: Whose.
            wanted: Which.
            cutoff: Only what had ended by then.
            window: Bounds of their ids.
            within: How long it may take.

        Returns:
            None if it took longer.
        """
        query = (
            select(Delivery.endpoint_id, func.count())
            .where(
                *conditions(tenant_id, wanted),
                Delivery.completed_at < cutoff,
                Delivery.id >= window.low,
                Delivery.id < window.high,
            )
            .group_by(Delivery.endpoint_id)
        )
        try:
            with Bounded(self._session, within):
                return {row[0]: row[1] for row in self._session.execute(query)}
        except TookTooLong:
            return None

    def by_ids(self, tenant_id: str, delivery_ids: Sequence[UUID]) -> list[Ended]:
        """Return those of these deliveries that the tenant has."""
        rows = self._session.execute(
            text(
                "SELECT id, endpoint_id, completed_at FROM delivery"
                " WHERE id = ANY(CAST(:ids AS uuid[])) AND tenant_id = :tenant"
            ),
            {"ids": uuids(delivery_ids), "tenant": tenant_id},
        )
        return [Ended(*row) for row in rows]

    def after(
        self,
        tenant_id: str,
        wanted: DeliveryFilters,
        cutoff: datetime,
        window: Window,
        limit: int,
    ) -> list[Candidate]:
        """Return the next deliveries in the order of ids, of those within a window."""
        rows = self._session.execute(
            select(Delivery.id, Delivery.endpoint_id)
            .where(
                *conditions(tenant_id, wanted),
                Delivery.completed_at < cutoff,
                Delivery.id >= window.low,
                Delivery.id < window.high,
            )
            .order_by(Delivery.id)
            .limit(limit)
        )
        return [Candidate(*row) for row in rows]

    def places(
        self, tenant_id: str, endpoint_ids: Collection[UUID], *, lock: bool
    ) -> list[Place]:
        """Return the state of endpoints, deleted ones too.

        Args:
            tenant_id: Whose.
            endpoint_ids: Which.
            lock: Whether they stay so until the commit.  Mailboxes are locked before
                deliveries, in the order of their ids, as everywhere.
        """
        is_held = (Mailbox.breaker_openings > 0) | (
            func.coalesce(Mailbox.held_until, func.now()) > func.now()
        )
        query = (
            select(Mailbox.endpoint_id, Mailbox.state, Mailbox.region, is_held)
            .where(
                Mailbox.tenant_id == tenant_id, Mailbox.endpoint_id.in_(endpoint_ids)
            )
            .order_by(Mailbox.endpoint_id)
        )
        rows = self._session.execute(query.with_for_update() if lock else query)
        return [Place(*row) for row in rows]

    def reopen(
        self,
        replay: Replay,
        delivery_ids: Sequence[UUID],
        step: Step,
    ) -> list[UUID]:
        """Make these pending, if they ended before the cut-off; return whose.

        Args:
            replay: Whose doing it is.
            delivery_ids: Which, in the order in which they fall due.
            step: When they fall due.
        """
        rows = self._session.execute(
            _REOPEN,
            {
                "replay": replay.id,
                "tenant": replay.tenant_id,
                "cutoff": replay.cutoff,
                "ids": uuids(delivery_ids),
                "start": step.start,
                "gap_s": step.gap_s,
            },
        )
        return list(rows.scalars())

    def outcome(
        self, replay: Replay, window: Window, within: timedelta
    ) -> dict[str, int] | None:
        """Return the status of what a replay reopened; None if it takes too long.

        Args:
            replay: Which replay.
            window: Bounds of the ids that it has come to.
            within: How long it may take.
        """
        query = select(Delivery.status, func.count()).where(
            Delivery.tenant_id == replay.tenant_id, Delivery.replay_id == replay.id
        )
        if replay.delivery_ids is None:
            query = query.where(Delivery.id >= window.low, Delivery.id < window.high)
        else:
            query = query.where(Delivery.id.in_(replay.delivery_ids))
        try:
            with Bounded(self._session, within):
                rows = self._session.execute(query.group_by(Delivery.status))
                return {row[0]: row[1] for row in rows}
        except TookTooLong:
            return None

    def endpoints_of(self, tenant_id: str, endpoint_id: UUID | None) -> Sequence[UUID]:
        """Return a tenant's endpoints, or the one, if it is not deleted."""
        query = select(Endpoint.id).where(
            Endpoint.tenant_id == tenant_id, Endpoint.deleted_at.is_(None)
        )
        if endpoint_id is not None:
            query = query.where(Endpoint.id == endpoint_id)
        return self._session.scalars(query).all()

    def lock_creation(self, tenant_id: str) -> None:
        """Let nobody else create a replay of the tenant's until the commit."""
        self._session.execute(_LOCK_CREATION, {"tenant": tenant_id})

    def lately(self, tenant_id: str, since: datetime, limit: int) -> Sequence[Replay]:
        """Return a tenant's replays that have not ended or did so since a time.

        The newest first.
        """
        return self._session.scalars(
            select(Replay)
            .where(
                Replay.tenant_id == tenant_id,
                or_(Replay.finished_at.is_(None), Replay.finished_at >= since),
            )
            .order_by(Replay.id.desc())
            .limit(limit)
        ).all()
