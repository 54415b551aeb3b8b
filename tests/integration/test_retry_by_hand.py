"""Retrying by hand, on the real tables."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.errors import Conflict, NotFound


def retry(pipeline, delivery_id, tenant_id="acme"):
    return pipeline.services.deliveries.retry(tenant_id, delivery_id)


def test_a_pending_delivery_is_due_now_and_keeps_its_step(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do(
        "UPDATE delivery SET next_attempt_at = clock_timestamp() + interval '1 day',"
        " step = 3, attempt_count = 7, last_error = 'timeout'"
    )
    pipeline.forget_rings()

    answered = retry(pipeline, delivery_id)

    row = pipeline.delivery(delivery_id)
    assert (row.status, row.step, row.attempt_count) == ("pending", 3, 7)
    assert row.next_attempt_at <= pipeline.one("SELECT clock_timestamp()")
    assert (answered.id, answered.next_attempt_at) == (row.id, row.next_attempt_at)
    assert pipeline.rung() == [endpoint_id]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("dead_lettered", "attempts_exhausted"),
        ("dead_lettered", "crashes_worker"),
        ("delivered", None),
        ("cancelled", None),
    ],
)
def test_what_has_ended_begins_its_schedule_anew(pipeline, status, reason):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do(
        "UPDATE delivery SET status = :status, dead_reason = :reason, step = 10,"
        " attempt_count = 10, sent_alone = 2, completed_at = clock_timestamp(),"
        " next_attempt_at = clock_timestamp() - interval '1 hour'",
        status=status,
        reason=reason,
    )
    pipeline.forget_rings()

    answered = retry(pipeline, delivery_id)

    row = pipeline.delivery(delivery_id)
    assert (row.status, row.step) == ("pending", 0)
    assert row.attempt_count == 10, "its attempts stay"
    assert row.dead_reason is None
    assert row.completed_at is None
    assert row.sent_alone == 0, "or it would be given up without an attempt"
    assert answered.status == "pending"
    assert pipeline.rung() == [endpoint_id]


def test_it_is_sent_again_and_its_attempts_stay(pipeline):
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one()
        turns = pipeline.turns()
        turns.take([endpoint_id])
        assert pipeline.after_attempts(delivery_id).status == "delivered"
        pipeline.idle(endpoint_id)
        retry(pipeline, delivery_id)
        turns.take([endpoint_id])
        row = pipeline.after_attempts(delivery_id, 2)

    assert (row.status, row.attempt_count, row.step) == ("delivered", 2, 1)
    one, other = (each.headers["webhook-id"] for each in seen)
    assert one == other, "the same over retries and replays"


@pytest.mark.parametrize("status", ["pending", "delivered", "dead_lettered"])
def test_not_while_the_endpoint_is_disabled(pipeline, status):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.services.endpoint_states.disable("acme", endpoint_id, "gone")
    pipeline.do("UPDATE delivery SET status = :status", status=status)
    before = pipeline.delivery(delivery_id)

    with pytest.raises(Conflict, match="resume it first"):
        retry(pipeline, delivery_id)

    assert pipeline.delivery(delivery_id) == before
    pipeline.services.endpoint_states.resume("acme", endpoint_id)
    assert retry(pipeline, delivery_id).status == "pending"


def test_not_after_the_endpoint_was_deleted(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.services.endpoint_states.delete("acme", endpoint_id)

    with pytest.raises(Conflict, match="deleted"):
        retry(pipeline, delivery_id)


def test_a_paused_endpoints_deliveries_wait_also_when_retried(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.services.endpoint_states.pause("acme", endpoint_id)

    assert retry(pipeline, delivery_id).status == "pending"


def test_disabled_between_looking_and_locking_it_is_refused(pipeline):
    """The mailbox's copy of the state, read under its lock, has the last word."""
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do(
        "UPDATE mailbox SET state = :state WHERE endpoint_id = :id",
        state=EndpointState.DISABLED.value,
        id=endpoint_id,
    )

    with pytest.raises(Conflict, match="a moment ago"):
        retry(pipeline, delivery_id)


def test_anothers_delivery_is_not_found(pipeline):
    """The same answer as for none at all."""
    pipeline.services.tenants.create("globex")
    pipeline.endpoint()
    delivery_id = pipeline.deliver_one()

    for tenant_id, each in (("globex", delivery_id), ("acme", uuid4())):
        with pytest.raises(NotFound):
            retry(pipeline, each, tenant_id)
    with pytest.raises(NotFound):
        pipeline.services.deliveries.get("globex", delivery_id)
