from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.deliveries import (
    DEAD_IN,
    DeadReason,
    EndpointState,
    ErrorClass,
    MailboxState,
    Outcome,
    Status,
    decide,
    mailbox_state,
)
from ascwebhooks.domain.retry import RetryPolicy

SECOND = timedelta(seconds=1)
POLICY = RetryPolicy((5 * SECOND, 300 * SECOND))
HTTP, REDIRECT = ErrorClass.HTTP_STATUS, ErrorClass.REDIRECT


@pytest.mark.parametrize(
    ("code", "error", "status"),
    [
        (200, None, Status.DELIVERED),
        (204, None, Status.DELIVERED),
        (299, None, Status.DELIVERED),
        (200, ErrorClass.BROKEN_RESPONSE, Status.PENDING),
        (301, REDIRECT, Status.PENDING),
        (302, REDIRECT, Status.PENDING),
        (304, REDIRECT, Status.PENDING),
        (400, HTTP, Status.PENDING),
        (401, HTTP, Status.PENDING),
        (404, HTTP, Status.PENDING),
        (410, HTTP, Status.DEAD_LETTERED),
        (429, HTTP, Status.PENDING),
        (500, HTTP, Status.PENDING),
        (503, HTTP, Status.PENDING),
        (None, ErrorClass.TIMEOUT, Status.PENDING),
        (None, ErrorClass.DNS_ERROR, Status.PENDING),
        (None, ErrorClass.BLOCKED_ADDRESS, Status.PENDING),
        (None, ErrorClass.INTERNAL, Status.PENDING),
    ],
)
def test_what_an_answer_leads_to(code, error, status):
    """Only a whole 2xx succeeds; every other answer is tried again, but for 410."""
    decision = decide(Outcome(code, error), 1, POLICY, 0.5)

    assert decision.status is status
    assert decision.retry_in == (5 * SECOND if status is Status.PENDING else None)
    assert (decision.dead_reason is None) == (status is not Status.DEAD_LETTERED)


def test_410_ends_the_delivery_and_the_endpoint():
    decision = decide(Outcome(410, HTTP), 1, POLICY, 0.5)

    assert decision.dead_reason is DeadReason.GONE
    assert decision.disable_endpoint


def test_410_is_gone_also_at_the_end_of_the_schedule():
    decision = decide(Outcome(410, HTTP), 3, POLICY, 0.5)

    assert (decision.dead_reason, decision.disable_endpoint) == (DeadReason.GONE, True)


def test_the_end_of_the_schedule_is_a_dead_letter():
    decision = decide(Outcome(500, HTTP), 3, POLICY, 0.5)

    assert decision.status is Status.DEAD_LETTERED
    assert decision.dead_reason is DeadReason.ATTEMPTS_EXHAUSTED
    assert not decision.disable_endpoint
    assert decision.retry_in is None


def test_the_last_attempt_may_still_succeed():
    assert decide(Outcome(200), 3, POLICY, 0.5).status is Status.DELIVERED


@pytest.mark.parametrize("code", [429, 503, 500])
def test_retry_after_is_a_floor(code):
    asked = Outcome(code, HTTP, retry_after=120 * SECOND)

    assert decide(asked, 1, POLICY, 0.99).retry_in == 120 * SECOND
    assert decide(asked, 2, POLICY, 0.5).retry_in == 300 * SECOND


outcomes = st.builds(
    Outcome,
    st.none() | st.integers(100, 599),
    st.none() | st.sampled_from(ErrorClass),
    retry_after=st.none() | st.timedeltas(0 * SECOND, timedelta(days=900)),
)


@given(outcomes, st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_every_decision_is_whole(outcome, step, spread):
    """Pending has a wait, a dead letter a reason, and nothing has both."""
    decision = decide(outcome, step, POLICY, spread)

    assert (decision.status is Status.PENDING) == (decision.retry_in is not None)
    dead = decision.status is Status.DEAD_LETTERED
    assert dead == (decision.dead_reason is not None)
    assert decision.disable_endpoint == (decision.dead_reason is DeadReason.GONE)
    assert (decision.status is Status.DELIVERED) == (outcome.error is None)
    assert decision.status is not Status.CANCELLED
    if decision.retry_in is not None:
        assert step <= len(POLICY.delays)


@pytest.mark.parametrize(
    ("state", "region", "expected"),
    [
        ("active", "eu", "active"),
        ("active", "us", "abroad"),
        ("paused", "eu", "paused"),
        ("paused", "us", "abroad"),
        ("disabled", "eu", "disabled"),
        ("disabled", "us", "disabled"),
        ("deleted", "us", "deleted"),
    ],
)
def test_whose_region_is_not_allowed_is_abroad_unless_it_has_ended(
    state, region, expected
):
    found = mailbox_state(EndpointState(state), region, ["eu", "default"])
    assert found is MailboxState(expected)


def test_what_waits_at_a_mailbox_that_is_not_served_is_dead_for_a_reason():
    assert set(DEAD_IN) == set(MailboxState)
    waiting = {state for state, reason in DEAD_IN.items() if reason is None}
    assert waiting == {MailboxState.ACTIVE, MailboxState.PAUSED}
