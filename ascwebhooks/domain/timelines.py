"""Timelines: a tenant's usage, alerts and deliveries on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from ascwebhooks.domain.budgets import EXACT
from ascwebhooks.domain.statistics import Grain
from ascwebhooks.domain.statistics import Tally as Deliveries
from ascwebhooks.domain.usage import OTHER, Tally, quantile_ms
from ascwebhooks.errors import InvalidInput

_COUNTS = (
    *("completed", "blocked", "denials", "fallbacks", "rate_limited"),
    *("unpriced", "input_tokens", "output_tokens"),
)
#: So many steps there are at most, and so many groups; the rest are put together.
MOST_STEPS = 1_500
MOST_STEPS_OF_GROUPS = 300
MOST_GROUPS = 20


class Axis(NamedTuple):
    """Steps of time, from ``begins`` to before ``ends``."""

    begins: datetime
    ends: datetime
    step_s: int

    def floor(self, at: datetime) -> datetime:
        """Return when the step began in which ``at`` lies."""
        whole = int(at.timestamp()) // self.step_s * self.step_s
        return datetime.fromtimestamp(whole, UTC)

    def times(self) -> list[datetime]:
        """Return when each step begins."""
        step, count = timedelta(seconds=self.step_s), (self.ends - self.begins)
        return [self.begins + n * step for n in range(count // step)]


def axis(since: datetime, until: datetime, step_s: int, most: int = MOST_STEPS) -> Axis:
    """Return whole steps that hold what is asked for.

    Args:
        since: From then on.
        until: Before then.
        step_s: How long a step is, in seconds: whole minutes.
        most: How many steps there may be.

    Raises:
        InvalidInput: If it ends before it begins, or has too many steps.
    """
    if step_s < Grain.MINUTE.value or step_s % Grain.MINUTE.value:
        raise InvalidInput("step: a number of whole minutes.", field="step")
    if since >= until:
        raise InvalidInput("from: it is before to.", field="from")
    if (until - since).total_seconds() / step_s > most:
        raise InvalidInput(
            f"step: more than {most} of them; take longer ones.", field="step"
        )
    begins = Axis(since, until, step_s).floor(since)
    ends = Axis(since, until, step_s).floor(until - timedelta(microseconds=1))
    return Axis(begins, ends + timedelta(seconds=step_s), step_s)


@dataclass
class Used:
    """What was used in a step, by currency what it cost."""

    tally: Tally = field(default_factory=Tally)
    spend: dict[str, Decimal] = field(default_factory=dict)

    def add(self, currency: str, tally: Tally) -> None:
        """Add what cost something in a currency, or in none."""
        self.tally.add(tally)
        if currency:
            before = self.spend.get(currency, Decimal(0))
            self.spend[currency] = EXACT.add(before, tally.spend)

    def quantiles(self) -> dict[str, float | None]:
        """Return how long answers and their first tokens took, in milliseconds."""
        took, first = self.tally.durations, self.tally.first_tokens
        return {
            "duration_p50_ms": quantile_ms(took, 0.5),
            "duration_p95_ms": quantile_ms(took, 0.95),
            "time_to_first_token_p50_ms": quantile_ms(first, 0.5),
            "time_to_first_token_p95_ms": quantile_ms(first, 0.95),
        }


@dataclass(frozen=True)
class Point:
    """A step of a timeline; ``group`` says what it is of, ``{}`` for all.

    ``alerts`` and ``deliveries`` are the tenant's, and None for a group.
    """

    at: datetime
    group: dict[str, str]
    used: Used
    alerts: int | None = None
    deliveries: Deliveries | None = None


class Piece(NamedTuple):
    """What was used: when its step began, by whom, in what currency."""

    begins: datetime
    group: str
    currency: str
    tally: Tally


def whole(
    along: Axis,
    used: Iterable[Piece],
    alerts: Mapping[datetime, int],
    deliveries: Mapping[datetime, Deliveries],
) -> list[Point]:
    """Return all of a tenant's together: one point for each step.

    Args:
        along: The steps.
        used: Of no group.
        alerts: How many opened, by when their step began.
        deliveries: What attempts came to, by when they were summed up.
    """
    found = {at: Used() for at in along.times()}
    for each in used:
        if each.begins in found:
            found[each.begins].add(each.currency, each.tally)
    sent = dict.fromkeys(found, Deliveries())
    for at, tally in deliveries.items():
        place = along.floor(at)
        if place in sent:
            sent[place] = sent[place].plus(tally)
    return [
        Point(at, {}, each, alerts.get(at, 0), sent[at]) for at, each in found.items()
    ]


def grouped(along: Axis, used: Sequence[Piece]) -> list[Point]:
    """Return points by group, without those of nothing; few groups for themselves."""
    totals: dict[str, int] = {}
    for each in used:
        totals[each.group] = totals.get(each.group, 0) + each.tally.requests
    most = sorted(totals, key=lambda name: (-totals[name], name))[:MOST_GROUPS]
    found: dict[tuple[datetime, str], Used] = {}
    for each in used:
        group = each.group if each.group in most else OTHER
        place = max(each.begins, along.begins)
        found.setdefault((place, group), Used()).add(each.currency, each.tally)
    return [Point(at, _named(group), found[at, group]) for at, group in sorted(found)]


def _named(group: str) -> dict[str, str]:
    if group == OTHER:
        return {OTHER: "true"}
    found: dict[str, str] = msgspec.json.decode(group)
    return found


def facts(point: Point) -> dict[str, Any]:
    """Return a point by the names that the API gives it."""
    tally = point.used.tally
    return {
        "at": point.at,
        "group": point.group or None,
        "requests": tally.requests,
        "errors": tally.of("failed"),
        **{name: tally.of(name) for name in _COUNTS},
        "spend": {name: f"{each:f}" for name, each in point.used.spend.items()},
        "by_status": tally.by_status,
        **point.used.quantiles(),
        "alerts": point.alerts,
        "deliveries": point.deliveries,
    }
