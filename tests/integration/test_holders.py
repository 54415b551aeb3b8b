"""Those who hold an endpoint's deliveries, and what happens around them meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from itertools import count

import pytest

from ascwebhooks.client import encode
from ascwebhooks.errors import Unavailable
from ascwebhooks.services import claiming
from ascwebhooks.services.intakes import Accepted
from tests.integration import receivers
from tests.integration.pipeline import NOWHERE
from tests.waiting import wait_until


def wait(seconds: float) -> None:
    """Let time pass in which something must not happen."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, seconds + 5, "the time is over")


def begun_after(pipeline, event, change) -> int:
    """Return how many requests begin at the old place once a change was noticed."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        pipeline.accept(*(event(id=str(each)) for each in range(200)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.requests) == 4, 10, "four are out")
        change(endpoint_id)
        pipeline.taken_back(turns)
        gate.release(1000)
        wait_until(lambda: not turns._all(), 10, "its holder is through with it")
        return len(receiver.requests) - 4


def test_nothing_more_leaves_from_a_region_that_is_not_allowed(pipeline, event):
    """Although no receiver answers, so that nothing is recorded meanwhile."""

    def narrow(_):
        pipeline.services.tenants.change(
            "acme", {"home_region": "eu", "allowed_regions": ["eu"]}
        )

    def count_where(condition: str) -> int:
        return pipeline.one(f"SELECT count(*) FROM delivery WHERE {condition}")

    assert begun_after(pipeline, event, narrow) == 0
    # What was out arrives, and is not replayed.
    wait_until(lambda: count_where("status = 'delivered'") == 4, 10, "four arrived")
    assert count_where("dead_reason = 'residency'") == 196


def test_nothing_more_goes_to_a_url_that_was_replaced(pipeline, event):
    def move(endpoint_id):
        pipeline.services.endpoints.change("acme", endpoint_id, {"url": NOWHERE})

    assert begun_after(pipeline, event, move) == 0


def test_nothing_more_goes_to_a_deleted_endpoint(pipeline, event):
    def delete(endpoint_id):
        pipeline.services.endpoint_states.delete("acme", endpoint_id)

    assert begun_after(pipeline, event, delete) == 0


def test_nothing_more_goes_to_a_paused_endpoint(pipeline, event):
    def pause(endpoint_id):
        pipeline.services.endpoint_states.pause("acme", endpoint_id)

    assert begun_after(pipeline, event, pause) == 0


def deadly_or_ok(receiver: receivers.Receiver, connection: socket.socket) -> None:
    """Answer all but what is deadly, which is left open."""
    while request := receiver.read_request(connection):
        if b'"deadly"' in request:
            receiver.closing.wait(30)
            return
        receiver.answered()
        connection.sendall(receivers.OK)


def test_what_kills_workers_is_found_although_its_neighbours_arrive(pipeline, event):
    """Invariant 8: claimed five times without a recorded attempt: sent alone."""
    with receivers.Receiver(deadly_or_ok) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), timeout_s=30)
        deadly = pipeline.deliver_one(id="deadly")
        for life in range(5):
            good = pipeline.deliver_one(id=f"good-{life}")
            pipeline.turns().take([endpoint_id])
            assert pipeline.after_attempts(good).status == "delivered"
            wait_until(
                lambda life=life: (
                    sum(b'"deadly"' in each for each in receiver.requests) > life
                ),
                10,
                "the deadly one is out",
            )
            # The worker dies of it here: its lease runs out, nothing is recorded.
            pipeline.do(
                "UPDATE mailbox SET lease_until = clock_timestamp() - interval '1 s'"
            )
        pipeline.turns().take([endpoint_id])
        wait_until(
            lambda: pipeline.delivery(deadly).sent_alone == 1, 10, "it is sent alone"
        )
        # Once the receiver closes there is an answer to it, and it is recorded.
        assert pipeline.attempts(deadly) == []


def test_a_process_holds_no_more_of_bodies_than_it_says(pipeline, event):
    """However many endpoints hang, each with large events."""
    with receivers.Receiver(receivers.silent) as receiver:
        endpoints = [
            pipeline.endpoint(receiver.url(), max_in_flight=1) for _ in range(8)
        ]
        data = json.dumps("x" * 200_000)
        for start in range(0, 200, 20):
            pipeline.accept(
                *(event(data, id=str(each)) for each in range(start, start + 20))
            )
        turns = pipeline.turns()
        for each in endpoints:
            turns.take([each])
        held = sum(
            len(job.message.body)
            for visit in turns._all()
            for job in list(visit.jobs.values())
        )
        # Or it would begin the next ones while the receiver closes.
        turns.stop(0.1)
    assert held <= 1.5 * claiming.AHEAD_BYTES, f"{held >> 20} MiB are held"


def test_the_same_event_published_twice_is_a_duplicate(pipeline):
    """CONTRACT: "the same again is accepted and not sent again"."""
    same = {
        "id": "b-1",
        "source": "/gateway/eu-1",
        "type": "budget.exceeded",
        "tenantid": "acme",
        "data": {"spend": 103.2},
    }
    first = encode(same)
    wait(0.01)
    verdicts = pipeline.accept(first) + pipeline.accept(encode(same))
    assert all(isinstance(each, Accepted) for each in verdicts), verdicts
    assert verdicts[1].duplicate


def test_an_endpoint_is_changed_while_its_tenant_is_busy(pipeline, event):
    """Six readers accept without a pause, so that their locks overlap always."""
    endpoint_id = pipeline.endpoint()
    numbers, stop, done = count(), threading.Event(), []
    during: list[int] = []

    def ingest() -> None:
        acceptance = pipeline.acceptance(lambda _: None)
        while not stop.is_set():
            acceptance.accept(
                [event(id=str(next(numbers))) for _ in range(200)], via="stream"
            )
            done.append(1)

    threads = [threading.Thread(target=ingest) for _ in range(6)]
    for each in threads:
        each.start()
    try:
        wait_until(lambda: len(done) > 12, 30, "all of them accept")
        for _ in range(3):
            before = len(done)
            pipeline.services.endpoints.change(
                "acme", endpoint_id, {"description": "new"}
            )
            during.append(len(done) - before)
    except Unavailable:
        pytest.fail("the change waited for a lock too long")
    finally:
        stop.set()
        for each in threads:
            each.join()
    # Those that had begun, and some that ended while the change was being written.
    assert max(during) <= 18, f"batches that passed a change that waited: {during}"
