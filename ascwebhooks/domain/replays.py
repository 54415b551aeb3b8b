"""Replays: their states, what they are asked for, and how fast they go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from ascwebhooks.domain.deliveries import EndpointState, Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters

#: What has not ended cannot be replayed: ``retry`` moves its due time.
REPLAYABLE = (Status.DEAD_LETTERED, Status.CANCELLED, Status.DELIVERED)
MAX_IDS = 10_000
#: So many are reopened in one transaction, at most.
BATCH = 1_000
#: How far ahead of the clock a replay with a rate makes deliveries due: as long may
#: a pause take to be felt.
_AHEAD = timedelta(seconds=2)
#: What a filter asks to be equal: where two differ, they are about other deliveries.
_EQUAL = (
    *("status", "endpoint_id", "event_type", "error", "status_code"),
    *("dead_reason", "replay_id"),
)


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


class Selection(NamedTuple):
    """What a replay is about: ids, or what deliveries have in common."""

    delivery_ids: Collection[UUID] | None
    filter: DeliveryFilters | None


def may_overlap(one: Selection, other: Selection) -> bool:
    """Return whether two replays may be about the same deliveries.

    Of ids and a filter nothing is known; they may.
    """
    if one.delivery_ids is not None and other.delivery_ids is not None:
        return not set(one.delivery_ids).isdisjoint(other.delivery_ids)
    if one.filter is None or other.filter is None:
        return True
    return _alike(one.filter, other.filter) and _meet(one.filter, other.filter)


def _alike(one: DeliveryFilters, other: DeliveryFilters) -> bool:
    pairs = ((one.get(each), other.get(each)) for each in _EQUAL)
    return all(mine is None or theirs in (None, mine) for mine, theirs in pairs)


def _meet(one: DeliveryFilters, other: DeliveryFilters) -> bool:
    """Return whether two spans of time have something in common."""
    pairs = (
        (one.get("since"), other.get("until")),
        (other.get("since"), one.get("until")),
    )
    return all(not since or not until or since < until for since, until in pairs)


def remaining(
    left: int, done: int, rate_per_s: int | None, elapsed: timedelta
) -> timedelta | None:
    """Return how long a replay is going to take, going on as it did.

    Args:
        left: How many it has not come to.
        done: How many it has.
        rate_per_s: At what rate it was asked to go.
        elapsed: What it took for those that are done.

    Returns:
        None if nothing can be said yet.
    """
    if left <= 0:
        return timedelta(0)
    if rate_per_s is not None:
        return timedelta(seconds=left / rate_per_s)
    return elapsed / done * left if done else None


class Skipped(StrEnum):
    """Why a replay did not reopen a delivery that it came to."""

    PENDING = "pending"
    TAKEN = "taken"
    DISABLED = "disabled"
    DELETED = "deleted"
    REGION = "region"
    NOT_TAKEN_THEN = "not_taken_then"


def why_skipped(
    status: str, *, is_other_replays: bool, endpoint_state: str | None, allowed: bool
) -> Skipped:
    """Return why a delivery was skipped, as far as its present state tells.

    Args:
        status: Of the delivery.
        is_other_replays: Whether another replay reopened it.
        endpoint_state: Of its endpoint.
        allowed: Whether its tenant allows the endpoint's region.
    """
    if is_other_replays:
        return Skipped.TAKEN
    if status == Status.PENDING:
        return Skipped.PENDING
    if endpoint_state == EndpointState.DISABLED:
        return Skipped.DISABLED
    if endpoint_state in (EndpointState.DELETED, None):
        return Skipped.DELETED
    return Skipped.NOT_TAKEN_THEN if allowed else Skipped.REGION
