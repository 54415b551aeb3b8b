"""The geometry of charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.statistics import BUCKETS, Series, Span, Tally, series
from ascwebhooks.web.admin import charts

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def made(*tallies: Tally) -> Series:
    return Series(NOON, timedelta(minutes=15), tallies)


def took(milliseconds_bucket: int, count: int = 1) -> Tally:
    durations = [0] * BUCKETS
    durations[milliseconds_bucket] = count
    return Tally(count, 0, 0, tuple(durations))


def test_bars_stand_on_each_other_from_the_ground_up():
    chart = charts.outcomes(made(Tally(delivered=6, failed=4, dead_lettered=1)))
    (column,) = chart.columns
    assert [each.kind for each in column.parts] == ["delivered", "failed", "dead"]
    assert column.values == ["6", "3", "1"], "each attempt is in one part"
    below = charts.HEIGHT
    for part in column.parts:
        assert part.y + part.height == pytest.approx(below)
        below = part.y


def test_what_ended_without_an_attempt_is_a_part_of_its_own_where_there_is_any():
    """It is none of the failures, and would make a line of zeros elsewhere."""
    tally = Tally(delivered=6, failed=4, dead_lettered=1, ended=7)
    chart = charts.outcomes(made(tally, Tally(delivered=1)))
    assert chart.layers[-1] == charts.ENDED
    assert chart.columns[0].values == ["6", "3", "1", "7"]
    assert [each.kind for each in chart.columns[0].parts][-1] == "ended"
    assert tally.attempts == 10
    assert charts.ENDED not in charts.outcomes(made(Tally(delivered=1))).layers
    spark = charts.sparkline(made(tally))
    assert [each.kind for each in spark.columns[0].parts][-1] == "dead"


def test_one_failure_among_a_million_is_seen():
    chart = charts.outcomes(made(Tally(delivered=1_000_000, failed=1)))
    assert chart.columns[0].parts[1].height >= 1.5


@given(st.floats(0.001, 1e9))
def test_an_axis_holds_what_it_shows_and_has_few_labels(most):
    top, steps = charts.scale(most)
    assert top >= most * (1 - 1e-9)
    assert 2 <= len(steps) <= 6


@given(st.integers(1, 10**9))
def test_an_axis_of_counts_has_whole_numbers(most):
    top, steps = charts.scale(most, whole=True)
    assert top >= most
    assert all(each == int(each) for each in steps)
    assert len(set(map(charts.count, steps))) == len(steps)


def test_lines_have_gaps_where_nothing_was_sent_and_dashes_where_there_is_one_value():
    found = charts.path([10.0, None, 5.0, 5.0], top=10.0, height=100.0)
    assert found == "M2.50 0.0h20.00M62.50 50.0L87.50 50.0"


def test_percentiles_are_in_the_order_of_their_words():
    chart = charts.latency(made(took(3, 90).plus(took(8, 10)), Tally()))
    half, most, _ = chart.columns[0].values
    assert half.endswith("ms")
    assert most.endswith("s")
    assert chart.columns[1].is_empty
    assert [each.kind for each in chart.lines] == ["p50", "p95", "p99"]


@pytest.mark.parametrize("span", Span)
def test_every_span_has_a_few_times_below(span):
    found = charts.marks(series({}, span, NOON))
    assert 4 <= len(found) <= 8
    assert all(0 <= each.x <= 100 for each in found)


def test_nothing_is_said_to_be_nothing():
    chart = charts.outcomes(series({}, Span.DAY, NOON))
    assert chart.is_empty
    assert charts.latency(series({}, Span.DAY, NOON)).is_empty


def test_a_sparkline_has_a_bar_an_hour():
    quarter = Tally(delivered=1)
    chart = charts.sparkline(Series(NOON, timedelta(minutes=15), [quarter] * 96))
    assert len(chart.columns) == 24
    assert chart.columns[0].values[0] == "4"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (1.0, "100\u00a0%"),
        (0.99999, "99.9\u00a0%"),
        (0.0, "0\u00a0%"),
        (0.0001, "0.1\u00a0%"),
        (None, charts.ABSENT),
    ],
)
def test_only_all_is_a_hundred_percent(share, shown):
    assert charts.percent(share) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (3.25, "3.2\u00a0ms"),
        (87.0, "87\u00a0ms"),
        (1_500, "1.5\u00a0s"),
        (12_000, "12\u00a0s"),
        (0, "0\u00a0ms"),
    ],
)
def test_durations_are_short(ms, shown):
    assert charts.duration(ms) == shown
