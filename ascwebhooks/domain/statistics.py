"""Statistics: what attempts came to, minute by minute, and how it is shown.

A tally counts attempts and puts their durations into buckets; tallies add up, so an
hour is the sum of its minutes and a tenant that of its endpoints.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple

#: Upper bounds of the buckets of durations, in milliseconds; the last one is open.
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
BUCKETS = len(BOUNDS_MS) + 1
_MOST_MS = 30_000.0


class Grain(Enum):
    """How long the time is that one tally is about; the value in seconds."""

    MINUTE = 60
    HOUR = 3_600

    def floor(self, at: datetime) -> datetime:
        """Return when the minute or the hour of ``at`` began."""
        return _floor(at, self.value)


class Span(StrEnum):
    """How far back is looked."""

    HOUR = "1h"
    DAY = "24h"
    #: The same in a few steps: for many at once.
    DAY_BY_HOUR = "24h by hour"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def back_s(self) -> int:
        """How far, in seconds."""
        return _SPANS[self][0]

    @property
    def step_s(self) -> int:
        """How long each step is, in seconds."""
        return _SPANS[self][1]

    @property
    def grain(self) -> Grain:
        """Of what tallies it is made."""
        return Grain.HOUR if self.step_s % Grain.HOUR.value == 0 else Grain.MINUTE

    def begins(self, now: datetime) -> datetime:
        """Return the beginning of its first step; the last one is that of ``now``."""
        last = _floor(now, self.step_s)
        return last - timedelta(seconds=self.back_s - self.step_s)


_DAY_S = 86_400
_SPANS = {
    Span.HOUR: (3_600, 60),
    Span.DAY: (_DAY_S, 900),
    Span.DAY_BY_HOUR: (_DAY_S, 3_600),
    Span.WEEK: (7 * _DAY_S, 3 * 3_600),
    Span.MONTH: (30 * _DAY_S, 12 * 3_600),
}


def _floor(at: datetime, seconds: int) -> datetime:
    whole = int(at.timestamp()) // seconds * seconds
    return datetime.fromtimestamp(whole, UTC)


class Tally(NamedTuple):
    """Attempts by what they came to, and how many took how long.

    ``failed`` attempts are those without success, ``dead_lettered`` those of them
    after which there is no other; ``durations`` counts all, by ``BOUNDS_MS``.
    ``ended`` are no attempts: deliveries that became dead letters without one.
    """

    delivered: int = 0
    failed: int = 0
    dead_lettered: int = 0
    durations: tuple[int, ...] = (0,) * BUCKETS
    ended: int = 0

    @property
    def attempts(self) -> int:
        """How many there were."""
        return self.delivered + self.failed

    @property
    def dead(self) -> int:
        """How many deliveries became dead letters, by an attempt or without one."""
        return self.dead_lettered + self.ended

    @property
    def success_rate(self) -> float | None:
        """What share of the attempts succeeded, 0 to 1; None without attempts."""
        return self.delivered / self.attempts if self.attempts else None

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.dead_lettered + other.dead_lettered,
            tuple(map(sum, zip(self.durations, other.durations, strict=True))),
            self.ended + other.ended,
        )

    def quantile_ms(self, share: float) -> float | None:
        """Return how long the quickest ``share`` of the attempts took at most.

        Within a bucket the attempts count as evenly spread.

        Args:
            share: From 0 to 1, as 0.95.

        Returns:
            Milliseconds; None without attempts.
        """
        rank = share * sum(self.durations)
        if not rank:
            return None
        below, low = 0, 0.0
        for count, high in zip(self.durations, (*BOUNDS_MS, _MOST_MS), strict=True):
            if count and below + count >= rank:
                return low + (high - low) * (rank - below) / count
            below, low = below + count, float(high)
        return low


def bucket(duration_ms: float) -> int:
    """Return the number of the bucket of a duration."""
    return bisect_left(BOUNDS_MS, duration_ms)


class Mark(NamedTuple):
    """One attempt, as it is counted."""

    delivered: bool
    dead_lettered: bool
    duration_ms: float


def count(marks: Iterable[Mark]) -> Tally:
    """Return the tally of attempts."""
    delivered = failed = dead = 0
    durations = [0] * BUCKETS
    for mark in marks:
        delivered += mark.delivered
        failed += not mark.delivered
        dead += mark.dead_lettered
        durations[bucket(mark.duration_ms)] += 1
    return Tally(delivered, failed, dead, tuple(durations))


@dataclass(frozen=True)
class Series:
    """What happened in a span: a tally for each step, the oldest first.

    ``step`` is how long each is; the last one has not ended.
    """

    begins: datetime
    step: timedelta
    tallies: Sequence[Tally]

    @property
    def total(self) -> Tally:
        """All of it together."""
        total = Tally()
        for each in self.tallies:
            total = total.plus(each)
        return total

    def times(self) -> list[datetime]:
        """Return when each step began."""
        return [self.begins + n * self.step for n in range(len(self.tallies))]


def series(found: Mapping[datetime, Tally], span: Span, now: datetime) -> Series:
    """Return the tallies of a span in its steps, empty ones where there are none.

    Args:
        found: Tallies by when their minute or hour began.
        span: How far back, and in what steps.
        now: PostgreSQL's clock.
    """
    begins = span.begins(now)
    tallies = [Tally()] * (span.back_s // span.step_s)
    for at, tally in found.items():
        place = int((at - begins).total_seconds()) // span.step_s
        if 0 <= place < len(tallies):
            tallies[place] = tallies[place].plus(tally)
    return Series(begins, timedelta(seconds=span.step_s), tallies)
