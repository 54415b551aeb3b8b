from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import health
from ascwebhooks.domain.deliveries import ErrorClass, Outcome, Timings

GOOD = Outcome(200)
BAD = Outcome(500, ErrorClass.HTTP_STATUS)


@pytest.mark.parametrize(
    ("before", "outcomes", "after"),
    [
        (0, [], 0),
        (4, [], 4),
        (0, [BAD, BAD], 2),
        (4, [BAD], 5),
        (4, [GOOD], 0),
        (4, [BAD, GOOD, BAD], 1),
        (4, [GOOD, BAD, BAD], 2),
    ],
)
def test_failures_are_counted_in_the_order_in_which_they_are_recorded(
    before, outcomes, after
):
    assert health.failures_in_a_row(before, outcomes) == after


@given(st.integers(0, 50), st.lists(st.sampled_from([GOOD, BAD]), max_size=20))
def test_counting_batch_by_batch_is_counting_all_at_once(before, outcomes):
    half = len(outcomes) // 2
    first = health.failures_in_a_row(before, outcomes[:half])

    assert health.failures_in_a_row(first, outcomes[half:]) == health.failures_in_a_row(
        before, outcomes
    )


@pytest.mark.parametrize(
    ("failures", "outcomes", "slow"),
    [
        pytest.param(0, [GOOD], False, id="well"),
        pytest.param(2, [BAD], False, id="two failures"),
        pytest.param(3, [BAD], True, id="three failures"),
        pytest.param(1, [Outcome(None, ErrorClass.TIMEOUT)], True, id="hangs"),
        pytest.param(
            1, [Outcome(None, ErrorClass.CONNECT_TIMEOUT)], True, id="does not answer"
        ),
        pytest.param(
            1, [Outcome(None, ErrorClass.CONNECT_ERROR)], False, id="refuses at once"
        ),
        pytest.param(
            0, [Outcome(200, timings=Timings(total_ms=2000))], True, id="takes 2 s"
        ),
        pytest.param(
            0, [Outcome(200, timings=Timings(total_ms=1999))], False, id="just below"
        ),
        pytest.param(
            0,
            [GOOD, Outcome(200, timings=Timings(total_ms=9000)), GOOD],
            True,
            id="one of several took long",
        ),
    ],
)
def test_who_belongs_with_the_slow_ones(failures, outcomes, slow):
    assert health.is_slow(failures, outcomes) is slow
