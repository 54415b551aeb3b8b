"""How an endpoint has been doing, and what follows for when and where it is served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from ascwebhooks.domain.deliveries import ErrorClass, Outcome

#: After so many failures in a row an endpoint is served by the slow process.
SLOW_AFTER_FAILURES = 3
#: An answer that took this long makes its endpoint a slow one.
SLOW_ANSWER_MS = 2_000.0
#: So many failures in a row open the breaker.
BREAKER_FAILURES = 10
#: How long the breaker stays open, the first time and at most; it doubles.
BREAKER_OPEN = timedelta(seconds=30)
BREAKER_OPEN_MAX = timedelta(minutes=15)
#: Answers whose ``Retry-After`` is about the endpoint, not about one request.
HOLDING_STATUSES = frozenset({429, 503})
HOLD_MAX = timedelta(hours=24)
#: No success for so long, so many failures at least, and one of them not long ago.
FAILING_FOR = timedelta(days=5)
FAILING_FAILURES = 10
FAILED_LATELY = timedelta(hours=24)
_HANGING = frozenset({ErrorClass.TIMEOUT, ErrorClass.CONNECT_TIMEOUT})


class DisabledReason(StrEnum):
    """Why an endpoint was disabled, as its ``disabled_reason`` says it."""

    GONE = "gone"
    FAILING = "failing"


def streak(before: int, outcome: Outcome) -> int:
    """Return how many failures there are in a row after ``outcome``.

    What failed on our side says nothing of the receiver, and leaves it as it was.
    """
    if outcome.error is None:
        return 0
    return before if outcome.error is ErrorClass.INTERNAL else before + 1


class Condition(StrEnum):
    """What endpoints are looked for by; the last three are active.

    ``BARRED``: nothing is sent for now, since the breaker is open or the receiver
    asked for a pause.
    """

    PAUSED = "paused"
    DISABLED = "disabled"
    HEALTHY = "healthy"
    FAILING = "failing"
    BARRED = "barred"


class Breaker(StrEnum):
    """Whether an endpoint is served: half open, one delivery at a time finds out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint stands.

    ``openings`` counts how often in a row the breaker opened, 0 is closed; ``until``
    is when it lets a delivery probe.  ``held_until``: the receiver asked for a pause.
    """

    failures: int = 0
    openings: int = 0
    until: datetime | None = None
    held_until: datetime | None = None

    def barred_until(self) -> datetime | None:
        """Return until when nothing is to be sent; None if that was never so."""
        ends = [each for each in (self.until, self.held_until) if each is not None]
        return max(ends, default=None)

    def breaker(self, now: datetime) -> Breaker:
        """Return how the breaker is at ``now``."""
        if not self.openings:
            return Breaker.CLOSED
        barred = self.until is not None and self.until > now
        return Breaker.OPEN if barred else Breaker.HALF_OPEN


def stand(before: Standing, outcomes: Iterable[Attempted], now: datetime) -> Standing:
    """Return how an endpoint stands after these attempts, in their order.

    Ten failures in a row open the breaker, counted as they are recorded.  A probe
    that fails opens it for twice as long; what was out already when it opened does
    not.  Any success closes it.

    Args:
        before: How it stood.
        outcomes: What came of the attempts, the first one first.
        now: PostgreSQL's clock.
    """
    after = before
    for each in outcomes:
        after = _after(after, each, now)
    return after


class Attempted(NamedTuple):
    """What came of an attempt, and whether it was a probe of an open breaker."""

    outcome: Outcome
    probe: bool = False


def _after(before: Standing, attempted: Attempted, now: datetime) -> Standing:
    outcome = attempted.outcome
    if outcome.error is None:
        # The way of nearly every attempt: nothing is made anew for it.
        if not (before.failures or before.openings or before.until):
            return before
        return replace(before, failures=0, openings=0, until=None)
    if outcome.error is ErrorClass.INTERNAL:
        return before  # it says nothing of the receiver, as a probe neither
    failures = streak(before.failures, outcome)
    after = replace(before, failures=failures, held_until=_held(before, outcome, now))
    if attempted.probe or (not before.openings and failures >= BREAKER_FAILURES):
        openings = before.openings + 1
        return replace(after, openings=openings, until=now + open_for(openings))
    return after


def open_for(openings: int) -> timedelta:
    """Return how long the breaker stays open after it opened ``openings`` times."""
    doublings = min(openings - 1, 16)
    return min(BREAKER_OPEN * (1 << doublings), BREAKER_OPEN_MAX)


def pause(outcome: Outcome) -> timedelta | None:
    """Return for how long a receiver asked to be left alone, if it did."""
    if outcome.retry_after and outcome.status_code in HOLDING_STATUSES:
        return min(outcome.retry_after, HOLD_MAX)
    return None


def _held(before: Standing, outcome: Outcome, now: datetime) -> datetime | None:
    asked = pause(outcome)
    if asked is None:
        return before.held_until
    return max(now + asked, before.held_until or now)


def is_slow(failures: int, outcomes: Iterable[Outcome]) -> bool:
    """Return whether an endpoint belongs with the slow ones.

    An endpoint that hangs is one at once: each of its requests holds a place for
    as long as the timeout allows.
    """
    return failures >= SLOW_AFTER_FAILURES or any(
        outcome.error in _HANGING or outcome.timings.total_ms >= SLOW_ANSWER_MS
        for outcome in outcomes
    )


def is_failing(
    failures: int,
    failing_since: datetime | None,
    last_failure_at: datetime | None,
    now: datetime,
) -> bool:
    """Return whether an endpoint has failed for so long that it is to be disabled.

    Args:
        failures: How many there were in a row.
        failing_since: When the first of them was; None if there are none.
        last_failure_at: When the last one was.
        now: By the same clock.

    Source:
        CONTRACT "A receiver gets": no success for 5 days, with at least 10
        failures, one of them in the last 24 h.
    """
    if failing_since is None or last_failure_at is None or failures < FAILING_FAILURES:
        return False
    return now - failing_since >= FAILING_FOR and now - last_failure_at < FAILED_LATELY
