"""Periods of budgets: calendar units in a time zone, rolling windows, one-off spans.

Times come in and go out in UTC.  A calendar period begins when the clocks of its zone
first show its first midnight; where they skip it, when they jump.  So periods follow
one another without gap or overlap, and are 23 or 25 hours where the zone says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from ascwebhooks.domain import events
from ascwebhooks.errors import InvalidInput

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MOST_HOURS = 168
_MOST_DAYS = 92
_MONTHS = 12
_SOONEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class Bounds(NamedTuple):
    """From ``start`` on and before ``end``."""

    start: datetime
    end: datetime


class Unit(StrEnum):
    """The units of the calendar."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Calendar:
    """One unit after another; weeks begin on Monday."""

    unit: Unit
    zone: str

    def bounds(self, at: datetime) -> Bounds:
        """Return the period that a moment is in."""
        zone = _zone(self.zone)
        first = _first(self.unit, at.astimezone(zone).date())
        start = _midnight(first, zone)
        # Where clocks go back across midnight, the date alone may be a day off.
        while at < start:
            first = _first(self.unit, first - _DAY)
            start = _midnight(first, zone)
        while True:
            first = _next(self.unit, first)
            end = _midnight(first, zone)
            if at < end:
                return Bounds(start, end)
            start = end


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last so many hours, to within one of the buckets that are summed up."""

    length: timedelta

    @property
    def bucket(self) -> timedelta:
        """Return how long a bucket is."""
        return timedelta(minutes=5) if self.length <= 2 * _DAY else _HOUR

    def bounds(self, at: datetime) -> Bounds:
        """Return the bucket that a moment is in."""
        start = at - (at - _SOONEST) % self.bucket
        return Bounds(start, start + self.bucket)

    def since(self, now: datetime) -> datetime:
        """Return where the first bucket of the window begins: part of it may be out."""
        return self.bounds(now - self.length).start


@dataclass(frozen=True, slots=True)
class Once:
    """One span, and none after it."""

    span: Bounds

    def bounds(self, at: datetime) -> Bounds | None:
        """Return the span if a moment is in it."""
        return self.span if self.span.start <= at < self.span.end else None


Period = Calendar | Rolling | Once


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Of two the first one; one that is skipped is read as the clock before would be.
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _first(unit: Unit, day: date) -> date:
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - day.weekday() * _DAY
        case Unit.MONTH:
            return day.replace(day=1)
        case Unit.QUARTER:
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        case Unit.YEAR:
            return date(day.year, 1, 1)


def _next(unit: Unit, first: date) -> date:
    """Return the first day of the unit after the one that ``first`` begins."""
    match unit:
        case Unit.DAY:
            return first + _DAY
        case Unit.WEEK:
            return first + 7 * _DAY
        case Unit.MONTH:
            return _later(first, 1)
        case Unit.QUARTER:
            return _later(first, 3)
        case Unit.YEAR:
            return _later(first, _MONTHS)


def _later(first: date, months: int) -> date:
    years, month = divmod(first.month - 1 + months, _MONTHS)
    return date(first.year + years, month + 1, 1)


def read(given: Any) -> Period:
    """Return the period in JSON.

    ``{"type": "calendar", "unit": "month", "zone": "Europe/Berlin"}``,
    ``{"type": "rolling", "hours": 24}`` or ``"days"``, or
    ``{"type": "once", "from": …, "to": …}``.

    Raises:
        InvalidInput: If it is none of these.
    """
    if not isinstance(given, Mapping):
        raise _wrong("give an object with a type.")
    rest = dict(given)
    match rest.pop("type", None):
        case "calendar":
            found: Period = _calendar(rest)
        case "rolling":
            found = _rolling(rest)
        case "once":
            found = _once(rest)
        case _:
            raise _wrong("its type is calendar, rolling or once.")
    if rest:
        raise _wrong(f"{sorted(map(str, rest))[0][:64]!r} is not known.")
    return found


def _calendar(rest: dict[Any, Any]) -> Calendar:
    unit, zone = rest.pop("unit", None), rest.pop("zone", "UTC")
    if unit not in list(Unit):
        raise _wrong(f"its unit is {', '.join(Unit)}.")
    if not isinstance(zone, str) or zone not in _zones():
        raise _wrong("its zone is one of the IANA's, such as Europe/Berlin.")
    return Calendar(Unit(unit), zone)


def _rolling(rest: dict[Any, Any]) -> Rolling:
    hours, days = rest.pop("hours", None), rest.pop("days", None)
    given = days if hours is None else hours
    if (hours is None) == (days is None) or type(given) is not int:
        raise _wrong("give hours or days, a whole number.")
    if not 1 <= given <= (_MOST_DAYS if hours is None else _MOST_HOURS):
        raise _wrong(f"it is 1 to {_MOST_HOURS} hours, or 1 to {_MOST_DAYS} days.")
    return Rolling(given * (_DAY if hours is None else _HOUR))


def _once(rest: dict[Any, Any]) -> Once:
    start = _moment(rest.pop("from", None), "from")
    end = _moment(rest.pop("to", None), "to")
    if start >= end:
        raise _wrong("it ends after it begins.")
    return Once(Bounds(start, end))


def _moment(given: Any, name: str) -> datetime:
    try:
        found = given if isinstance(given, datetime) else datetime.fromisoformat(given)
        if found.tzinfo is None:
            raise ValueError
        found = found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"{name} is a time with a zone, in RFC 3339.") from error
    if not _SOONEST <= found <= _LATEST:
        raise _wrong(f"{name} is between the years 2000 and 2200.")
    return found


def _wrong(said: str) -> InvalidInput:
    return InvalidInput(f"period: {said}", field="period")


def write(period: Period) -> dict[str, Any]:
    """Return a period in JSON, as ``read`` reads it."""
    match period:
        case Calendar(unit, zone):
            return {"type": "calendar", "unit": unit.value, "zone": zone}
        case Rolling(length):
            days, rest = divmod(length, _DAY)
            if rest:
                return {"type": "rolling", "hours": length // _HOUR}
            return {"type": "rolling", "days": days}
        case Once(span):
            start, end = events.iso(span.start), events.iso(span.end)
            return {"type": "once", "from": start, "to": end}
