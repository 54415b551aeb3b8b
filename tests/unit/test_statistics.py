from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.statistics import (
    BOUNDS_MS,
    BUCKETS,
    Grain,
    Mark,
    Span,
    Tally,
    bucket,
    count,
    series,
)

NOW = datetime(2026, 11, 25, 13, 37, 41, tzinfo=UTC)
marks = st.builds(Mark, st.booleans(), st.booleans(), st.floats(0, 40_000))


@pytest.mark.parametrize(
    ("duration_ms", "place"), [(0, 0), (5, 0), (5.01, 1), (10_000, 10), (10_001, 11)]
)
def test_a_bound_belongs_to_its_own_bucket(duration_ms, place):
    assert bucket(duration_ms) == place
    assert len(BOUNDS_MS) + 1 == BUCKETS


@given(st.lists(marks), st.lists(marks))
def test_tallies_add_up(first, second):
    assert count(first).plus(count(second)) == count(first + second)


@given(st.lists(marks, min_size=1))
def test_every_attempt_is_counted_once(made):
    tally = count(made)
    assert tally.attempts == sum(tally.durations) == len(made)
    assert tally.success_rate == sum(m.delivered for m in made) / len(made)


@given(
    st.lists(st.floats(0.1, 9_999), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99, 1.0]),
)
def test_a_quantile_lies_in_the_bucket_of_the_attempt_it_is_about(times, share):
    found = count(Mark(True, False, each) for each in times).quantile_ms(share)
    rank = max(1, -int(-share * len(times) // 1))
    exact = sorted(times)[rank - 1]
    low = (0, *BOUNDS_MS)[bucket(exact)]
    assert low <= found <= BOUNDS_MS[bucket(exact)]


def test_evenly_spread_attempts_have_the_quantiles_that_one_expects():
    times = [n / 10 for n in range(1, 10_001)]
    tally = count(Mark(True, False, each) for each in times)
    exact = quantiles(times, n=20)
    assert tally.quantile_ms(0.5) == pytest.approx(exact[9], rel=0.01)
    assert tally.quantile_ms(0.95) == pytest.approx(exact[18], rel=0.01)


def test_nothing_has_no_quantile_and_no_rate():
    assert Tally().quantile_ms(0.5) is None
    assert Tally().success_rate is None


@pytest.mark.parametrize(
    ("span", "steps"),
    [(Span.HOUR, 60), (Span.DAY, 96), (Span.WEEK, 56), (Span.MONTH, 60)],
)
def test_a_span_has_a_step_for_all_its_time_and_now_is_in_the_last(span, steps):
    one = Tally(delivered=1)
    made = series({NOW: one, span.begins(NOW): one}, span, NOW)

    assert len(made.tallies) == steps
    assert made.tallies[-1] == made.tallies[0] == one
    last = made.times()[-1]
    assert last <= NOW < last + made.step
    assert made.total.delivered == 2


def test_what_is_older_or_newer_than_the_span_is_not_in_it():
    one = Tally(delivered=1)
    outside = {
        Span.HOUR.begins(NOW) - timedelta(seconds=1): one,
        NOW + timedelta(minutes=1): one,
    }
    assert series(outside, Span.HOUR, NOW).total == Tally()


def test_minutes_and_hours_begin_where_they_do_in_utc():
    assert Grain.MINUTE.floor(NOW) == NOW.replace(second=0)
    assert Grain.HOUR.floor(NOW) == NOW.replace(minute=0, second=0)
