"""Replays: their states, what they are asked for, and how fast they go."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters

#: What has not ended cannot be replayed: ``retry`` moves its due time.
REPLAYABLE = (Status.DEAD_LETTERED, Status.CANCELLED, Status.DELIVERED)
MAX_IDS = 10_000
#: So many are reopened in one transaction, at most.
BATCH = 1_000
#: How far ahead of the clock a replay with a rate makes deliveries due: as long may
#: a pause take to be felt.
_AHEAD = timedelta(seconds=2)


class ReplayState(StrEnum):
    """Where a replay is; the last two are final."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a replay was asked for and has to remember, as its row keeps it in JSON.

    Args:
        filter: Which deliveries; None if their ids were given.
        total_is_exact: Whether counting came to its end in the time it had.
        paced_until: When the last delivery that it reopened falls due.
        horizon: The number of the transaction that made it: until all before
            it have ended, what ended before the cut-off may not be seen yet.
    """

    filter: DeliveryFilters | None = None
    total_is_exact: bool = True
    paced_until: datetime | None = None
    horizon: int | None = None


class Step(NamedTuple):
    """How many deliveries may be reopened now, and when they fall due.

    The first one at ``start``, each of the others ``gap_s`` after the one before.
    """

    size: int
    start: datetime
    gap_s: float

    def paced_until(self, count: int) -> datetime:
        """Return when the next one may fall due, after ``count`` were reopened."""
        return self.start + timedelta(seconds=count * self.gap_s)


def next_step(
    rate_per_s: int | None, paced_until: datetime | None, now: datetime
) -> Step:
    """Return what a replay may do now.

    Args:
        rate_per_s: How many may fall due in a second; None is as many as there are.
        paced_until: What ``Step.paced_until`` said the last time.
        now: PostgreSQL's clock.
    """
    if rate_per_s is None:
        return Step(BATCH, now, 0.0)
    start = max(now, paced_until or now)
    room = (now + _AHEAD - start).total_seconds() * rate_per_s
    return Step(min(BATCH, max(0, round(room))), start, 1 / rate_per_s)
