"""Statements about dead letters: what there is, by endpoint and reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.delivery_filters import conditions
from ascwebhooks.storage.models import Delivery


class DeadLetters(NamedTuple):
    """Dead letters of one endpoint that died of the same reason.

    ``first`` and ``last``: when the first and the last of them died.
    """

    endpoint_id: UUID
    dead_reason: str | None
    deliveries: int
    first: datetime | None
    last: datetime | None


class DeadLetterRepository:
    """Dead letters: deliveries that ended without success."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def groups(
        self, tenant_id: str, wanted: DeliveryFilters, window: Window
    ) -> Sequence[DeadLetters]:
        """Return a tenant's dead letters by endpoint and reason, most first."""
        ended = Delivery.completed_at
        rows = self._session.execute(
            select(
                Delivery.endpoint_id,
                Delivery.dead_reason,
                func.count(),
                func.min(ended),
                func.max(ended),
            )
            .where(
                *conditions(tenant_id, wanted),
                Delivery.id >= window.low,
                Delivery.id < window.high,
            )
            .group_by(Delivery.endpoint_id, Delivery.dead_reason)
            .order_by(func.count().desc(), Delivery.endpoint_id)
        )
        return [DeadLetters(*row) for row in rows]
