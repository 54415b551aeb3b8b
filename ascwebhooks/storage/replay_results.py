"""Statements about what became of what a replay came to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.delivery_filters import conditions
from ascwebhooks.storage.models import Delivery, Replay


class ReplayResultRepository:
    """Deliveries that replays came to."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def skipped(
        self,
        replay: Replay,
        wanted: DeliveryFilters | None,
        window: Window,
        limit: int,
    ) -> Sequence[Delivery]:
        """Return what a replay came to and did not reopen, the newest first.

        Args:
            replay: Which replay.
            wanted: Its filter; None if ids were given.
            window: Bounds of the ids that it has come to.
            limit: How many.
        """
        query = select(Delivery).where(
            Delivery.id >= window.low,
            Delivery.id < window.high,
            Delivery.replay_id.is_distinct_from(replay.id),
        )
        if wanted is None:
            query = query.where(
                Delivery.tenant_id == replay.tenant_id,
                Delivery.id.in_(replay.delivery_ids or ()),
            )
        else:
            query = query.where(
                *conditions(replay.tenant_id, wanted),
                Delivery.completed_at < replay.cutoff,
            )
        return self._session.scalars(
            query.order_by(Delivery.id.desc()).limit(limit)
        ).all()
