"""Statements about dead letters: what there is, by endpoint and reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.delivery_filters import conditions
from ascwebhooks.storage.limits import Bounded, TookTooLong
from ascwebhooks.storage.models import Delivery


class DeadLetters(NamedTuple):
    """Dead letters of one endpoint that died of the same reason and error.

    ``first`` and ``last``: when the first and the last of them died.
    """

    endpoint_id: UUID
    dead_reason: str | None
    status_code: int | None
    error: str | None
    deliveries: int
    first: datetime | None
    last: datetime | None


class DeadLetterRepository:
    """Dead letters: deliveries that ended without success."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def groups(
        self,
        tenant_id: str,
        wanted: DeliveryFilters,
        window: Window,
        within: timedelta,
        newest: int | None = None,
    ) -> list[DeadLetters] | None:
        """Return a tenant's dead letters by endpoint, reason and last error.

        Args:
            tenant_id: Whose.
            wanted: Which; its status is that of dead letters.
            window: Bounds of their ids.
            within: How long it may take.
            newest: Of how many of the newest; None for all.

        Returns:
            None if it took longer.
        """
        found = select(
            Delivery.endpoint_id,
            Delivery.dead_reason,
            Delivery.last_status_code,
            Delivery.last_error,
            Delivery.completed_at,
        ).where(
            *conditions(tenant_id, wanted),
            Delivery.id >= window.low,
            Delivery.id < window.high,
        )
        if newest is not None:
            found = found.order_by(Delivery.id.desc()).limit(newest)
        *same, ended = found.subquery().c
        query = select(*same, func.count(), func.min(ended), func.max(ended)).group_by(
            *same
        )
        try:
            with Bounded(self._session, within):
                return [DeadLetters._make(row) for row in self._session.execute(query)]
        except TookTooLong:
            return None
