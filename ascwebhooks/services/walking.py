"""Walking: what running replays reopen, batch after batch.

A batch, the cursor behind it and the counts are one transaction, under the lock of
the replay's row: a walker that is killed leaves either all of it or nothing, and two
walkers never walk the same replay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.ids import Kind, Window
from ascwebhooks.domain.replays import (
    Plan,
    ReplayState,
    Step,
    next_step,
)
from ascwebhooks.services.replay_counts import plan_of, window_of
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import Replay
from ascwebhooks.storage.replays import Candidate
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: Beat asks again each second, so no run takes much longer.
_RUN_S = 1.0
#: What a replay with a rate made due is rung within this past, once a second.
_DUE_WITHIN = timedelta(seconds=15)
#: A transaction that lasts longer than this is waited for no longer.
_SETTLES_WITHIN = timedelta(seconds=30)
_OPEN = (EndpointState.ACTIVE, EndpointState.PAUSED)


class _Walked(NamedTuple):
    replay_id: UUID
    more: bool


def _settled(uow: UnitOfWork, replay: Replay, plan: Plan, now: datetime) -> bool:
    """Return whether all that had ended by the cut-off can be seen.

    Whoever ends a delivery holds a transaction's number, by the lock of the mailbox,
    before they read the clock.
    """
    if plan.horizon is None or now > replay.cutoff + _SETTLES_WITHIN:
        return True
    return uow.replays.oldest_running() >= plan.horizon


class Walking:
    """Walks replays."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        *,
        ring: Callable[[list[Due]], None],
        retention: timedelta,
    ) -> None:
        """Take the parts; ``ring`` is called after each commit."""
        self._uow = uow
        self._ring = ring
        self._retention = retention

    def walk(self, run_s: float = _RUN_S) -> int:
        """Walk each running replay in turn, a batch at a time; return the batches.

        Args:
            run_s: About how long; what is left then is walked by the next run.
        """
        deadline_s = time.monotonic() + run_s
        batches = 0
        resting: set[UUID] = set()
        served: set[UUID] = set()
        while time.monotonic() < deadline_s:
            walked = self.step(resting | served)
            if walked is not None:
                batches += 1
                (served if walked.more else resting).add(walked.replay_id)
            elif served:
                served.clear()
            else:
                break
        return batches

    def step(self, but: set[UUID] | frozenset[UUID] = frozenset()) -> _Walked | None:
        """Reopen one batch of one replay; return None if there is none to walk.

        Args:
            but: Not of one of these.
        """
        with self._uow() as uow:
            replay = uow.replays.take(but)
            if replay is None:
                return None
            plan, now = plan_of(replay), uow.now()
            if not _settled(uow, replay, plan, now):
                return _Walked(replay.id, more=False)
            step = next_step(replay.rate_per_s, plan.paced_until, now)
            more = self._batch(uow, replay, plan, step, now)
            if replay.rate_per_s is not None:
                self._ring_due(uow, replay, plan)
            uow.commit()
        return _Walked(replay.id, more)

    def _batch(
        self, uow: UnitOfWork, replay: Replay, plan: Plan, step: Step, now: datetime
    ) -> bool:
        """Reopen what comes next; return whether more can be done at once."""
        if step.size == 0:
            return False
        looked_at, found = self._next(uow, replay, plan, step.size)
        reopened = self._reopen(uow, replay, step, found)
        replay.cursor = looked_at[-1] if looked_at else replay.cursor
        replay.reopened += reopened
        replay.skipped += len(looked_at) - reopened
        replay.total = max(replay.total, replay.reopened + replay.skipped)
        if reopened and replay.rate_per_s is not None:
            plan = msgspec.structs.replace(
                plan, paced_until=step.paced_until(len(found))
            )
            replay.criteria = msgspec.to_builtins(plan)
        if len(looked_at) < step.size:
            self._finish(replay, plan, now)
            return False
        return True

    def _next(
        self, uow: UnitOfWork, replay: Replay, plan: Plan, size: int
    ) -> tuple[Sequence[UUID], list[Candidate]]:
        """Return the ids that come next, and those of them that are there."""
        if plan.filter is None:
            ahead = [
                each
                for each in replay.delivery_ids or ()
                if replay.cursor is None or each > replay.cursor
            ][:size]
            there = uow.replays.by_ids(replay.tenant_id, ahead)
            return ahead, sorted(Candidate(each.id, each.endpoint_id) for each in there)
        low, high = window_of(replay, plan, self._retention)
        if replay.cursor is not None:
            low = ids.from_int(replay.cursor.int + 1)
        found = uow.replays.after(
            replay.tenant_id, plan.filter, replay.cutoff, Window(low, high), size
        )
        return [each.id for each in found], found

    def _reopen(
        self,
        uow: UnitOfWork,
        replay: Replay,
        step: Step,
        found: list[Candidate],
    ) -> int:
        owners = {each.endpoint_id for each in found}
        # Locked before their tenant is read: then what it says holds.
        places = uow.replays.places(replay.tenant_id, owners, lock=True)
        tenant = uow.tenants.find(replay.tenant_id)
        regions = () if tenant is None else tenant.allowed_regions
        open_ = {
            each.endpoint_id: Due(each.endpoint_id, each.region)
            for each in places
            if each.state in _OPEN and each.region in regions
        }
        chosen = [each.id for each in found if each.endpoint_id in open_]
        whose = uow.replays.reopen(replay, chosen, step) if chosen else []
        due = [open_[each] for each in sorted(set(whose))]
        uow.after_commit(lambda: self._ring(due))
        return len(whose)

    def _finish(self, replay: Replay, plan: Plan, now: datetime) -> None:
        """End a replay that came to its end, once the last of it is due."""
        if plan.paced_until is not None and plan.paced_until > now:
            return
        # What others reopened before it came there was not to be seen any more.
        replay.skipped = max(replay.skipped, replay.total - replay.reopened)
        replay.state, replay.finished_at = ReplayState.FINISHED, now
        replay.criteria = msgspec.to_builtins(
            msgspec.structs.replace(plan, total_is_exact=True)
        )
        log.info(
            "replay_finished",
            tenant_id=replay.tenant_id,
            replay_id=ids.show(Kind.REPLAY, replay.id),
            reopened=replay.reopened,
            skipped=replay.skipped,
        )

    def _ring_due(self, uow: UnitOfWork, replay: Replay, plan: Plan) -> None:
        """Ring for what the batches before have made due by now.

        The retries' own bell does not know what was never attempted.
        """
        only = None if plan.filter is None else plan.filter.get("endpoint_id")
        owners = uow.replays.endpoints_of(replay.tenant_id, only)
        window = ids.window(uow.now(), self._retention)
        due = uow.mailboxes.due_among(owners, _DUE_WITHIN, window)
        uow.after_commit(lambda: self._ring(due))
