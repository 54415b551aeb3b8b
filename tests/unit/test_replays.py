"""How fast a replay goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.replays import (
    BATCH,
    Selection,
    Skipped,
    may_overlap,
    next_step,
    remaining,
    why_skipped,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def s(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("rate", "paced_until", "expected"),
    [
        pytest.param(None, None, (BATCH, NOW, 0.0), id="without a rate all at once"),
        pytest.param(10, None, (20, NOW, 0.1), id="two seconds ahead"),
        pytest.param(10, s(1), (10, s(1), 0.1), id="behind what was made due"),
        pytest.param(10, s(2), (0, s(2), 0.1), id="far enough ahead"),
        pytest.param(10, s(9), (0, s(9), 0.1), id="too far ahead"),
        pytest.param(10, s(-9), (20, NOW, 0.1), id="a pause is not made up for"),
        pytest.param(1, s(1.6), (0, s(1.6), 1.0), id="less than one"),
        pytest.param(100_000, None, (BATCH, NOW, 1e-5), id="a batch is the most"),
    ],
)
def test_the_next_step(rate, paced_until, expected):
    assert tuple(next_step(rate, paced_until, NOW)) == expected


@given(
    rate=st.integers(1, 5_000),
    waits=st.lists(st.floats(0, 3), min_size=1, max_size=20),
)
def test_in_no_second_do_more_than_the_rate_fall_due(rate, waits):
    """Whenever the walker comes, and however long it was away."""
    now, paced_until, due = NOW, None, []
    for wait in waits:
        now += timedelta(seconds=wait)
        step = next_step(rate, paced_until, now)
        offset = (step.start - NOW).total_seconds()
        due += [offset + n * step.gap_s for n in range(step.size)]
        paced_until = step.paced_until(step.size)

    # A microsecond is what a time is rounded to.
    for at in range(len(due) - rate):
        assert due[at + rate] - due[at] >= 1 - 1e-4


ONE, TWO = UUID(int=1), UUID(int=2)
DEAD = {"status": "dead_lettered"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param({}, {}, True, id="all and all"),
        pytest.param({}, {"event_type": "a"}, True, id="all and some"),
        pytest.param({"event_type": "a"}, {"event_type": "a"}, True, id="the same"),
        pytest.param({"event_type": "a"}, {"event_type": "b"}, False, id="others"),
        pytest.param({"endpoint_id": ONE}, {"endpoint_id": TWO}, False, id="elsewhere"),
        pytest.param({"endpoint_id": ONE}, {"event_type": "a"}, True, id="crosswise"),
        pytest.param({"since": s(0)}, {"until": s(0)}, False, id="after and before"),
        pytest.param({"since": s(0)}, {"until": s(1)}, True, id="a second of both"),
        pytest.param({"status_code": 500}, {"status_code": 503}, False, id="by code"),
    ],
)
def test_which_filters_may_be_about_the_same(one, other, expected):
    first, second = Selection(None, DEAD | one), Selection(None, DEAD | other)
    assert may_overlap(first, second) is expected
    assert may_overlap(second, first) is expected


def test_ids_overlap_where_one_is_in_both_and_may_with_any_filter():
    assert may_overlap(Selection([ONE, TWO], None), Selection([TWO], None))
    assert not may_overlap(Selection([ONE], None), Selection([TWO], None))
    assert may_overlap(Selection([ONE], None), Selection(None, DEAD))


@pytest.mark.parametrize(
    ("left", "done", "rate", "elapsed_s", "expected_s"),
    [
        pytest.param(0, 9, None, 5, 0, id="nothing is left"),
        pytest.param(50, 0, 10, 0, 5, id="by its rate"),
        pytest.param(50, 25, None, 10, 20, id="as fast as until now"),
        pytest.param(50, 0, None, 10, None, id="nothing is known yet"),
    ],
)
def test_how_long_it_is_going_to_take(left, done, rate, elapsed_s, expected_s):
    found = remaining(left, done, rate, timedelta(seconds=elapsed_s))
    assert found == (None if expected_s is None else timedelta(seconds=expected_s))


@pytest.mark.parametrize(
    ("status", "other", "state", "allowed", "expected"),
    [
        ("pending", True, "active", True, Skipped.TAKEN),
        ("pending", False, "active", True, Skipped.PENDING),
        ("dead_lettered", False, "disabled", True, Skipped.DISABLED),
        ("dead_lettered", False, "deleted", True, Skipped.DELETED),
        ("dead_lettered", False, None, True, Skipped.DELETED),
        ("dead_lettered", False, "active", False, Skipped.REGION),
        ("dead_lettered", False, "active", True, Skipped.NOT_TAKEN_THEN),
    ],
)
def test_why_a_delivery_was_skipped(status, other, state, allowed, expected):
    found = why_skipped(
        status, is_other_replays=other, endpoint_state=state, allowed=allowed
    )
    assert found is expected
