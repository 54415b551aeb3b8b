"""Cancelling one delivery, on the real tables."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest

from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.errors import Conflict, NotFound
from tests.integration import receivers
from tests.waiting import wait_until


def cancel(pipeline, delivery_id, tenant_id="acme"):
    return pipeline.services.deliveries.cancel(tenant_id, delivery_id)


def test_a_pending_delivery_is_cancelled_and_its_endpoint_rung(pipeline):
    """Rung, because at an endpoint in order others waited behind it."""
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.forget_rings()

    answered = cancel(pipeline, delivery_id)

    row = pipeline.delivery(delivery_id)
    assert (row.status, answered.status) == ("cancelled", "cancelled")
    assert row.completed_at is not None
    assert pipeline.rung() == [endpoint_id]


@pytest.mark.parametrize("status", ["delivered", "dead_lettered", "cancelled"])
def test_what_has_ended_is_a_conflict_and_stays_as_it_is(pipeline, status):
    pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do("UPDATE delivery SET status = :status", status=status)
    before = pipeline.delivery(delivery_id)

    with pytest.raises(Conflict, match=f"is {status} already"):
        cancel(pipeline, delivery_id)

    assert pipeline.delivery(delivery_id) == before


def test_anothers_delivery_is_not_found(pipeline):
    pipeline.services.tenants.create("globex")
    pipeline.endpoint()
    delivery_id = pipeline.deliver_one()

    for tenant_id, each in (("globex", delivery_id), ("acme", uuid4())):
        with pytest.raises(NotFound):
            cancel(pipeline, each, tenant_id)
    assert pipeline.delivery(delivery_id).status == "pending"


def test_cancel_wins_over_a_success_in_flight_which_stays_as_an_attempt(pipeline):
    """The receiver has it and answers 200 after the cancel."""
    arrived, answer = threading.Event(), threading.Event()

    def hold(_):
        arrived.set()
        answer.wait(10)

    with Receiver(on_delivery=hold) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        assert arrived.wait(10)
        cancel(pipeline, delivery_id)
        answer.set()
        row = pipeline.after_attempts(delivery_id)

    assert pipeline.attempts(delivery_id)[0].status_code == 200
    assert (row.status, row.attempt_count) == ("cancelled", 1)


def test_it_is_not_sent_any_more(pipeline, event):
    """What was behind it is, and it is not."""
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        cancelled = pipeline.deliver_one(id="1")
        pipeline.accept(event(id="2"))
        cancel(pipeline, cancelled)
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: seen, 10, "the other one arrives")
        pipeline.idle(endpoint_id)

    assert len(seen) == 1
    assert pipeline.attempts(cancelled) == []


def test_by_the_api(api, event):
    """200 with the delivery, then 409; a viewer may not."""
    api.endpoint()
    api.publish(event())
    (found,) = api.get("/tenants/acme/deliveries").json["items"]
    path = f"/tenants/acme/deliveries/{found['id']}/cancel"

    first, second = api.post(path), api.post(path)

    assert (first.status_code, first.json["status"]) == (200, "cancelled")
    assert first.json["next_attempt_at"] is None
    assert (second.status_code, second.json["code"]) == (409, "conflict")


def test_a_retry_into_a_region_that_is_no_longer_allowed_is_a_conflict(pipeline):
    """Its workers would send what must not leave from there."""
    pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.do("UPDATE delivery SET status = 'dead_lettered'")
    pipeline.do("UPDATE tenant SET home_region = 'eu', allowed_regions = '{eu}'")

    with pytest.raises(Conflict, match="'default'"):
        pipeline.services.deliveries.retry("acme", delivery_id)


def test_an_old_attempt_does_not_end_a_delivery_that_begins_anew(pipeline):
    """Cancelled and retried while its last attempt is out, which then fails."""
    gate = threading.Semaphore(0)

    def failing(receiver, connection):
        while receiver.read_request(connection):
            gate.acquire(timeout=20)
            receiver.answered()
            connection.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")

    with receivers.Receiver(failing) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.do("UPDATE delivery SET step = 9")
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the last attempt is out")
        cancel(pipeline, delivery_id)
        pipeline.services.deliveries.retry("acme", delivery_id)
        assert pipeline.delivery(delivery_id).step == 0
        gate.release()
        row = pipeline.after_attempts(delivery_id)
        turns.stop(0.1)
        gate.release(5)
    assert (row.status, row.dead_reason) == ("pending", None)
