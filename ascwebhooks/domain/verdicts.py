"""Verdicts: whether all is well, and what to look at first if it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: What is due for so long is not being sent: a turn takes a fraction of a second.
STALE_S = 60.0
#: So many events on the stream are a queue, not what comes between two reads.
LAGGING = 1_000


class Level(StrEnum):
    """How much a concern matters."""

    ACT = "act"
    WATCH = "watch"


class Topic(StrEnum):
    """What a concern is about."""

    BROKER = "broker"
    STREAM = "stream"
    BACKLOG = "backlog"
    BREAKERS = "breakers"
    FAILING = "failing"
    DEAD_LETTERS = "dead_letters"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Concern:
    """Something that is not well, and what to do about it."""

    topic: Topic
    level: Level
    what: str
    advice: str


class Signs(NamedTuple):
    """What a verdict goes by; None where it could not be read.

    ``stream_lag`` and ``broker_answers`` are the platform's; ``new_dead`` is of the
    span that is looked at, ``span`` its name.  ``barred_wait`` and ``failing_wait``:
    whether a delivery waits for one of these endpoints, or may.  ``dead`` is how many
    dead letters there are, of whenever.  ``lag_is_known``: whether Valkey, which
    answers, can tell the lag.
    """

    due: int | None
    oldest_due_s: float | None
    new_dead: int
    barred: int
    failing: int
    disabled: int
    span: str
    stream_lag: int | None = None
    broker_answers: bool = True
    barred_wait: bool = True
    failing_wait: bool = True
    dead: int | None = None
    lag_is_known: bool = True


def concerns(signs: Signs) -> list[Concern]:
    """Return what is not well, what to look at first at the beginning."""
    return [*_ours(signs), *_theirs(signs)]


def _ours(signs: Signs) -> Iterator[Concern]:
    """Yield what is wrong on this side: it concerns everybody."""
    if not signs.broker_answers:
        yield Concern(
            Topic.BROKER,
            Level.ACT,
            "Valkey does not answer.",
            "Events cannot come in by the stream. Settings and health says more.",
        )
    if (signs.stream_lag or 0) > LAGGING:
        yield Concern(
            Topic.STREAM,
            Level.ACT,
            f"{signs.stream_lag:,} events wait on the stream.",
            "Start another worker with --ingest.",
        )
    if not signs.lag_is_known:
        yield Concern(
            Topic.STREAM,
            Level.ACT,
            "How much waits on the stream cannot be told.",
            "Somebody deletes from it or trims it. Settings and health says more.",
        )
    if signs.due is None:
        yield Concern(
            Topic.BACKLOG,
            Level.WATCH,
            "How much is due could not be counted in time.",
            "The database is busy, or very much is waiting.",
        )
    if (signs.oldest_due_s or 0) > STALE_S:
        yield Concern(
            Topic.BACKLOG,
            Level.ACT,
            f"Deliveries have been due for {_spoken(signs.oldest_due_s or 0)}.",
            "Look whether delivery workers run, and whether they are enough.",
        )


def _theirs(signs: Signs) -> Iterator[Concern]:
    """Yield what is wrong with receivers."""
    if signs.barred:
        yield Concern(
            Topic.BREAKERS,
            Level.ACT,
            f"{_many(signs.barred, 'endpoint fails', 'endpoints fail')} every time.",
            "The breaker is open: deliveries wait, one at a time finds out."
            if signs.barred_wait
            else "The breaker is open; nothing waits there now.",
        )
    if signs.failing:
        yield Concern(
            Topic.FAILING,
            Level.WATCH,
            f"{_many(signs.failing, 'endpoint is', 'endpoints are')} failing or asked"
            " for a pause.",
            "Deliveries are tried again by their schedule."
            if signs.failing_wait
            else "Nothing waits there now.",
        )
    # Those of a span that were replayed or cancelled since are no concern any more.
    if signs.new_dead and signs.dead != 0:
        count = _many(signs.new_dead, "delivery", "deliveries")
        left = signs.new_dead if signs.dead is None else signs.dead
        yield Concern(
            Topic.DEAD_LETTERS,
            Level.WATCH,
            f"{count} became dead letters in the last {signs.span}.",
            "Once the receiver is well, replay them."
            if left >= signs.new_dead
            else f"{_many(left, 'of any time is', 'of any time are')} left.",
        )
    if signs.disabled:
        yield Concern(
            Topic.DISABLED,
            Level.WATCH,
            f"{_many(signs.disabled, 'endpoint is', 'endpoints are')} disabled.",
            "Nothing is sent there until somebody resumes "
            f"{'it' if signs.disabled == 1 else 'them'}.",
        )


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
