"""Samples of gauges: how much is due, dead or failing, from time to time.

A level is not a sum: of a longer time the highest sample is told.  What could not be
read in time is None, and is no zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from ascwebhooks.domain.statistics import Span


class Sample(NamedTuple):
    """How it stood at a time, or how high it stood within one; None if not sampled.

    ``oldest_due_s``: for how long the first delivery had been due at an active
    endpoint, 0 if none was.  ``stream_lag`` is of the platform alone.
    """

    due: int | None = None
    oldest_due_s: float | None = None
    dead_letters: int | None = None
    failing_endpoints: int | None = None
    disabled_endpoints: int | None = None
    stream_lag: int | None = None

    def beside(self, platform: Sample) -> Sample:
        """Return a tenant's sample beside the platform's of the same time.

        Tenants of whom there is nothing to tell are not written down: what was
        sampled of all and not of this one was nothing.
        """
        known = {
            name: 0
            for name, of_all in platform._asdict().items()
            if of_all is not None and getattr(self, name) is None
        }
        return self._replace(**{**known, "stream_lag": None})


class Due(NamedTuple):
    """What is due of a tenant: how much, and for how long the first has been."""

    deliveries: int
    oldest_s: float


class Ill(NamedTuple):
    """Endpoints of a tenant that are failing, and those that are disabled."""

    failing: int
    disabled: int


class Taken(NamedTuple):
    """One sampling: of the platform, and of tenants of whom there is any to tell."""

    platform: Sample
    tenants: Mapping[str, Sample]


def taken(
    due: Mapping[str, Due] | None,
    dead: Mapping[str, int] | None,
    ill: Mapping[str, Ill] | None,
    stream_lag: int | None,
) -> Taken:
    """Return what was read of each tenant as samples, and all of them together.

    Args:
        due: By tenant; None if it was not read in time, as with the others.
        dead: Dead letters by tenant.
        ill: By tenant.
        stream_lag: Entries of the stream that nobody has read.
    """
    names = {*(due or ()), *(dead or ()), *(ill or ())}
    tenants = {
        name: _sample(
            None if due is None else due.get(name, Due(0, 0.0)),
            None if dead is None else dead.get(name, 0),
            None if ill is None else ill.get(name, Ill(0, 0)),
        )
        for name in names
    }
    platform = _sample(
        None if due is None else _all_due(due.values()),
        None if dead is None else sum(dead.values()),
        None if ill is None else _all_ill(ill.values()),
    )
    return Taken(
        platform._replace(stream_lag=stream_lag),
        {name: each for name, each in tenants.items() if any(each)},
    )


def _sample(due: Due | None, dead: int | None, ill: Ill | None) -> Sample:
    return Sample(
        due and due.deliveries,
        due and due.oldest_s,
        dead,
        ill and ill.failing,
        ill and ill.disabled,
    )


def _all_due(found: Collection[Due]) -> Due:
    oldest_s = max((each.oldest_s for each in found), default=0.0)
    return Due(sum(each.deliveries for each in found), oldest_s)


def _all_ill(found: Collection[Ill]) -> Ill:
    return Ill(
        sum(each.failing for each in found), sum(each.disabled for each in found)
    )


@dataclass(frozen=True)
class History:
    """How it stood in a span: a sample for each step, the oldest first.

    ``step`` is how long each is; the last one has not ended.
    """

    begins: datetime
    step: timedelta
    samples: Sequence[Sample]


def history(found: Mapping[int, Sample], span: Span, now: datetime) -> History:
    """Return the samples of a span in its steps.

    Args:
        found: Samples by the number of their step; those that are not there are gaps.
        span: How far back, and in what steps.
        now: PostgreSQL's clock.
    """
    count = span.back_s // span.step_s
    samples = [found.get(n, Sample()) for n in range(count)]
    return History(span.begins(now), timedelta(seconds=span.step_s), samples)
