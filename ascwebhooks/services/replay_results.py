"""Results of replays: what became of each delivery that one came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.ids import Kind, Window
from ascwebhooks.domain.replays import Plan, Skipped, why_skipped
from ascwebhooks.errors import NotFound
from ascwebhooks.services.replay_counts import plan_of, window_of
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Delivery, Replay
from ascwebhooks.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Resulted:
    """A delivery that a replay came to; ``skipped`` says why it was not reopened."""

    delivery: Delivery
    skipped: Skipped | None = None


class ReplayResults:
    """Reads what became of deliveries that were replayed."""

    def __init__(self, uow: Callable[[], UnitOfWork], retention: timedelta) -> None:
        """Take how long deliveries are kept."""
        self._uow = uow
        self._retention = retention

    def reopened(
        self,
        tenant_id: str,
        replay_id: UUID,
        *,
        status: Status | None = None,
        after: UUID | None = None,
        limit: int = 50,
    ) -> list[Resulted]:
        """Return what a replay reopened, the newest first.

        Args:
            tenant_id: Whose.
            replay_id: Which replay.
            status: Only those that are so now.
            after: The last id of the page before.
            limit: How many.

        Raises:
            NotFound: If the tenant has no such replay.
        """
        with self._uow() as uow:
            replay, plan = _find(uow, tenant_id, replay_id)
            window = self._come_to(replay, plan, after)
            if window is None:
                return []
            rows = uow.deliveries.page(
                tenant_id,
                after=window.high,
                limit=limit,
                replay_id=replay_id,
                status=status,
                since=None if plan.filter is None else plan.filter.get("since"),
            )
        return [Resulted(each) for each in rows]

    def skipped(
        self,
        tenant_id: str,
        replay_id: UUID,
        *,
        after: UUID | None = None,
        limit: int = 50,
    ) -> list[Resulted]:
        """Return what a replay came to and did not reopen, and why; see ``reopened``.

        What another replay took before this one came there is not among them: the
        filter does not find it any more.
        """
        with self._uow() as uow:
            replay, plan = _find(uow, tenant_id, replay_id)
            window = self._come_to(replay, plan, after)
            if window is None:
                return []
            rows = uow.replay_results.skipped(replay, plan.filter, window, limit)
            reasons = _reasons(uow, replay, rows)
        return [Resulted(each, reasons[each.id]) for each in rows]

    def _come_to(self, replay: Replay, plan: Plan, after: UUID | None) -> Window | None:
        """Return the bounds of what it has come to, before ``after``."""
        if replay.cursor is None:
            return None
        low, _ = window_of(replay, plan, self._retention)
        if replay.delivery_ids:
            low = min(replay.delivery_ids)
        high = ids.from_int(replay.cursor.int + 1)
        return Window(low, high if after is None else min(after, high))


def _reasons(
    uow: UnitOfWork, replay: Replay, rows: Sequence[Delivery]
) -> dict[UUID, Skipped]:
    owners = {each.endpoint_id for each in rows}
    places = uow.replays.places(replay.tenant_id, owners, lock=False)
    found = {each.endpoint_id: each for each in places}
    regions = find_tenant(uow, replay.tenant_id).allowed_regions
    return {
        each.id: why_skipped(
            each.status,
            is_other_replays=each.replay_id is not None
            and each.status == Status.PENDING,
            endpoint_state=place.state if place else None,
            allowed=place is not None and place.region in regions,
        )
        for each in rows
        for place in (found.get(each.endpoint_id),)
    }


def _find(uow: UnitOfWork, tenant_id: str, replay_id: UUID) -> tuple[Replay, Plan]:
    find_tenant(uow, tenant_id)
    replay = uow.replays.find(tenant_id, replay_id)
    if replay is None:
        raise NotFound(f"there is no replay {ids.show(Kind.REPLAY, replay_id)}.")
    return replay, plan_of(replay)
