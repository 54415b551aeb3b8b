"""Endpoints that fail for days are disabled; PostgreSQL's clock is the clock."""

from __future__ import annotations

import json

import pytest

from tests.integration.pipeline import TENANT


def fail(
    pipeline, endpoint_id, *, failures=10, since="5 days", last="1 hour", **more
) -> None:
    """Set a mailbox to how days of failures would have left it."""
    pipeline.do(
        "UPDATE mailbox SET consecutive_failures = :failures,"
        " failing_since = clock_timestamp() - CAST(:since AS interval),"
        " last_failure_at = clock_timestamp() - CAST(:last AS interval)"
        " WHERE endpoint_id = :id",
        id=endpoint_id,
        failures=failures,
        since=since,
        last=last,
    )


def state(pipeline, endpoint_id) -> tuple[str, str | None]:
    row = pipeline.rows(
        "SELECT state, disabled_reason FROM endpoint WHERE id = :id", id=endpoint_id
    )
    return (row[0][0], row[0][1])


@pytest.mark.parametrize(
    ("past", "disabled"),
    [
        ({}, True),
        ({"since": "6 days", "failures": 500, "last": "23 hours 59 minutes"}, True),
        ({"since": "4 days 23 hours 59 minutes"}, False),
        ({"failures": 9}, False),
        ({"last": "24 hours"}, False),
    ],
    ids=["just so", "long since", "not long enough", "not often", "not lately"],
)
def test_who_is_disabled(pipeline, past, disabled):
    endpoint_id, well = pipeline.endpoint(), pipeline.endpoint()
    fail(pipeline, endpoint_id, **past)

    pipeline.services.endpoint_states.disable_failing()

    expected = ("disabled", "failing") if disabled else ("active", None)
    assert state(pipeline, endpoint_id) == expected
    assert pipeline.mailbox(endpoint_id).state == expected[0]
    assert state(pipeline, well) == ("active", None)


def test_it_is_told_and_what_is_pending_is_a_dead_letter(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do(
        "UPDATE delivery SET attempt_count = 3, last_error = 'timeout',"
        " next_attempt_at = clock_timestamp() + interval '1 hour'"
    )
    fail(pipeline, endpoint_id, failures=11)
    since = pipeline.mailbox(endpoint_id).failing_since

    for _ in range(2):
        pipeline.services.endpoint_states.disable_failing()
    pipeline.services.notices.tell()

    assert pipeline.delivery(delivery_id).dead_reason == "endpoint_disabled"
    (event_id,) = pipeline.rows("SELECT id FROM event WHERE type = 'endpoint.disabled'")
    data = json.loads(pipeline.services.events.get(TENANT, event_id[0]).data)
    assert data.pop("endpoint_id").startswith("ep_")
    assert data.pop("first_failed_at")[:19] == f"{since:%Y-%m-%dT%H:%M:%S}"
    assert data == {
        "reason": "failing",
        "consecutive_failures": 11,
        "last_status": None,
        "last_error": "timeout",
    }


def test_a_success_just_before_saves_it(pipeline):
    """The job had looked before; under the lock it looks once more."""
    endpoint_id = pipeline.endpoint()
    fail(pipeline, endpoint_id, failures=1)

    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "failing")

    assert state(pipeline, endpoint_id) == ("active", None)
    assert pipeline.rows("SELECT * FROM notice") == []


def test_a_paused_endpoint_is_left_as_it_is(pipeline):
    """Nothing is tried there; somebody is at it."""
    endpoint_id = pipeline.endpoint()
    fail(pipeline, endpoint_id)
    pipeline.services.endpoint_states.pause(TENANT, endpoint_id)

    assert pipeline.services.endpoint_states.disable_failing() == 0
    assert state(pipeline, endpoint_id) == ("paused", None)


def test_once_resumed_it_has_five_days_again(pipeline):
    endpoint_id = pipeline.endpoint()
    fail(pipeline, endpoint_id)
    states = pipeline.services.endpoint_states
    states.disable_failing()
    states.resume(TENANT, endpoint_id)

    assert states.disable_failing() == 0
    assert state(pipeline, endpoint_id) == ("active", None)
