"""The terms of what was claimed: what is changed reaches whoever holds the lease.

A process claims up to a thousand deliveries ahead.  None of them may leave under terms
that have changed meanwhile, or past the lease.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from standardwebhooks.webhooks import Webhook

from ascwebhooks.errors import Unavailable
from tests.integration import receivers
from tests.integration.pipeline import TENANT, Pipeline, event
from tests.waiting import wait_until

FAILED = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
#: What an answer takes: as long as it may be until a result is recorded.
SLOWLY_S = 0.05
#: So many more may leave: one that was out, and what leaves until it is recorded.
LATE = 4


class Gated(receivers.Receiver):
    """Answers one request for each release of its gate, and takes its time."""

    def __init__(self, answer: bytes = receivers.OK) -> None:
        self.answer = answer
        self.gate = threading.Semaphore(0)
        super().__init__(self._script)

    def _script(self, receiver, connection) -> None:
        while receiver.read_request(connection):
            while not self.gate.acquire(timeout=0.05):
                if receiver.closing.is_set():
                    return
            receiver.closing.wait(SLOWLY_S)
            connection.sendall(self.answer)


def accept(pipeline, count: int) -> None:
    pipeline.accept(*(event(str(n), id=f"e{n:03}") for n in range(count)))


def pending(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM delivery WHERE status = 'pending'")


def headers_of(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def under_way(pipeline, receiver, count: int = 40, **options):
    """Return an endpoint whose deliveries are claimed, and of which one is out."""
    endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1, **options)
    accept(pipeline, count)
    turns = pipeline.turns()
    turns.take([endpoint_id])
    wait_until(lambda: receiver.requests, 10, "the first one is out")
    return endpoint_id, turns


def until_given_back(pipeline, receiver, endpoint_id) -> int:
    """Answer whatever comes until the lease is free; return how many had come."""
    before = len(receiver.requests)
    receiver.gate.release(1_000)
    pipeline.idle(endpoint_id)
    assert len(receiver.requests) - before < LATE
    return len(receiver.requests)


def to_another_url(services, endpoint_id) -> None:
    url = "http://127.0.0.1:9009/elsewhere"
    services.endpoints.change(TENANT, endpoint_id, {"url": url})


def to_a_rate(services, endpoint_id) -> None:
    services.endpoints.change(TENANT, endpoint_id, {"rate_limit_per_s": 1})


def to_another_region(services, endpoint_id) -> None:
    services.endpoints.change(TENANT, endpoint_id, {"region": "eu"})


def to_order(services, endpoint_id) -> None:
    services.endpoints.change(TENANT, endpoint_id, {"ordering": "fifo"})


def to_another_secret(services, endpoint_id) -> None:
    services.secrets.rotate(TENANT, endpoint_id, overlap=timedelta(0))


def to_a_pause_and_back(services, endpoint_id) -> None:
    services.endpoint_states.pause(TENANT, endpoint_id)
    services.endpoint_states.resume(TENANT, endpoint_id)


@pytest.mark.parametrize(
    "change",
    [
        to_another_url,
        to_a_rate,
        to_another_region,
        to_order,
        to_another_secret,
        to_a_pause_and_back,
    ],
)
def test_what_is_claimed_and_not_sent_goes_back_at_a_change(pipeline, change):
    regions = {"allowed_regions": ["default", "eu"]}
    pipeline.services.tenants.change(TENANT, regions)
    with Gated() as receiver:
        endpoint_id, _ = under_way(pipeline, receiver)
        change(pipeline.services, endpoint_id)
        sent = until_given_back(pipeline, receiver, endpoint_id)
        assert pending(pipeline) == 40 - sent, "as they were"


def test_a_secret_that_was_revoked_signs_nothing_more(pipeline):
    with Gated() as receiver:
        endpoint_id, turns = under_way(pipeline, receiver)
        rotated = pipeline.services.secrets.rotate(
            TENANT, endpoint_id, overlap=timedelta(0)
        )
        before = until_given_back(pipeline, receiver, endpoint_id)
        turns.take([endpoint_id])
        wait_until(lambda: pending(pipeline) == 0, 10, "all are delivered")
    for request in receiver.requests[before:]:
        body = request.partition(b"\r\n\r\n")[2]
        Webhook(rotated.secret).verify(body, headers_of(request))
    assert len(receiver.requests) == 40, "and none twice"


def test_what_is_cancelled_and_not_sent_is_not_sent(pipeline):
    with Gated() as receiver:
        endpoint_id, turns = under_way(pipeline, receiver, 20)
        rows = pipeline.rows("SELECT id FROM delivery ORDER BY id DESC LIMIT 15")
        for row in rows:
            pipeline.services.deliveries.cancel(TENANT, row.id)
        until_given_back(pipeline, receiver, endpoint_id)
        turns.take([endpoint_id])
        wait_until(lambda: pending(pipeline) == 0, 10, "the others are delivered")
    assert len(receiver.requests) <= 5 + LATE


def test_a_description_is_no_reason_to_begin_anew(pipeline):
    with Gated() as receiver:
        endpoint_id, _ = under_way(pipeline, receiver)
        before = pipeline.mailbox(endpoint_id)
        changes = {"description": "new", "event_types": ["budget.*"]}
        pipeline.services.endpoints.change(TENANT, endpoint_id, changes)
        receiver.gate.release(1_000)
        wait_until(lambda: pending(pipeline) == 0, 10, "all are delivered")
        assert pipeline.mailbox(endpoint_id).epoch == before.epoch


def test_resuming_while_it_is_served_does_not_jam_its_lane(pipeline):
    """Nine failures, the tenth is out, and somebody resumes.

    The lane has counted ten, PostgreSQL one: the breaker would never open, and the
    lane never let anything out, under a lease that is renewed for ever.
    """
    with Gated(FAILED) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        accept(pipeline, 30)
        turns = pipeline.turns(slow=True)
        turns.take([endpoint_id])
        receiver.gate.release(9)
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).consecutive_failures == 9, 10, "nine"
        )
        wait_until(lambda: len(receiver.requests) == 10, 10, "the tenth is out")
        pipeline.services.endpoint_states.resume(TENANT, endpoint_id)
        receiver.answer = receivers.OK
        until_given_back(pipeline, receiver, endpoint_id)
        turns.take([endpoint_id])
        delivered = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
        wait_until(lambda: pipeline.one(delivered) >= 20, 10, "it goes on")


def test_another_url_is_not_held_for_what_the_old_one_asked(pipeline):
    with receivers.Receiver(
        receivers.keep_alive(
            b"HTTP/1.1 503 X\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n"
        )
    ) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        pipeline.idle(endpoint_id)
    assert pipeline.mailbox(endpoint_id).held_until is not None
    to_another_url(pipeline.services, endpoint_id)
    box = pipeline.mailbox(endpoint_id)
    assert (box.held_until, box.consecutive_failures) == (None, 0)


class Away:
    """A database that cannot be reached."""

    def __enter__(self) -> None:
        raise Unavailable("away")

    def __exit__(self, *_: object) -> None:
        """Nothing to leave."""


@contextmanager
def cut_off(turns) -> Iterator[None]:
    """Take a process's database away from it, and from nobody else, for a while."""
    parts = (turns, turns._leases, turns._claiming, turns._recorder._recording)
    uow = turns._uow
    for part in parts:
        part._uow = Away
    yield
    for part in parts:
        part._uow = uow


def test_a_process_that_cannot_record_sends_no_more_than_was_in_flight(
    make_pipeline, pipeline
):
    """Invariant 8: another one takes the lease, and sends all of it again."""
    short = make_pipeline(lease_s=2)
    counted: Counter[str] = Counter()
    with Gated() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        accept(pipeline, 60)
        one, other = short.turns(), short.turns()
        one.take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the first one is out")

        def taken_over() -> bool:
            other.take([endpoint_id])
            return pending(pipeline) == 0

        with cut_off(one):
            receiver.gate.release(1_000)
            wait_until(taken_over, 20, "the other one has delivered all")
        for request in receiver.requests:
            counted[headers_of(request)["webhook-id"]] += 1
    twice = [each for each, count in counted.items() if count > 1]
    assert len(twice) <= LATE, "what was out, and what left before it was noticed"


def test_what_was_claimed_before_a_freeze_is_not_sent_past_the_lease(
    make_pipeline, pipeline
):
    """A process that stands still between claim and request, as in a migration."""
    short, held = make_pipeline(lease_s=2), []
    with Gated() as receiver:
        receiver.gate.release(1_000)
        endpoint_id = pipeline.endpoint(receiver.url(), ordering="fifo")
        accept(pipeline, 5)
        one, other = short.turns(), short.turns()
        submit = one._sender.submit
        one._sender.submit = lambda lane, jobs: held.append((lane, list(jobs)))
        one.take([endpoint_id])
        assert held

        def taken_over() -> bool:
            other.take([endpoint_id])
            return pending(pipeline) == 0

        with cut_off(one):
            wait_until(taken_over, 20, "the other one has delivered all")
            for lane, jobs in held:
                submit(lane, jobs)
            until = time.monotonic() + 0.3
            wait_until(lambda: time.monotonic() > until, 2, "it could have been sent")
    numbers = [
        json.loads(request.partition(b"\r\n\r\n")[2])["data"]
        for request in receiver.requests
    ]
    assert all(before <= after for before, after in pairwise(numbers)), numbers


def test_nothing_leaves_in_plain_text_once_that_is_switched_off(pipeline):
    """Although the endpoint is from when it was allowed."""
    with receivers.Receiver(receivers.keep_alive()) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        delivery_id = pipeline.deliver_one()
        strict = Pipeline(replace(pipeline.settings, allow_http=False))
        try:
            strict.turns().take([endpoint_id])
            assert strict.after_attempts(delivery_id).status == "pending"
        finally:
            strict.close()
        assert receiver.requests == []
    (attempt,) = pipeline.attempts(delivery_id)
    assert attempt.error == "invalid_request"
    assert "ASCWEBHOOKS_ALLOW_HTTP" in attempt.detail
