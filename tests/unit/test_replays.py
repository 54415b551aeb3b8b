"""How fast a replay goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.replays import BATCH, next_step

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
