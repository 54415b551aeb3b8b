"""Turns against real receivers on loopback: what each answer leads to."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from datetime import timedelta

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from ascwebhooks.domain import ids
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.services.leases import CLAIMING_S
from tests.integration import receivers
from tests.waiting import wait_until

TRACE = "00-1bce8a179d2a4e698d470840bec83ee4-b7ad6b7169203331-01"


def answering(status: int, *headers: str) -> receivers.Receiver:
    """Return a receiver that answers every request like this."""
    lines = "".join(f"{each}\r\n" for each in (*headers, "Content-Length: 2"))
    response = f"HTTP/1.1 {status} X\r\n{lines}\r\nno".encode()
    return receivers.Receiver(receivers.keep_alive(response))


def until_due(pipeline, delivery_id) -> timedelta:
    """Return how long a delivery has to wait, from when it was last recorded."""
    return pipeline.one(
        "SELECT d.next_attempt_at - m.last_failure_at FROM delivery d"
        " JOIN mailbox m USING (endpoint_id) WHERE d.id = :id",
        id=delivery_id,
    )


def hasten(pipeline, delivery_id) -> None:
    """Make a delivery due now, as if its wait were over."""
    pipeline.do(
        "UPDATE delivery SET next_attempt_at = clock_timestamp() WHERE id = :id",
        id=delivery_id,
    )


def test_delivered_signed_and_byte_for_byte(pipeline, event):
    """Invariant 7: what was signed is what is sent, and data is as it came."""
    data = '{ "b" :1.00,\t"a":"\\u00e9\\/" }'
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id, secret = pipeline.endpoint_with_secret(
            f"{receiver.url}/hook",
            event_types=["*"],
            headers={"X-Own": "mine"},
        )
        delivery_id = pipeline.deliver_one(
            data, traceparent=TRACE, time="2026-11-23T07:41:49.5Z", subject="team"
        )
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

    (request,) = seen
    assert request.path == "/hook"
    assert request.body.endswith(b',"data":' + data.encode() + b"}")
    assert request.body.startswith(
        b'{"type":"budget.exceeded","timestamp":"2026-11-23T07:41:49.5Z",'
        b'"id":"event-1","source":"/gateways/one","subject":"team","tenant_id":"acme"'
    )
    assert Webhook(secret).verify(request.body, request.headers)["data"]["b"] == 1.0
    assert request.headers["webhook-id"].startswith("evt_")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("ascwebhooks/")
    assert request.headers["traceparent"] == TRACE
    assert request.headers["x-own"] == "mine"
    assert (row.status, row.attempt_count, row.last_status_code) == (
        "delivered",
        1,
        200,
    )
    assert row.last_error is None
    assert row.completed_at is not None
    (attempt,) = pipeline.attempts(delivery_id)
    assert attempt.address == f"127.0.0.1:{receiver.port}"
    assert attempt.connect_ms <= attempt.first_byte_ms <= attempt.total_ms


def test_an_attempt_can_be_read_with_its_request_and_answer(pipeline):
    with answering(500, "X-Reason: broken") as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), headers={"X-Key": "credential"})
        delivery_id = pipeline.deliver_one("[1]")
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)

    found = pipeline.services.deliveries.get("acme", delivery_id)

    (opened,) = found.attempts
    assert dict(opened.detail.request_headers)["webhook-id"].startswith("evt_")
    assert dict(opened.detail.request_headers)["X-Key"] == "[hidden]"
    assert ("X-Reason", "broken") in opened.detail.response_headers
    assert opened.detail.response_body == b"no"
    assert found.body.endswith(b'"data":[1]}')


def test_both_secrets_sign_while_a_rotation_overlaps(pipeline):
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id, old = pipeline.endpoint_with_secret(
            receiver.url, event_types=["*"]
        )
        new = pipeline.services.secrets.rotate("acme", endpoint_id).secret
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)

    (request,) = seen
    assert len(request.headers["webhook-signature"].split()) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(request.body, request.headers)


def test_500_is_tried_again_after_five_seconds_and_jitter(pipeline):
    with answering(500) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

    assert (row.status, row.step, row.attempt_count) == ("pending", 1, 1)
    assert (row.last_status_code, row.last_error) == (500, "http_status")
    assert row.completed_at is None
    wait = until_due(pipeline, delivery_id)
    assert timedelta(seconds=4) <= wait <= timedelta(seconds=6.1)


def test_retries_live_in_postgresql_and_nowhere_else(pipeline):
    """Invariant 5: the wait is a column; the broker holds nothing to lose."""
    with answering(500) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.forget_rings()
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)
        pipeline.idle(endpoint_id)

        assert row.next_attempt_at > pipeline.one("SELECT clock_timestamp()")
        assert pipeline.rung() == []
        unacked = list(pipeline.redis.scan_iter("unacked*"))
        assert not unacked, "no countdown waits in the broker"
        hasten(pipeline, delivery_id)
        assert pipeline.services.maintenance.ring_retries() == 1
        assert pipeline.rung() == [endpoint_id]


def test_the_last_failure_of_the_schedule_is_a_dead_letter(pipeline):
    with answering(500) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[1, 2])
        delivery_id = pipeline.deliver_one()
        turns = pipeline.turns()
        rows = []
        for number in range(1, 4):
            hasten(pipeline, delivery_id)
            pipeline.idle(endpoint_id)
            turns.take([endpoint_id])
            rows.append(pipeline.after_attempts(delivery_id, number))

    assert [row.status for row in rows] == ["pending", "pending", "dead_lettered"]
    assert rows[2].dead_reason == "attempts_exhausted"
    assert (rows[2].attempt_count, rows[2].step) == (3, 3)
    assert rows[2].completed_at is not None
    assert {
        request.split(b"webhook-id: ")[1][:30] for request in receiver.requests
    } == {receiver.requests[0].split(b"webhook-id: ")[1][:30]}, (
        "the webhook-id stays the same over retries"
    )


def test_410_ends_the_delivery_and_disables_the_endpoint(pipeline, event):
    """What else was pending there stands in the dead letters, to be replayed."""
    gate = threading.Semaphore(0)

    def script(receiver, connection):
        receiver.read_request(connection)
        while not gate.acquire(timeout=0.05):
            if receiver.closing.is_set():
                return
        connection.sendall(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")

    with receivers.Receiver(script) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        first = pipeline.deliver_one(id="1")
        others = [pipeline.deliver_one(id=str(number)) for number in range(2, 12)]
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")
        gate.release(2)
        row = pipeline.after_attempts(first)
        wait_until(
            lambda: pipeline.one("SELECT state FROM endpoint") == "disabled",
            10,
            "the endpoint is disabled",
        )
        gate.release(len(others))
        pipeline.idle(endpoint_id)

    assert (row.status, row.dead_reason) == ("dead_lettered", "gone")
    assert pipeline.one("SELECT disabled_reason FROM endpoint") == "gone"
    assert pipeline.mailbox(endpoint_id).state == "disabled"
    reasons = [pipeline.delivery(each).dead_reason for each in others]
    assert set(reasons) <= {"endpoint_disabled", "gone"}
    assert reasons.count("endpoint_disabled") >= 8, "but for what was out by then"
    (verdict,) = pipeline.accept(event(id="later"))
    row = pipeline.rows("SELECT * FROM delivery WHERE event_id = :id", id=verdict.id)[0]
    assert (row.status, row.dead_reason) == ("dead_lettered", "endpoint_disabled")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_never_followed(pipeline, status):
    """A receiver must not choose where we connect."""
    with (
        answering(200) as elsewhere,
        answering(status, f"Location: {elsewhere.url()}") as receiver,
    ):
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

        assert (row.status, row.last_error) == ("pending", "redirect")
        assert row.last_status_code == status
        assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_floor(pipeline, status):
    with answering(status, "Retry-After: 120") as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

    assert (row.status, row.last_status_code) == ("pending", status)
    wait = until_due(pipeline, delivery_id)
    assert timedelta(seconds=120) <= wait <= timedelta(seconds=121)


def test_a_receiver_that_never_answers_is_a_timeout(pipeline):
    with receivers.Receiver(receivers.silent) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), timeout_s=1)
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

    assert (row.status, row.last_error) == ("pending", "timeout")
    assert row.last_status_code is None
    (attempt,) = pipeline.attempts(delivery_id)
    assert 1_000 <= attempt.total_ms < 5_000, "not only after the usual timeout"
    assert pipeline.mailbox(endpoint_id).slow, "it belongs with the slow ones now"


def test_a_private_address_is_never_connected_to(make_pipeline, pipeline):
    """It was allowed when the endpoint was made; what counts is the attempt."""
    with answering(200) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        strict = make_pipeline(allowed_networks=())
        strict.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

        assert (row.status, row.last_error) == ("pending", "blocked_address")
        assert receiver.connections == 0
    (attempt,) = pipeline.attempts(delivery_id)
    assert "127.0.0.1" not in (attempt.error or "")


def test_nobody_listens(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.turns().take([endpoint_id])

    row = pipeline.after_attempts(delivery_id)

    assert (row.status, row.last_error) == ("pending", "connect_error")


def test_an_answer_of_any_bytes_is_recorded(pipeline):
    """What a receiver says must not stop the desk from recording."""
    response = (
        b"HTTP/1.1 500 \xff\xfe\r\nX-Odd: \xc3\x28\x80 \r\nX-\xff: 1\r\n"
        b"Content-Length: 8\r\n\r\n\0\xff\xed\xa0\x80\0\r\n"
    )
    with receivers.Receiver(receivers.keep_alive(response)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)

    (opened,) = pipeline.services.deliveries.get("acme", delivery_id).attempts
    assert opened.detail.response_body == b"\0\xff\xed\xa0\x80\0\r\n"


def test_no_transaction_is_open_while_a_request_is_out(pipeline):
    """Invariant 4: a receiver that takes its time holds no connection of ours."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")

        def open_transactions() -> int:
            return pipeline.one(
                "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )

        wait_until(lambda: open_transactions() == 0, 10, "no transaction is open")
        assert pipeline.mailbox(endpoint_id).lease_token is not None
        assert pipeline.delivery(delivery_id).attempt_count == 0, "it is still out"
        gate.release()
        assert pipeline.after_attempts(delivery_id).status == "delivered"


def test_what_is_out_does_not_keep_others_from_changing_its_row(pipeline):
    """Invariant 4, seen from outside: no lock on what is being sent."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")

        pipeline.do("SELECT * FROM mailbox FOR UPDATE NOWAIT")
        pipeline.do("SELECT * FROM delivery FOR UPDATE NOWAIT")
        gate.release()
        pipeline.after_attempts(delivery_id)


def test_no_more_requests_are_out_than_the_endpoint_allows(pipeline, event):
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=3)
        pipeline.accept(*(event(id=str(number)) for number in range(60)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.in_flight == 3, 10, "three are out")
        turns.take([endpoint_id])
        for _ in range(60):
            gate.release()
        wait_until(
            lambda: pipeline.one("SELECT count(*) FROM attempt") == 60, 10, "all done"
        )

    assert receiver.most_in_flight == 3
    assert len(receiver.requests) == 60


def test_each_is_sent_once_however_often_its_mailbox_is_rung(pipeline, event):
    """Rings are no tickets: many of them serve a mailbox once."""
    with answering(200) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.accept(*(event(id=str(number)) for number in range(50)))
        one, other = pipeline.turns(), pipeline.turns()
        threads = [
            threading.Thread(target=turns.take, args=([endpoint_id],))
            for turns in (one, other) * 4
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        wait_until(
            lambda: (
                pipeline.one("SELECT count(*) FROM delivery WHERE status = 'delivered'")
                == 50
            ),
            10,
            "all are delivered",
        )

    assert len(receiver.requests) == 50
    assert pipeline.one("SELECT count(*) FROM attempt") == 50


def test_the_lease_is_given_back_as_soon_as_the_mailbox_is_empty(pipeline):
    with answering(200) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        box = pipeline.idle(endpoint_id)

    assert box.lease_until is None
    assert box.abandoned_leases == 0
    assert box.last_success_at is not None


def test_a_slow_neighbour_holds_nobodys_lease(pipeline, event):
    gate = threading.Semaphore(0)
    with (
        receivers.Receiver(receivers.gated(gate)) as slow,
        answering(200) as quick,
    ):
        slow_id = pipeline.endpoint(slow.url())
        quick_id = pipeline.endpoint(quick.url())
        pipeline.accept(event())
        pipeline.turns().take([slow_id, quick_id])
        pipeline.idle(quick_id)

        assert pipeline.mailbox(slow_id).lease_token is not None
        gate.release()


def test_a_lease_is_renewed_while_a_request_is_out(make_pipeline, pipeline):
    """A lease of five seconds lasts as long as it is needed."""
    gate = threading.Semaphore(0)
    short = make_pipeline(lease_s=5)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        short.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")
        taken = pipeline.mailbox(endpoint_id)
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).lease_until > taken.lease_until,
            10,
            "the lease is renewed",
        )
        assert pipeline.mailbox(endpoint_id).lease_token == taken.lease_token
        gate.release()
        pipeline.after_attempts(delivery_id)


def lose_lease(pipeline, endpoint_id) -> None:
    """Give the lease to another worker, behind the holder's back."""
    pipeline.do(
        "UPDATE mailbox SET lease_token = gen_random_uuid(),"
        " lease_until = clock_timestamp() + interval '1 minute'"
        " WHERE endpoint_id = :id",
        id=endpoint_id,
    )


def late(pipeline, response: bytes):
    """Let an answer come after the lease was lost; return endpoint and delivery."""
    gate = threading.Event()

    def script(receiver, connection):
        receiver.read_request(connection)
        gate.wait(10)
        connection.sendall(response)

    with receivers.Receiver(script) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")
        before = pipeline.delivery(delivery_id)
        lose_lease(pipeline, endpoint_id)
        gate.set()
        after = pipeline.after_attempts(delivery_id)
    return endpoint_id, before, after


@pytest.mark.parametrize(
    "status_line",
    [b"500 Oops", b"410 Gone", b"301 Elsewhere"],
    ids=["500", "410", "301"],
)
def test_without_the_lease_a_late_failure_changes_no_status(pipeline, status_line):
    """Invariant 6: the attempt was made and is recorded; the other worker decides."""
    response = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status_line
    endpoint_id, before, after = late(pipeline, response)

    assert (after.status, after.step) == ("pending", 0)
    assert after.next_attempt_at == before.next_attempt_at
    assert after.last_error is None
    assert after.attempt_count == 1
    box = pipeline.mailbox(endpoint_id)
    assert (box.consecutive_failures, box.state) == (0, "active")
    assert box.lease_token is not None, "the other worker's lease is not given back"


def test_without_the_lease_a_late_success_still_delivers(pipeline):
    """Invariant 6: it was delivered; sending it again would help nobody."""
    _, _, after = late(pipeline, receivers.OK)

    assert (after.status, after.attempt_count) == ("delivered", 1)
    assert after.completed_at is not None


@pytest.mark.parametrize("held", [True, False])
def test_what_ended_with_its_endpoint_and_arrived_was_delivered(pipeline, held):
    """A replay would send it again.  Without the lease the dead letter stays one."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")
        pipeline.services.endpoint_states.disable("acme", endpoint_id, "test")
        if not held:
            lose_lease(pipeline, endpoint_id)
        gate.release()
        row = pipeline.after_attempts(delivery_id)

    stays = ("dead_lettered", "endpoint_disabled")
    assert (row.status, row.dead_reason) == (("delivered", None) if held else stays)
    assert row.attempt_count == 1


def test_what_was_not_sent_yet_goes_back_unused_when_the_lease_is_lost(pipeline, event):
    """Another worker has it now; sending it here too would make duplicates."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver, Receiver() as other:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        pipeline.accept(*(event(id=str(number)) for number in range(10)))
        other_id = pipeline.endpoint(other.url, event_types=["round"])
        pipeline.services.endpoints.change(
            "acme", endpoint_id, {"event_types": ["nothing.more"]}
        )
        turns = pipeline.turns()

        def once_round(name: str) -> None:
            """Let the recorder draw its conclusions: it takes batch after batch."""
            delivery_id = pipeline.deliver_one(id=name, type="round")
            turns.take([other_id])
            pipeline.after_attempts(delivery_id)

        turns.take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "one is out")
        lose_lease(pipeline, endpoint_id)
        gate.release()
        wait_until(
            lambda: pipeline.one("SELECT count(*) FROM attempt") == 1, 10, "recorded"
        )
        once_round("first")
        gate.release(20)
        once_round("second")

        # The window lets the next one start before the first is recorded.
        assert len(receiver.requests) <= 2


def test_what_was_committed_after_the_last_claim_is_rung_when_the_lease_goes_back(
    pipeline, event
):
    """Its own ring may have found the lease taken and come to nothing."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.deliver_one(id="1")
        pipeline.rung()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the request is out")
        pipeline.deliver_one(id="2")
        pipeline.rung()
        pipeline.redis.delete("deliver.default")  # that ring is lost
        pipeline.services.make_turns("default", False).take([endpoint_id])  # in vain
        gate.release()
        pipeline.idle(endpoint_id)
        wait_until(lambda: pipeline.rung() == [endpoint_id], 10, "it is rung again")


def test_a_backlog_is_rung_on_when_the_time_to_claim_is_over(pipeline, event):
    """What fell due long ago too: the lease goes back before the mailbox is empty."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        for at in range(0, 3_000, 500):
            pipeline.accept(*(event(id=f"{at + each}") for each in range(500)))
        pipeline.do("UPDATE delivery SET next_attempt_at = now() - interval '1 hour'")
        pipeline.forget_rings()
        pipeline.turns().take([endpoint_id])
        token = pipeline.mailbox(endpoint_id).lease_token
        wait_until(lambda: receiver.requests, 10, "one is out")
        over = time.monotonic() + CLAIMING_S
        while time.monotonic() < over:  # an answer that took 5 s would make it slow
            gate.release()
            time.sleep(0.02)
        gate.release(5_000)
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).lease_token != token, 20, "given back"
        )
        left = pipeline.one("SELECT count(*) FROM delivery WHERE status = 'pending'")
        assert left > 0
        wait_until(lambda: pipeline.rung() == [endpoint_id], 5, "it is rung again")


def test_events_that_come_while_a_mailbox_is_served_are_sent_in_the_same_turn(
    pipeline, event
):
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.deliver_one(id="1")
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.requests) == 1, 10, "the first is out")
        for number in (2, 3):
            pipeline.deliver_one(id=str(number))
            assert endpoint_id in pipeline.rung(), "the door is open again"
            turns.take([endpoint_id])
            wait_until(
                lambda number=number: len(receiver.requests) == number,
                10,
                "the next is out, although the first has no answer yet",
            )
            pipeline.redis.delete("deliver.default")
        gate.release(3)


def test_another_regions_endpoints_are_left_alone(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()

    pipeline.turns(region="eu").take([endpoint_id])

    assert pipeline.mailbox(endpoint_id).lease_token is None
    assert pipeline.delivery(delivery_id).attempt_count == 0


def test_a_paused_endpoint_is_not_served(pipeline):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    pipeline.services.endpoint_states.pause("acme", endpoint_id)

    pipeline.turns().take([endpoint_id])

    assert pipeline.mailbox(endpoint_id).lease_token is None
    assert pipeline.delivery(delivery_id).status == "pending"


def test_stopping_gives_back_what_was_not_sent_and_records_what_was(pipeline, event):
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=2)
        pipeline.accept(*(event(id=str(number)) for number in range(10)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.in_flight == 2, 10, "two are out")

        def let_them_end() -> None:
            pipeline.taken_back(turns)
            gate.release(50)

        ending = threading.Thread(target=let_them_end)
        ending.start()
        turns.stop(10)
        ending.join(10)

        sent = len(receiver.requests)
    assert pipeline.one("SELECT count(*) FROM attempt") == sent < 10
    statuses = dict(
        tuple(each)
        for each in pipeline.rows("SELECT status, count(*) FROM delivery GROUP BY 1")
    )
    assert statuses == {"delivered": sent, "pending": 10 - sent}
    assert pipeline.mailbox(endpoint_id).lease_token is None


def test_stopping_ends_in_time_though_nothing_can_be_recorded(pipeline):
    """Somebody holds the table that attempts go into; they are made again."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.deliver_one()
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.in_flight == 1, 10, "it is out")
        with pipeline.engine.begin() as held:
            held.execute(text("LOCK TABLE attempt IN EXCLUSIVE MODE"))
            gate.release(50)
            began = time.monotonic()
            turns.stop(0.3, settle_s=3)
            took_s = time.monotonic() - began
            # Given free, it may be recorded after all by who was waiting for it.
            assert pipeline.one("SELECT status FROM delivery") == "pending"

    assert took_s < 6, "it waits for all together no longer than ``settle_s``"


def test_what_kills_workers_ends_in_the_dead_letters_and_the_rest_goes_on(
    pipeline, event
):
    """Invariant 8: five leases that nobody gave back, then each is sent alone, its
    counter committed first; what was counted and never recorded is given up.
    """
    with answering(200) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        deadly = pipeline.deliver_one(id="deadly")
        harmless = [pipeline.deliver_one(id=str(number)) for number in range(5)]
        abandoned(pipeline, endpoint_id, 5)
        # It was sent alone once, and the worker died of it.
        pipeline.do("UPDATE delivery SET sent_alone = 1 WHERE id = :id", id=deadly)

        pipeline.turns().take([endpoint_id])
        for each in harmless:
            assert pipeline.after_attempts(each).status == "delivered"
        box = pipeline.idle(endpoint_id)

    row = pipeline.delivery(deadly)
    assert (row.status, row.dead_reason) == ("dead_lettered", "crashes_worker")
    assert pipeline.attempts(deadly) == []
    assert len(receiver.requests) == 5
    assert box.abandoned_leases == 0, "it is trusted again"


def abandoned(pipeline, endpoint_id, times: int) -> None:
    """Leave the mailbox as workers that died ``times`` in a row leave it."""
    pipeline.do(
        "UPDATE mailbox SET lease_token = gen_random_uuid(),"
        " lease_until = clock_timestamp() - interval '1 second',"
        " abandoned_leases = :times WHERE endpoint_id = :id",
        times=times - 1,
        id=endpoint_id,
    )


def test_four_dead_workers_are_no_reason_to_send_alone(pipeline):
    with answering(200) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.do("UPDATE delivery SET sent_alone = 1")
        abandoned(pipeline, endpoint_id, 4)
        pipeline.turns().take([endpoint_id])

        assert pipeline.after_attempts(delivery_id).status == "delivered"


def test_the_counter_is_committed_before_what_is_suspicious_is_sent(pipeline, event):
    """Invariant 8: were it counted afterwards, a crash would leave no trace.

    And one is out at a time, so that it is known whose fault it was.
    """
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.accept(*(event(id=str(number)) for number in range(4)))
        abandoned(pipeline, endpoint_id, 5)
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "one is out")

        assert pipeline.one("SELECT sum(sent_alone) FROM delivery") == 1
        gate.release(4)
        wait_until(
            lambda: pipeline.one("SELECT count(*) FROM attempt") == 4, 10, "all done"
        )

    assert receiver.most_in_flight == 1
    assert pipeline.one("SELECT sum(sent_alone) FROM delivery") == 0


def test_an_attempt_that_was_recorded_without_the_lease_clears_the_suspicion(pipeline):
    """It was sent alone and nobody died: the counter must not end it later."""
    with receivers.Receiver(
        receivers.gated(gate := threading.Semaphore(0))
    ) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), timeout_s=1)
        delivery_id = pipeline.deliver_one()
        abandoned(pipeline, endpoint_id, 5)
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "it is out, alone")
        assert pipeline.delivery(delivery_id).sent_alone == 1
        lose_lease(pipeline, endpoint_id)
        row = pipeline.after_attempts(delivery_id)  # it times out
        gate.release()

    assert (row.status, row.attempt_count) == ("pending", 1)
    assert row.sent_alone == 0


def test_due_times_leases_and_ids_follow_postgresqls_clock(
    make_pipeline, database_url, event
):
    """Invariant 11: here it goes three hours ahead of this machine's.

    A worker's own clock serves ``webhook-timestamp`` alone.
    """
    pipeline = make_pipeline(database_url=database_url)
    pipeline.services.tenants.create("acme")
    shift_clock(pipeline, "3 hours")
    with answering(500) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        (verdict,) = pipeline.accept(event())
        before = pipeline.one("SELECT clock_timestamp()")
        delivery_id = pipeline.one("SELECT id FROM delivery")
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)
        (attempt,) = pipeline.attempts(delivery_id)
        box = pipeline.idle(endpoint_id)
        after = pipeline.one("SELECT clock_timestamp()")
        request = receiver.requests[0]

    for each in (verdict.id, delivery_id, attempt.id):
        assert abs(ids.moment(each) - before) < timedelta(minutes=1)
    assert before < row.next_attempt_at < after + timedelta(seconds=7)
    assert abs(box.last_failure_at - before) < timedelta(minutes=1)
    sent_at = int(request.split(b"webhook-timestamp: ")[1].split(b"\r")[0])
    assert abs(before.timestamp() - 3 * 3600 - sent_at) < 60, "the worker's clock"
    with pipeline.uow() as uow:
        uow.mailboxes.take([endpoint_id], delivery_id, timedelta(minutes=1), "default")
        uow.commit()
    lease = pipeline.mailbox(endpoint_id).lease_until - before
    assert timedelta(minutes=1) < lease < timedelta(minutes=2)
    pipeline.do("UPDATE mailbox SET lease_token = NULL, lease_until = NULL")
    assert pipeline.services.maintenance.sweep() == 0, "it is not due yet"
    shift_clock(pipeline, "3 hours 10 seconds")
    assert pipeline.services.maintenance.sweep() == 1


def shift_clock(pipeline, by: str) -> None:
    """Set the clock of the test's database ahead of the machine's.

    Functions of the same names that are found first, the rest being PostgreSQL's.
    """
    name = pipeline.one("SELECT current_database()")
    pipeline.do("CREATE SCHEMA IF NOT EXISTS shifted")
    for function in ("clock_timestamp", "statement_timestamp", "now"):
        pipeline.do(
            f"CREATE OR REPLACE FUNCTION shifted.{function}() RETURNS timestamptz"
            f" LANGUAGE sql VOLATILE AS"
            f" $$ SELECT pg_catalog.{function}() + interval '{by}' $$"
        )
    pipeline.do(f"ALTER DATABASE {name} SET search_path = shifted, pg_catalog, public")
    pipeline.engine.dispose()


def test_neither_payload_nor_secret_stands_in_clear_in_any_table(pipeline):
    """And the answer of the receiver neither, which may repeat both."""
    response = (
        b"HTTP/1.1 500 X\r\nX-Planted: planted-header\r\nContent-Length: 14\r\n\r\n"
        b"planted-answer"
    )
    with receivers.Receiver(receivers.keep_alive(response)) as receiver:
        endpoint_id, secret = pipeline.endpoint_with_secret(
            receiver.url(), event_types=["*"], headers={"X-Key": "planted-credential"}
        )
        delivery_id = pipeline.deliver_one(
            '"planted-payload"', subject="planted-subject"
        )
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
    pipeline.accept(b'{"planted-rejected": ')
    found = planted(pipeline, secret)

    assert found == []
    (opened,) = pipeline.services.deliveries.get("acme", delivery_id).attempts
    assert opened.detail.response_body == b"planted-answer", "it is there, sealed"


def planted(pipeline, secret: str) -> list[str]:
    """Return the rows of any table in which something planted can be read."""
    key = b64decode(secret.removeprefix("whsec_"))
    words = [b"planted", secret[6:].encode(), key, key.hex().encode()]
    tables = pipeline.rows(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND NOT relispartition AND relnamespace = 'public'::regnamespace"
    )
    found = []
    looked = 0
    for (table,) in tables:
        for row in pipeline.rows(f"SELECT * FROM {table}"):
            looked += 1
            plain = b"|".join(
                bytes(each)
                if isinstance(each, bytes | memoryview)
                else str(each).encode()
                for each in row
            )
            found += [f"{table}: {word!r}" for word in words if word in plain]
    assert looked > 8, "there is something to look at"
    return found


def test_messages_to_the_broker_hold_ids_only(pipeline, event):
    """Invariant 9: JSON, and nothing of a payload or a secret."""
    endpoint_id, secret = pipeline.endpoint_with_secret(
        "http://127.0.0.1:9009/", event_types=["*"]
    )
    pipeline.accept(event('"planted-payload"', subject="planted-subject"))
    assert pipeline.rung() == [endpoint_id]

    for raw in pipeline.messages():
        message = json.loads(raw)
        assert message["content-type"] == "application/json"
        whole = raw + b64decode(message["body"])
        assert b"planted" not in whole
        assert secret[6:20].encode() not in whole
        arguments = json.loads(b64decode(message["body"]))
        assert arguments[1] == {}, "no named arguments"
        (ids_alone,) = arguments[0]
        assert all(len(each) == 32 and int(each, 16) for each in ids_alone)


def test_a_lost_ring_is_found_by_the_sweep(pipeline):
    """Invariant 3: the broker forgot everything; the row did not."""
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one()
        pipeline.forget_rings()

        assert pipeline.services.maintenance.sweep() == 1
        (rung,) = pipeline.rung()
        assert rung == endpoint_id
        pipeline.turns().take([rung])
        assert pipeline.after_attempts(delivery_id).status == "delivered"
        pipeline.idle(endpoint_id)
        assert pipeline.services.maintenance.sweep() == 0


def test_the_sweep_ignores_doors_and_takes_over_from_the_dead(pipeline):
    """Invariant 3: a ring that was lost leaves its door shut, a worker its lease."""
    with Receiver(failure=Failure(500, 1)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one()
        pipeline.rung()
        pipeline.redis.delete("deliver.default")
        pipeline.do(
            "UPDATE mailbox SET lease_token = gen_random_uuid(),"
            " lease_until = clock_timestamp() + interval '1 minute'"
        )
        assert pipeline.services.maintenance.sweep() == 0, "somebody serves it"
        abandoned(pipeline, endpoint_id, 1)

        assert pipeline.services.maintenance.sweep() == 1
        assert pipeline.rung() == [endpoint_id]
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
