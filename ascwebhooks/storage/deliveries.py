"""Statements about deliveries outside of a turn: finding, reopening, ending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Unpack
from uuid import UUID

from sqlalchemy import case, func, select, text, update
from sqlalchemy.orm import Session

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.arrays import uuids
from ascwebhooks.storage.delivery_filters import conditions, hints
from ascwebhooks.storage.models import Attempt, Delivery, Endpoint

_PENDING = text(
    "SELECT id FROM delivery WHERE endpoint_id = :endpoint AND tenant_id = :tenant"
    " AND status = 'pending' AND id >= :low AND id < :high"
    " ORDER BY next_attempt_at, id LIMIT :limit"
)
#: The place of a delivery that is reopened: at an endpoint in order it keeps the one
#: it has, or gets one behind all others.
PLACE = (
    "CASE WHEN delivery.position IS NULL AND (SELECT m.ordering FROM mailbox m"
    " WHERE m.endpoint_id = delivery.endpoint_id) = 'fifo'"
    " THEN nextval('delivery_position') ELSE delivery.position END"
)
_FIRST_IN_ORDER = text(
    "SELECT d.endpoint_id, d.id"
    " FROM unnest(CAST(:endpoints AS uuid[])) AS w(endpoint_id)"
    " CROSS JOIN LATERAL (SELECT endpoint_id, id FROM delivery"
    " WHERE endpoint_id = w.endpoint_id AND status = 'pending'"
    " AND position IS NOT NULL AND id >= :low AND id < :high"
    " ORDER BY position LIMIT 1) d"
)
# Before the clock is read: then a replay waits for what it does (``services.walking``).
_TAKE_NUMBER = text("SELECT pg_current_xact_id()")
_COUNT_PENDING = text(
    "SELECT count(*) FROM (SELECT FROM delivery WHERE endpoint_id = :endpoint"
    " AND status = 'pending' AND id >= :low AND id < :high LIMIT :limit) pending"
)
_PUT_IN_ORDER = text(
    "UPDATE delivery SET position = w.place FROM (SELECT id,"
    " nextval('delivery_position') AS place FROM (SELECT id FROM delivery"
    " WHERE endpoint_id = :endpoint AND status = 'pending' AND position IS NULL"
    " AND id >= :low AND id < :high ORDER BY id) pending) w"
    " WHERE delivery.id = w.id AND delivery.id >= :low AND delivery.id < :high"
)
# The ids as values: a subquery would have every partition looked into.
_END = text(
    "UPDATE delivery SET status = 'dead_lettered', dead_reason = :reason,"
    " completed_at = clock_timestamp()"
    " WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'pending'"
    " RETURNING id, tenant_id, endpoint_id"
)
_WAITING = text(
    "SELECT last_status_code, last_error FROM delivery WHERE endpoint_id = :endpoint"
    " AND tenant_id = :tenant AND status = 'pending' AND attempt_count > 0"
    " AND id >= :low AND id < :high ORDER BY next_attempt_at DESC LIMIT 1"
)


class EndedDelivery(NamedTuple):
    """A delivery that became a dead letter without an attempt."""

    id: UUID
    tenant_id: str
    endpoint_id: UUID


class DeliveryRepository:
    """Deliveries and their attempts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, tenant_id: str, delivery_id: UUID) -> Delivery | None:
        """Return the delivery, or None."""
        return self._session.scalars(
            select(Delivery).where(
                Delivery.id == delivery_id, Delivery.tenant_id == tenant_id
            )
        ).one_or_none()

    def reopen(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """Make a delivery due now; one that had ended begins its schedule anew."""
        ended = Delivery.status != Status.PENDING
        return self._session.scalars(
            update(Delivery)
            .where(Delivery.id == delivery_id, Delivery.tenant_id == tenant_id)
            .values(
                status=Status.PENDING,
                step=case((ended, 0), else_=Delivery.step),
                sent_alone=case((ended, 0), else_=Delivery.sent_alone),
                next_attempt_at=func.clock_timestamp(),
                dead_reason=None,
                completed_at=None,
                position=text(PLACE),
            )
            .returning(Delivery),
            execution_options={
                "synchronize_session": False,
                "populate_existing": True,
            },
        ).one()

    def first_in_order(
        self, endpoint_ids: Sequence[UUID], window: Window
    ) -> dict[UUID, UUID]:
        """Return the first pending delivery in order of each endpoint that has one."""
        rows = self._session.execute(
            _FIRST_IN_ORDER, {**window._asdict(), "endpoints": uuids(endpoint_ids)}
        )
        return {row.endpoint_id: row.id for row in rows}

    def more_pending(self, endpoint_id: UUID, window: Window, than: int) -> bool:
        """Return whether more than so many deliveries are pending at an endpoint."""
        counted = self._session.execute(
            _COUNT_PENDING,
            {**window._asdict(), "endpoint": endpoint_id, "limit": than + 1},
        )
        return int(counted.scalar_one()) > than

    def put_in_order(self, endpoint_id: UUID, window: Window) -> None:
        """Give what is pending without a place at an endpoint places, by its ids."""
        self._session.execute(
            _PUT_IN_ORDER, {**window._asdict(), "endpoint": endpoint_id}
        )

    def attempts(self, delivery_id: UUID) -> Sequence[Attempt]:
        """Return a delivery's attempts, the first one first."""
        return self._session.scalars(
            select(Attempt)
            .where(Attempt.delivery_id == delivery_id)
            .order_by(Attempt.id)
        ).all()

    def of_event(self, tenant_id: str, event_id: UUID) -> Sequence[Delivery]:
        """Return the deliveries of an event: they carry its millisecond."""
        low, high = ids.same_millisecond(event_id)
        return self._session.scalars(
            select(Delivery)
            .where(
                Delivery.id >= low,
                Delivery.id < high,
                Delivery.tenant_id == tenant_id,
                Delivery.event_id == event_id,
            )
            .order_by(Delivery.id)
        ).all()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        before: UUID | None = None,
        limit: int,
        **wanted: Unpack[DeliveryFilters],
    ) -> Sequence[Delivery]:
        """Return a tenant's deliveries, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            before: The first id of the page after: those that come just before it.
            limit: How many.
            wanted: Which.
        """
        query = select(Delivery).where(
            *conditions(tenant_id, wanted),
            *hints(wanted, lambda: self._endpoint_ids(tenant_id)),
        )
        if after is not None:
            query = query.where(Delivery.id < after)
        if before is None:
            order = Delivery.id.desc()
            return self._session.scalars(query.order_by(order).limit(limit)).all()
        query = query.where(Delivery.id > before).order_by(Delivery.id).limit(limit)
        return self._session.scalars(query).all()[::-1]

    def newer(
        self, tenant_id: str | None, than: UUID, limit: int
    ) -> Sequence[Delivery]:
        """Return the first deliveries after an id, the oldest first; all tenants' too.

        Args:
            tenant_id: Whose; None: whosever they are.
            than: The id.
            limit: How many.
        """
        query = select(Delivery).where(Delivery.id > than)
        if tenant_id is not None:
            query = query.where(Delivery.tenant_id == tenant_id)
        return self._session.scalars(query.order_by(Delivery.id).limit(limit)).all()

    def by_ids(self, delivery_ids: Sequence[UUID]) -> Sequence[Delivery]:
        """Return these deliveries, whosever they are, the oldest first."""
        return self._session.scalars(
            select(Delivery).where(Delivery.id.in_(delivery_ids)).order_by(Delivery.id)
        ).all()

    def _endpoint_ids(self, tenant_id: str) -> Sequence[UUID]:
        owned = select(Endpoint.id).where(Endpoint.tenant_id == tenant_id)
        return self._session.scalars(owned).all()

    def named(self, tenant_id: str, delivery_ids: Sequence[UUID]) -> Sequence[Delivery]:
        """Return those of these deliveries that are the tenant's, the newest first."""
        return self._session.scalars(
            select(Delivery)
            .where(Delivery.id.in_(delivery_ids), Delivery.tenant_id == tenant_id)
            .order_by(Delivery.id.desc())
        ).all()

    def cancel(self, tenant_id: str, delivery_id: UUID) -> Delivery | None:
        """Cancel a pending delivery; return it, or None if it is not pending.

        Whoever records a result of it meanwhile is waited for, or waits.
        """
        self._session.execute(_TAKE_NUMBER)
        return self._session.scalars(
            update(Delivery)
            .where(
                Delivery.id == delivery_id,
                Delivery.tenant_id == tenant_id,
                Delivery.status == Status.PENDING,
            )
            .values(status=Status.CANCELLED, completed_at=func.clock_timestamp())
            .returning(Delivery),
            execution_options={
                "synchronize_session": False,
                "populate_existing": True,
            },
        ).one_or_none()

    def end_pending(
        self,
        tenant_id: str,
        endpoint_id: UUID,
        reason: DeadReason,
        window: Window,
        limit: int,
    ) -> list[EndedDelivery]:
        """Dead-letter what is pending at an endpoint; return which it were."""
        given = {"endpoint": endpoint_id, "tenant": tenant_id, "limit": limit}
        chosen = self._session.execute(_PENDING, {**window._asdict(), **given})
        done = self._session.execute(
            _END, {"ids": uuids(chosen.scalars()), "reason": reason.value}
        )
        return [EndedDelivery(*row) for row in done]

    def last_failure(
        self, tenant_id: str, endpoint_id: UUID, window: Window
    ) -> tuple[int | None, str | None]:
        """Return how an attempt failed at an endpoint: its status and error.

        That of the delivery that waits longest for its next attempt, which is as a
        rule the one that failed last; None and None if none waits.
        """
        given = {"endpoint": endpoint_id, "tenant": tenant_id}
        row = self._session.execute(_WAITING, {**window._asdict(), **given}).first()
        return (None, None) if row is None else (row[0], row[1])

    def expire(self, before: UUID, limit: int) -> list[EndedDelivery]:
        """Dead-letter what is pending and about to be dropped; return which."""
        chosen = (
            select(Delivery.id)
            .where(Delivery.id < before, Delivery.status == Status.PENDING)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        given = {
            "ids": uuids(self._session.scalars(chosen)),
            "reason": DeadReason.EXPIRED.value,
        }
        return [EndedDelivery(*row) for row in self._session.execute(_END, given)]

    def counts(self, window: Window) -> dict[str, int]:
        """Return how many deliveries there are of each status."""
        rows = self._session.execute(
            select(Delivery.status, func.count())
            .where(Delivery.id >= window.low, Delivery.id < window.high)
            .group_by(Delivery.status)
        )
        return {row[0]: row[1] for row in rows}
