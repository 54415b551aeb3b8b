"""The geometry of small charts: levels, and where nobody looked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from ascwebhooks.domain.gauge_samples import Sample, history
from ascwebhooks.domain.statistics import Span, series
from ascwebhooks.services.overviews import Count, Overview
from ascwebhooks.storage.standings import TroubledCounts
from ascwebhooks.web.admin import levels
from ascwebhooks.web.admin.levels import HEIGHT

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ZERO = Sample(0, 0.0, 0, 0, 0, 0)
LAST = 59


def overview(found: dict[int, Sample], **now) -> Overview:
    """Return an overview of the last hour, a sample for each of some minutes."""
    return Overview(
        span=Span.HOUR,
        series=series({}, Span.HOUR, NOON),
        history=history(found, Span.HOUR, NOON),
        **{
            "due": Count(0, is_exact=True),
            "oldest_due_s": None,
            "dead": Count(0, is_exact=True),
            "stream_lag": 0,
            "troubled": (),
            "counts": TroubledCounts(0, 0, 0),
            "endpoints": Count(1, is_exact=True),
            "concerns": (),
            **now,
        },
    )


def made(found: dict[int, Sample], *, with_stream=True, **now) -> levels.Levels:
    return levels.levels(overview(found, **now), with_stream=with_stream)


def test_each_level_has_a_chart_and_the_stream_is_the_platforms():
    titles = [
        *("Due", "Oldest due", "Dead letters", "Failing endpoints"),
        "On the stream",
    ]
    assert [each.title for each in made({0: ZERO}).charts] == titles
    tenants = made({0: ZERO}, with_stream=False)
    assert [each.title for each in tenants.charts] == titles[:-1]
    assert "On the stream" not in [each.label for each in tenants.layers]


def test_what_was_not_sampled_is_a_gap_and_no_zero():
    found = {n: ZERO._replace(due=8) for n in range(60) if n not in (10, 11, 40)}
    chart = made({**found, 20: ZERO}).charts[0]
    width = 100 / 60
    assert chart.gaps == [
        pytest.approx((10 * width, 2 * width)),
        pytest.approx((40 * width, width)),
    ]
    (line,) = chart.lines
    assert line.path.count("M") == 3, "the line is broken twice"
    assert f"L{20.5 * width:.2f} {HEIGHT:.1f}" in line.path, "a zero is on the ground"
    (area,) = chart.areas
    assert area.path.count("Z") == 3
    assert [chart.columns[n].values for n in (10, 20, 21)] == [
        ["not sampled"],
        ["0"],
        ["8"],
    ]


def test_a_level_that_was_not_read_in_time_is_a_gap_in_its_own_chart_alone():
    found = dict.fromkeys(range(60), ZERO) | {30: ZERO._replace(dead_letters=None)}
    gaps = {each.title: len(each.gaps) for each in made(found).charts}
    assert gaps.pop("Dead letters") == 1
    assert set(gaps.values()) == {0}


def test_the_minute_that_is_under_way_is_no_gap_yet():
    assert not made(dict.fromkeys(range(LAST), ZERO)).has_gaps
    assert made(dict.fromkeys(range(LAST - 1), ZERO)).has_gaps


def test_a_peak_reaches_no_higher_than_the_plot_and_the_axis_says_how_high():
    chart = made({5: ZERO._replace(due=1_234_567), 6: ZERO}).charts[0]
    heights = [
        float(each) for each in re.findall(r"[ML][\d.]+ ([\d.]+)", chart.lines[0].path)
    ]
    assert 0 <= min(heights) < HEIGHT / 2
    assert max(heights) == HEIGHT
    assert [each.label for each in chart.ticks] == ["0", "1.5\u00a0M"]
    assert [each.y for each in chart.ticks] == [HEIGHT, 0.0]


def test_nothing_at_all_is_a_line_on_the_ground():
    chart = made(dict.fromkeys(range(60), ZERO)).charts[0]
    assert [each.label for each in chart.ticks] == ["0"]
    assert set(re.findall(r"[ML][\d.]+ ([\d.]+)", chart.lines[0].path)) == {"64.0"}
    assert chart.summary == "Now 0; due at most 0."


def test_what_is_now_stands_beside_it_and_is_said():
    shown = made(
        {3: Sample(40, 5_400.0, 12, 2, 1, 77)},
        due=Count(10_000, is_exact=False),
        oldest_due_s=95.0,
        dead=None,
        counts=TroubledCounts(1, 2, 3),
        stream_lag=None,
    ).charts
    assert [each.now for each in shown] == ["10\u202f000+", "95\u00a0s", "?", "3", "?"]
    assert shown[1].summary == "Now 95\u00a0s; oldest due at most 90\u00a0min."
    assert shown[3].summary == "Now 3; failing at most 2, disabled at most 1."


def test_the_table_begins_with_the_first_sample_and_tells_gaps():
    rows = made({57: ZERO._replace(due=4), LAST: ZERO}).rows
    assert [each.values[:2] for each in rows] == [
        ["4", "0\u00a0s"],
        (),
        ["0", "0\u00a0s"],
    ]
    assert made({}).is_empty


@pytest.mark.parametrize("span", [Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH])
def test_few_times_stand_below_so_narrow_a_chart(span):
    found = overview({})
    object.__setattr__(found, "history", history({}, span, NOON))
    for each in levels.levels(found, with_stream=True).charts:
        assert 2 <= len(each.marks) <= 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0\u00a0s"),
        (95.4, "95\u00a0s"),
        (60, "1\u00a0min"),
        (133, "2.2\u00a0min"),
        (1_800, "30\u00a0min"),
        (5_400, "90\u00a0min"),
        (9_000, "2.5\u00a0h"),
        (86_400, "1\u00a0d"),
        (864_000, "10\u00a0d"),
    ],
)
def test_times_are_short(value, shown):
    assert levels.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (9_999, "9\u202f999"),
        (25_000, "25\u00a0k"),
        (1e6, "1\u00a0M"),
        (2.5e9, "2.5\u00a0G"),
    ],
)
def test_counts_of_an_axis_are_short(value, shown):
    assert levels.compact(value) == shown
