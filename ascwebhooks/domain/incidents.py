"""Incidents: when one opens, is told again, and resolves.

A rule is a condition on something: a provider's share of errors, say.  An incident is
that it holds, from opened to resolved.  What is measured in windows goes through
``advance``; what is noticed on a single signal through ``noticed`` and, as time goes
by, through ``pass_time``.  All three are pure: a standing, a reading and the time in,
the next standing and what to tell out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    """Where an incident is; before the first there is none, the last one is final."""

    PENDING = "pending"
    OPEN = "open"
    RESOLVED = "resolved"


class NoData(StrEnum):
    """What it means that a window has nothing in it."""

    RESOLVE = "resolve"
    KEEP = "keep"
    ALERT = "alert"


class Tell(StrEnum):
    """What is told of an incident."""

    OPENED = "opened"
    REPEATED = "repeated"
    RESOLVED = "resolved"


class Ended(StrEnum):
    """Why an incident resolved."""

    RECOVERED = "recovered"
    QUIET = "quiet"
    NO_DATA = "no_data"
    RULE_CHANGED = "rule_changed"
    RULE_DISABLED = "rule_disabled"
    RULE_DELETED = "rule_deleted"


@dataclass(frozen=True, slots=True)
class Terms:
    """When an incident opens and resolves.

    ``threshold`` opens, at it or above; below ``resolve_threshold``, which is no
    higher, it resolves.  ``quiet``: without a signal for so long it does, if it is
    one of signals.
    """

    threshold: float = 1
    resolve_threshold: float = 1
    minimum: int = 1
    for_: timedelta = timedelta(0)
    repeat: timedelta | None = None
    no_data: NoData = NoData.RESOLVE
    quiet: timedelta = timedelta(minutes=5)


class Reading(NamedTuple):
    """What a window shows: of how many, and the value; None if there is none."""

    total: int
    value: float | None


NOTHING = Reading(0, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident as it stands.

    ``since`` is when it was first seen, ``told_at`` when it was told last, ``seen_at``
    a signal showed it last, and ``repeats`` how often it was told again.
    """

    phase: Phase
    since: datetime
    seen_at: datetime
    opened_at: datetime | None = None
    told_at: datetime | None = None
    repeats: int = 0
    resolved_at: datetime | None = None
    ended: Ended | None = None


class Step(NamedTuple):
    """What becomes of an incident, None if nothing is left of it, and what to tell."""

    standing: Standing | None
    tell: Tell | None = None


def advance(
    standing: Standing | None, reading: Reading, terms: Terms, now: datetime
) -> Step:
    """Return what a window's reading makes of an incident.

    It takes ``terms.minimum`` to open one, and none to resolve it: what still fails
    while traffic falls is not over, and what succeeds is.
    """
    breached = _breached(reading, terms)
    if standing is None or standing.phase is Phase.PENDING:
        return _rise(standing, terms, now) if breached else Step(None)
    if reading.value is None:
        if terms.no_data is NoData.RESOLVE:
            return resolve(standing, Ended.NO_DATA, now)
        return _stay(standing, terms, now)
    if reading.value < terms.resolve_threshold:
        return resolve(standing, Ended.RECOVERED, now)
    return _stay(standing, terms, now)


def _breached(reading: Reading, terms: Terms) -> bool:
    if reading.value is None:
        return terms.no_data is NoData.ALERT
    return reading.total >= terms.minimum and reading.value >= terms.threshold


def noticed(standing: Standing | None, terms: Terms, now: datetime) -> Step:
    """Return what a signal makes of an incident that signals are noticed by."""
    if standing is None or standing.phase is Phase.PENDING:
        return _rise(standing, terms, now)
    return _stay(replace(standing, seen_at=max(standing.seen_at, now)), terms, now)


def pass_time(standing: Standing, terms: Terms, now: datetime) -> Step:
    """Return what time makes of an incident that signals are noticed by."""
    if standing.phase is Phase.PENDING:
        held = now - standing.since >= terms.for_
        return _open(standing, now) if held else Step(standing)
    if now - standing.seen_at >= terms.quiet:
        return resolve(standing, Ended.QUIET, now)
    return Step(standing)


def resolve(standing: Standing, ended: Ended, now: datetime) -> Step:
    """Return an incident's end; of one that nobody was told of, nothing is left."""
    if standing.phase is not Phase.OPEN:
        return Step(None)
    over = replace(standing, phase=Phase.RESOLVED, resolved_at=now, ended=ended)
    return Step(over, Tell.RESOLVED)


def _rise(standing: Standing | None, terms: Terms, now: datetime) -> Step:
    begun = standing or Standing(Phase.PENDING, since=now, seen_at=now)
    begun = replace(begun, seen_at=max(begun.seen_at, now))
    if now - begun.since >= terms.for_:
        return _open(begun, now)
    return Step(begun)


def _open(standing: Standing, now: datetime) -> Step:
    opened = replace(standing, phase=Phase.OPEN, opened_at=now, told_at=now)
    return Step(opened, Tell.OPENED)


def _stay(standing: Standing, terms: Terms, now: datetime) -> Step:
    told_at = standing.told_at or standing.since
    if terms.repeat is None or now - told_at < terms.repeat:
        return Step(standing)
    again = replace(standing, told_at=now, repeats=standing.repeats + 1)
    return Step(again, Tell.REPEATED)
