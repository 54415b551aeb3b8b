from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.retry import (
    DEFAULT_SCHEDULE_S,
    RetryPolicy,
    parse_retry_after,
    retry_delay,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 23, 7, 41, 49, tzinfo=UTC)
POLICY = RetryPolicy((5 * SECOND, 300 * SECOND))

spreads = st.floats(0, 1, exclude_max=True)


def test_the_default_schedule_is_the_contracts():
    """At once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
    minutes, hours = 60, 3600
    first = (5, 5 * minutes, 30 * minutes, 2 * hours, 5 * hours)
    then = (10 * hours, 14 * hours, 20 * hours, 24 * hours)

    assert first + then == DEFAULT_SCHEDULE_S
    assert RetryPolicy().delays == tuple(each * SECOND for each in DEFAULT_SCHEDULE_S)


@pytest.mark.parametrize(
    ("attempt", "spread", "expected"),
    [
        pytest.param(1, 0.5, 5 * SECOND, id="planned delay in the middle"),
        pytest.param(1, 0.0, 4 * SECOND, id="earliest"),
        pytest.param(2, 0.5, 300 * SECOND, id="second delay"),
        pytest.param(2, 0.75, 330 * SECOND, id="later"),
        pytest.param(3, 0.5, None, id="nothing left"),
        pytest.param(99, 0.5, None, id="long gone"),
    ],
)
def test_follows_the_schedule(attempt, spread, expected):
    assert retry_delay(POLICY, attempt, spread) == expected


@given(st.integers(1, 9), spreads)
def test_jitter_is_a_fifth_either_way(attempt, spread):
    planned = DEFAULT_SCHEDULE_S[attempt - 1] * SECOND

    delay = retry_delay(RetryPolicy(), attempt, spread)

    assert planned * 0.8 <= delay <= planned * 1.2


@given(spreads, spreads)
def test_another_spread_is_another_delay(one, other):
    """Otherwise the deliveries of one outage come back together."""
    if abs(one - other) < 0.001:
        return
    assert retry_delay(POLICY, 2, one) != retry_delay(POLICY, 2, other)


@given(st.integers(1, 2), spreads, st.timedeltas(0 * SECOND))
def test_retry_after_only_ever_delays(attempt, spread, asked):
    planned = retry_delay(POLICY, attempt, spread)
    actual = retry_delay(POLICY, attempt, spread, asked)

    assert planned <= actual <= max(planned, 24 * HOUR)
    assert actual >= min(asked, 24 * HOUR), "a floor, also after jitter"


def test_retry_after_is_capped_at_a_day_and_cuts_no_longer_delay():
    week = RetryPolicy((7 * 24 * HOUR,))

    assert retry_delay(POLICY, 1, 0.5, 48 * HOUR) == 24 * HOUR
    assert retry_delay(week, 1, 0.5, 48 * HOUR) == 7 * 24 * HOUR


def test_retry_after_makes_no_attempt_that_the_schedule_does_not():
    assert retry_delay(POLICY, 3, 0.5, HOUR) is None


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt):
    with pytest.raises(ValueError, match="at least 1"):
        retry_delay(POLICY, attempt, 0.5)


@pytest.mark.parametrize(
    "settings",
    [{"jitter": 1}, {"jitter": -0.1}, {"delays": (0 * SECOND,)}],
)
def test_a_policy_that_cannot_be_followed_is_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**settings)


def test_a_policy_without_delays_makes_one_attempt():
    assert retry_delay(RetryPolicy(()), 1, 0.5) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("120", 120 * SECOND, id="seconds"),
        pytest.param("0", 0 * SECOND, id="at once"),
        pytest.param(" 7 ", 7 * SECOND, id="blanks around it"),
        pytest.param("9" * 5_000, 10**9 * SECOND, id="huge"),
        pytest.param("Mon, 23 Nov 2026 07:43:49 GMT", 120 * SECOND, id="date"),
        pytest.param("Monday, 23-Nov-26 07:43:49 GMT", 120 * SECOND, id="RFC 850"),
        pytest.param("Mon Nov 23 07:43:49 2026", 120 * SECOND, id="asctime"),
        pytest.param("Mon, 23 Nov 2026 08:43:49 +0100", 120 * SECOND, id="zone"),
        pytest.param("Mon, 23 Nov 2020 07:43:49 GMT", 0 * SECOND, id="past"),
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="a word"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="a fraction"),
        pytest.param("1e3", None, id="an exponent"),
        pytest.param("٣", None, id="a digit of another script"),
        pytest.param("Mon, 99 Nov 2026 07:43:49 GMT", None, id="no such day"),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, expected):
    assert parse_retry_after(value, NOW) == expected


@given(st.text(max_size=60))
def test_whatever_a_receiver_asks_is_at_worst_ignored(value):
    asked = parse_retry_after(value, NOW)

    assert asked is None or asked >= timedelta(0)


@given(st.datetimes(datetime(2026, 11, 24), datetime(2500, 1, 1)))
def test_any_date_to_come_is_measured_from_now(naive):
    when = naive.replace(microsecond=0, tzinfo=UTC)

    assert parse_retry_after(format_datetime(when, usegmt=True), NOW) == when - NOW
