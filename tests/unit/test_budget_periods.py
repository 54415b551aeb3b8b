"""Periods: they follow one another without gap or overlap, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import budget_periods
from ascwebhooks.domain.budget_periods import Calendar, Rolling, Unit, read, write
from ascwebhooks.errors import InvalidInput

HOUR = timedelta(hours=1)
BERLIN, CAIRO, HAVANA = "Europe/Berlin", "Africa/Cairo", "America/Havana"
#: With a gap or a repetition at midnight, days that never were, and odd offsets.
ZONES = [
    "UTC",
    BERLIN,
    CAIRO,
    HAVANA,
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(zone, at):
    return Calendar(Unit.DAY, zone).bounds(utc(at))


@pytest.mark.parametrize(
    ("zone", "at", "start", "hours"),
    [
        pytest.param(BERLIN, "2026-03-29T12:00", "2026-03-28T23:00", 23, id="spring"),
        pytest.param(BERLIN, "2026-10-25T12:00", "2026-10-24T22:00", 25, id="autumn"),
        pytest.param(CAIRO, "2026-04-24T12:00", "2026-04-23T22:00", 23, id="gap"),
        pytest.param(CAIRO, "2026-10-29T12:00", "2026-10-28T21:00", 25, id="back"),
        pytest.param(HAVANA, "2026-11-01T12:00", "2026-11-01T04:00", 25, id="twice"),
    ],
)
def test_a_day_is_as_long_as_its_zone_has_it(zone, at, start, hours):
    bounds = day(zone, at)
    assert bounds.start == utc(start)
    assert bounds.end - bounds.start == hours * HOUR


def test_where_midnight_is_skipped_the_day_begins_when_the_clocks_jump():
    """In Cairo 00:00 to 00:59 of 24 April 2026 never are."""
    start = day(CAIRO, "2026-04-24T12:00").start
    assert start.astimezone(ZoneInfo(CAIRO)).isoformat() == "2026-04-24T01:00:00+03:00"
    before = start - timedelta(microseconds=1)
    assert day(CAIRO, before.isoformat()[:19]).end == start


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        (Unit.WEEK, "2026-11-22T23:00", "2026-11-29T23:00"),
        (Unit.MONTH, "2026-10-31T23:00", "2026-11-30T23:00"),
        (Unit.QUARTER, "2026-09-30T22:00", "2026-12-31T23:00"),
        (Unit.YEAR, "2025-12-31T23:00", "2026-12-31T23:00"),
    ],
)
def test_units_begin_at_midnight_of_the_zone(unit, start, end):
    found = Calendar(unit, BERLIN).bounds(utc("2026-11-25T12:00"))
    assert found == (utc(start), utc(end))


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        pytest.param("America/Toronto", "1919-03-31T04:45", id="23:30 is 00:30"),
        pytest.param("America/St_Johns", "2010-11-07T02:45", id="00:01 is 23:01"),
        pytest.param("Pacific/Apia", "2011-12-30T10:00", id="a day that never was"),
    ],
)
def test_where_the_date_alone_would_be_a_day_off(zone, at):
    found = day(zone, at)
    assert found.start <= utc(at) < found.end
    assert Calendar(Unit.DAY, zone).bounds(found.end).start == found.end


@given(
    unit=st.sampled_from(Unit),
    zone=st.sampled_from(ZONES),
    at=st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1)),
)
def test_periods_cover_all_times_once(unit, zone, at):
    period, at = Calendar(unit, zone), at.replace(tzinfo=UTC)
    found = period.bounds(at)
    assert found.start <= at < found.end
    assert period.bounds(found.start) == found
    assert period.bounds(found.end - timedelta(microseconds=1)) == found
    assert period.bounds(found.end).start == found.end
    before = period.bounds(found.start - timedelta(microseconds=1))
    assert before.end == found.start


@given(
    days=st.integers(1, 92),
    at=st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1)),
)
def test_a_window_is_as_long_as_it_says_to_within_a_bucket(days, at):
    period, at = Rolling(timedelta(days=days)), at.replace(tzinfo=UTC)
    bucket = period.bounds(at)
    assert bucket.start <= at < bucket.end
    long = at - period.since(at)
    assert period.length <= long < period.length + period.bucket


GOOD = [
    {"type": "calendar", "unit": "month", "zone": BERLIN},
    {"type": "rolling", "hours": 5},
    {"type": "rolling", "days": 30},
    {
        "type": "once",
        "from": "2026-01-01T00:00:00.000Z",
        "to": "2026-02-01T00:00:00.000Z",
    },
]


@pytest.mark.parametrize("given_", GOOD, ids=str)
def test_what_is_written_is_what_was_read(given_):
    assert write(read(given_)) == given_


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"type": "lunar"},
        {"type": "calendar"},
        {"type": "calendar", "unit": "month", "zone": "Berlin"},
        {"type": "calendar", "unit": "month", "zone": "../etc/passwd"},
        {"type": "calendar", "unit": "month", "zone": 3},
        {"type": "calendar", "unit": ["month"]},
        {"type": "calendar", "unit": "month", "more": 1},
        {"type": "rolling"},
        {"type": "rolling", "hours": 1, "days": 1},
        {"type": "rolling", "hours": 0},
        {"type": "rolling", "hours": 1.5},
        {"type": "rolling", "hours": True},
        {"type": "rolling", "days": 93},
        {"type": "once", "from": "2026-01-01T00:00:00Z"},
        {"type": "once", "from": "2026-01-01T00:00:00", "to": "2026-02-01T00:00:00Z"},
        {"type": "once", "from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
        {"type": "once", "from": "0001-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    ],
    ids=str,
)
def test_what_is_no_period_is_refused(bad):
    with pytest.raises(InvalidInput, match="period"):
        budget_periods.read(bad)
