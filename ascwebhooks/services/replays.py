"""Replays: sending again what had ended, as a whole, at a pace, under control.

A replay is created with a cut-off and reopens, in batches and in the background
(``services.walking``), what had ended by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.replays import (
    Plan,
    ReplayState,
    Selection,
    remaining,
)
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services.replay_counts import Counted, Counting, plan_of, window_of
from ascwebhooks.services.replay_wishes import told_of, wanted_of
from ascwebhooks.services.rivals import refuse_taken, rivals_of
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Replay
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

_OUTCOME_WITHIN = timedelta(seconds=2)
#: What putting a replay into a state is called.
_DONE = {
    ReplayState.PAUSED: "paused",
    ReplayState.RUNNING: "resumed",
    ReplayState.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Progress:
    """A replay, and what became of what it reopened; None if counting took too long."""

    replay: Replay
    plan: Plan
    outcome: Mapping[str, int] | None = None
    counted: Counted | None = None

    @property
    def done(self) -> int:
        """How many it has come to."""
        return self.replay.reopened + self.replay.skipped

    @property
    def remaining(self) -> timedelta | None:
        """How long it is going to take; None if nothing can be said."""
        row = self.replay
        return remaining(
            row.total - self.done,
            self.done,
            row.rate_per_s,
            row.updated_at - row.created_at,
        )


class Replays:
    """Use cases of replays."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        *,
        entropy: Callable[[int], bytes],
        wake: Callable[[], None],
        retention: timedelta,
        counting: Counting | None = None,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            entropy: Returns so many random bytes.
            wake: Asks for a walker, after the commit; beat asks each second too.
            retention: How long deliveries are kept.
            counting: Counts what a replay is about; by default in ``COUNT_WITHIN``.
        """
        self._uow = uow
        self._entropy = entropy
        self._wake = wake
        self._retention = retention
        self._counting = counting or Counting(retention)

    def preview(
        self,
        tenant_id: str,
        *,
        deliveries: Sequence[UUID] | None = None,
        filter: DeliveryFilters | None = None,
    ) -> Counted:
        """Return what ``create`` would be about, and make nothing; see there."""
        wanted = wanted_of(deliveries, filter)
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return self._counting.count(uow, tenant_id, deliveries, wanted, uow.now())

    def create(
        self,
        tenant_id: str,
        *,
        deliveries: Sequence[UUID] | None = None,
        filter: DeliveryFilters | None = None,
        rate_per_s: int | None = None,
        created_by: str = "",
        unless_taken: bool = False,
    ) -> Progress:
        """Begin to send again what has ended by now.

        Args:
            tenant_id: Whose.
            deliveries: Which; each may have ended in any way.
            filter: Or what they have in common; dead letters unless its status says
                otherwise.
            rate_per_s: How many may fall due in a second.
            created_by: Who asked.
            unless_taken: Refuse if there is nothing to do, or another replay may be
                about the same; else each delivery is reopened by one of them.

        Raises:
            InvalidInput: If it is not either ids or a filter, or a value is no good.
            NotFound: If there is no such tenant, or it has no such delivery.
            Conflict: If retention has removed a delivery that is asked for by id, or
                another replay has taken these.
        """
        wanted = wanted_of(deliveries, filter)
        if rate_per_s is not None and rate_per_s < 1:
            raise InvalidInput("at least one a second.", field="rate_per_s")
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            if unless_taken:
                uow.replays.lock_creation(tenant_id)
            now = uow.now()
            counted = self._counting.count(uow, tenant_id, deliveries, wanted, now)
            if unless_taken:
                chosen = Selection(deliveries, wanted)
                refuse_taken(rivals_of(uow, tenant_id, chosen, now), counted)
            plan = Plan(wanted, counted.is_exact, horizon=uow.replays.horizon())
            replay = Replay(
                id=ids.uuid7(_ms(now), self._entropy(10)),
                tenant_id=tenant_id,
                state=ReplayState.RUNNING,
                criteria=msgspec.to_builtins(plan),
                delivery_ids=None if deliveries is None else sorted(set(deliveries)),
                rate_per_s=rate_per_s,
                cutoff=now,
                total=counted.total,
                created_by=created_by,
            )
            self._begin(uow, replay, wanted)
            uow.commit()
        log.info("replay_created", total=counted.total, **_names(replay))
        return Progress(replay, plan, {}, counted)

    def _begin(
        self, uow: UnitOfWork, replay: Replay, wanted: DeliveryFilters | None
    ) -> None:
        uow.replays.add(replay)
        uow.after_commit(self._wake)
        uow.audit.record(
            "replay.created",
            Kind.REPLAY,
            replay.id,
            tenant_id=replay.tenant_id,
            total=replay.total,
            filter=told_of(wanted),
            rate_per_s=replay.rate_per_s,
        )

    def rivals(
        self,
        tenant_id: str,
        *,
        deliveries: Sequence[UUID] | None = None,
        filter: DeliveryFilters | None = None,
    ) -> list[Progress]:
        """Return the replays of late that may be about the same, the newest first."""
        chosen = Selection(deliveries, wanted_of(deliveries, filter))
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            found = rivals_of(uow, tenant_id, chosen, uow.now())
        return [Progress(each, plan_of(each)) for each in found]

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None = None,
        limit: int = 50,
        state: str | None = None,
    ) -> list[Progress]:
        """Return a tenant's replays, the newest first.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            rows = uow.replays.page(tenant_id, after=after, limit=limit, state=state)
        return [Progress(row, plan_of(row)) for row in rows]

    def look(self, tenant_id: str, replay_id: UUID) -> Progress:
        """Return how far a replay is: as ``get``, without what became of it.

        Raises:
            NotFound: If the tenant has no such replay.
        """
        with self._uow() as uow:
            replay = _find(uow, tenant_id, replay_id)
        return Progress(replay, plan_of(replay))

    def get(self, tenant_id: str, replay_id: UUID) -> Progress:
        """Return how far a replay is, and what became of what it reopened.

        Raises:
            NotFound: If the tenant has no such replay.
        """
        with self._uow() as uow:
            replay = _find(uow, tenant_id, replay_id)
            return self._progress(uow, replay)

    def pause(self, tenant_id: str, replay_id: UUID) -> Progress:
        """Reopen no more for now; what was reopened goes out.

        Raises:
            NotFound: If the tenant has no such replay.
            Conflict: If it has ended.
        """
        return self._change(tenant_id, replay_id, ReplayState.PAUSED)

    def resume(self, tenant_id: str, replay_id: UUID) -> Progress:
        """Go on after a pause, from where it was.

        Raises:
            NotFound: If the tenant has no such replay.
            Conflict: If it has ended.
        """
        return self._change(tenant_id, replay_id, ReplayState.RUNNING)

    def cancel(self, tenant_id: str, replay_id: UUID) -> Progress:
        """Reopen no more, for good; what was reopened goes out.

        Raises:
            NotFound: If the tenant has no such replay.
            Conflict: If it has ended.
        """
        return self._change(tenant_id, replay_id, ReplayState.CANCELLED)

    def _change(self, tenant_id: str, replay_id: UUID, state: ReplayState) -> Progress:
        with self._uow() as uow:
            # Whoever walks it holds this lock for a batch: it is waited for.
            replay = _find(uow, tenant_id, replay_id, lock=True)
            if replay.finished_at is not None:
                raise Conflict(f"the replay is {replay.state} already.")
            replay.state = state
            if state is ReplayState.CANCELLED:
                replay.finished_at = uow.now()
            uow.flush()
            progress = self._progress(uow, replay)
            if state is ReplayState.RUNNING:
                uow.after_commit(self._wake)
            action = f"replay.{_DONE[state]}"
            uow.audit.record(action, Kind.REPLAY, replay_id, tenant_id=tenant_id)
            uow.commit()
        log.info("replay_changed", state=state.value, **_names(replay))
        return progress

    def _progress(self, uow: UnitOfWork, replay: Replay) -> Progress:
        plan = plan_of(replay)
        window = window_of(replay, plan, self._retention)
        outcome = uow.replays.outcome(replay, window, _OUTCOME_WITHIN)
        return Progress(replay, plan, outcome)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _names(replay: Replay) -> dict[str, Any]:
    return {
        "tenant_id": replay.tenant_id,
        "replay_id": ids.show(Kind.REPLAY, replay.id),
    }


def _find(
    uow: UnitOfWork, tenant_id: str, replay_id: UUID, *, lock: bool = False
) -> Replay:
    find_tenant(uow, tenant_id)
    replay = uow.replays.find(tenant_id, replay_id, lock=lock)
    if replay is None:
        raise NotFound(f"there is no replay {ids.show(Kind.REPLAY, replay_id)}.")
    return replay
