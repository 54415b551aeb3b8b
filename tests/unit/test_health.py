from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import health
from ascwebhooks.domain.deliveries import ErrorClass, Outcome, Timings
from ascwebhooks.domain.health import Attempted, Standing

GOOD = Outcome(200)
BAD = Outcome(500, ErrorClass.HTTP_STATUS)


OURS = Outcome(None, ErrorClass.INTERNAL)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CLOSED = Standing()


def asked(status: int, seconds: float) -> Outcome:
    """Return an answer that asks for a pause."""
    return Outcome(
        status, ErrorClass.HTTP_STATUS, retry_after=timedelta(seconds=seconds)
    )


def stood(before: Standing, *outcomes: Outcome, probe: bool = False) -> Standing:
    return health.stand(before, [Attempted(each, probe) for each in outcomes], NOW)


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
        pytest.param(4, [OURS, BAD], 5, id="our own fault does not count"),
        pytest.param(4, [OURS], 4, id="nor does it make up for anything"),
    ],
)
def test_failures_are_counted_in_the_order_in_which_they_are_recorded(
    before, outcomes, after
):
    assert stood(Standing(before), *outcomes).failures == after


@given(
    st.integers(0, 12),
    st.lists(
        st.tuples(st.sampled_from([GOOD, BAD, OURS, asked(503, 60)]), st.booleans()),
        max_size=30,
    ),
)
def test_recording_batch_by_batch_is_recording_all_at_once(before, made):
    attempts = [Attempted(*each) for each in made]
    half = len(attempts) // 2
    first = health.stand(Standing(before), attempts[:half], NOW)

    assert health.stand(first, attempts[half:], NOW) == health.stand(
        Standing(before), attempts, NOW
    )


def test_ten_failures_in_a_row_open_the_breaker_and_nine_do_not():
    nine = stood(CLOSED, *[BAD] * 9)
    ten = stood(nine, BAD)

    assert nine.openings == 0
    assert nine.barred_until() is None
    assert (ten.openings, ten.until) == (1, NOW + timedelta(seconds=30))
    assert stood(CLOSED, *[BAD] * 9, GOOD, *[BAD] * 9).openings == 0


def test_what_was_out_when_the_breaker_opened_does_not_open_it_further():
    assert stood(CLOSED, *[BAD] * 25).openings == 1
    late = stood(Standing(10, 1, NOW), BAD, BAD)
    assert (late.openings, late.until, late.failures) == (1, NOW, 12)


def test_each_probe_that_fails_doubles_the_wait_up_to_a_quarter_of_an_hour():
    standing, waits = Standing(10, 1, NOW), []
    for _ in range(8):
        standing = stood(standing, BAD, probe=True)
        assert standing.until is not None
        waits.append((standing.until - NOW).total_seconds())

    assert waits == [60, 120, 240, 480, 900, 900, 900, 900]
    assert health.open_for(1) == timedelta(seconds=30)
    assert health.open_for(100_000) == timedelta(minutes=15)


@pytest.mark.parametrize("probe", [True, False])
def test_any_success_closes_the_breaker(probe):
    assert stood(Standing(40, 5, NOW), GOOD, probe=probe) == CLOSED


def test_retry_after_on_429_and_503_holds_the_endpoint():
    for status in (429, 503):
        held = stood(CLOSED, asked(status, 90))
        assert held.barred_until() == NOW + timedelta(seconds=90)
    assert stood(CLOSED, asked(500, 90)).barred_until() is None, "that one alone"
    assert stood(CLOSED, asked(429, 10**9)).held_until == NOW + timedelta(hours=24)


def test_the_longest_pause_that_was_asked_for_counts():
    assert stood(CLOSED, asked(503, 90), asked(503, 5), GOOD).held_until == (
        NOW + timedelta(seconds=90)
    )
    both = Standing(10, 1, NOW + timedelta(seconds=30), NOW + timedelta(hours=1))
    assert both.barred_until() == NOW + timedelta(hours=1)


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


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAYS, HOURS, MOMENT = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("failures", "since", "last", "failing"),
    [
        pytest.param(10, 5 * DAYS, 0 * HOURS, True, id="just so"),
        pytest.param(900, 40 * DAYS, 24 * HOURS - MOMENT, True, id="for long"),
        pytest.param(9, 40 * DAYS, 1 * HOURS, False, id="one failure fewer"),
        pytest.param(900, 5 * DAYS - MOMENT, 1 * HOURS, False, id="a moment early"),
        pytest.param(900, 40 * DAYS, 24 * HOURS, False, id="nothing was tried lately"),
        pytest.param(0, None, 1 * HOURS, False, id="it succeeded"),
        pytest.param(10, 5 * DAYS, None, False, id="it never failed"),
    ],
)
def test_who_has_failed_for_days(failures, since, last, failing):
    """CONTRACT: no success for 5 days, 10 failures, one of them in the last 24 h."""
    moments = [None if ago is None else NOW - ago for ago in (since, last)]
    assert health.is_failing(failures, *moments, NOW) is failing
