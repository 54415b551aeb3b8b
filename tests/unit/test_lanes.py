"""Lanes: when an endpoint's next request may go out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.deliveries import ErrorClass, Outcome
from ascwebhooks.outbound.lanes import Lane

GOOD = Outcome(200)
BAD = Outcome(500, ErrorClass.HTTP_STATUS)
OURS = Outcome(None, ErrorClass.INTERNAL)


def lane(jobs: int, cap: int = 100, **options: object) -> Lane:
    """Return a lane with so many jobs; what they are is of no concern here."""
    made = Lane(cap, cap, **options)  # type: ignore[arg-type]
    made.put(range(jobs))  # type: ignore[arg-type]
    return made


def started(lane: Lane, now: float = 0.0) -> int:
    """Start all that may be started; return how many it were."""
    count = 0
    while lane.take(now) is not None:
        count += 1
    return count


def answered(lane: Lane, now: float) -> int:
    """Start all that may be started, and answer it at once."""
    count = started(lane, now)
    for _ in range(count):
        lane.finished(GOOD)
    return count


@given(
    rate=st.integers(1, 50),
    steps=st.lists(st.floats(0.0, 0.7), min_size=1, max_size=200),
)
def test_no_second_sees_more_than_the_rate_however_often_it_is_asked(rate, steps):
    paced = lane(1_000, interval_s=1 / rate)
    now, starts = 100.0, []
    for step in steps:
        now += step
        starts += [now] * answered(paced, now)
    for first in starts:
        within = [each for each in starts if first <= each < first + 0.999]
        assert len(within) <= rate


def test_a_rate_is_reached_if_asked_often():
    paced = lane(1_000, interval_s=1 / 20)
    total = 0
    for millisecond in range(10_000):
        total += answered(paced, 5.0 + millisecond / 1000)
    assert 190 <= total <= 201


def test_what_the_lease_before_sent_is_counted():
    paced = lane(3, interval_s=0.5, start_at=10.3)
    assert started(paced, 10.2) == 0
    assert paced.paced(10.2)
    assert started(paced, 10.3) == 1
    assert paced.next_at == pytest.approx(10.8)


def test_only_what_has_something_to_send_is_waited_for():
    assert not lane(0, interval_s=1.0, start_at=9.0).paced(5.0)
    assert not lane(5).paced(5.0)


def test_an_endpoint_that_never_answers_well_gets_ten_attempts():
    """However fast it fails, and whenever the failures are recorded."""
    failing = Lane(20, failures=0)
    failing.put(range(500))  # type: ignore[arg-type]
    attempts = 0
    while (now := started(failing)) > 0:
        attempts += now
        for _ in range(now):
            failing.finished(BAD)
    assert attempts == 10
    assert failing.queued == 490


@pytest.mark.parametrize(("before", "most"), [(1, 9), (5, 5), (9, 1), (10, 0), (99, 0)])
def test_failures_before_the_lease_count(before, most):
    assert started(lane(50, failures=before)) == most


def test_a_success_opens_it_again_and_our_own_faults_count_for_nothing():
    trying = lane(100, cap=20, failures=8)
    assert started(trying) == 2
    trying.finished(OURS)
    assert started(trying) == 1
    trying.finished(GOOD)
    assert started(trying) == 19, "the whole cap"


def test_a_well_one_is_not_held_back():
    assert started(lane(100, cap=40, failures=0)) == 40


def test_a_probe_does_not_mind_the_failures_before_it():
    assert started(lane(100, cap=1, failures=None)) == 1
