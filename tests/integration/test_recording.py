"""Recording: attempts that were made, on their way into the database."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ascwebhooks.domain.deliveries import ErrorClass, Outcome, Status, Timings
from ascwebhooks.domain.retry import RetryPolicy
from ascwebhooks.services.recording import Made, Recording, Terms
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.storage.claims import Claimed
from tests.waiting import wait_until

LEASE = timedelta(minutes=1)
GOOD = Outcome(200, timings=Timings(1, 2, None, 3, 4.0))
BAD = Outcome(500, ErrorClass.HTTP_STATUS, timings=Timings(total_ms=5.0))
GONE = Outcome(410, ErrorClass.HTTP_STATUS)


@pytest.fixture
def recording(pipeline) -> Recording:
    sealing = Sealing(pipeline.uow, pipeline.parts.ring, os.urandom)
    return Recording(pipeline.uow, sealing, entropy=os.urandom, spread=lambda: 0.5)


@pytest.fixture
def claim(pipeline):
    """Take leases and claim what is due there, as a turn does."""

    def claim(*endpoint_ids) -> tuple[object, list[Claimed]]:
        token = uuid4()
        with pipeline.uow() as uow:
            uow.mailboxes.take(list(endpoint_ids), token, LEASE, "default")
            window = pipeline.services.maintenance._window()
            limits = dict.fromkeys(endpoint_ids, 500)
            claimed = uow.claims.claim(limits, [], window)
            uow.commit()
        return token, claimed

    return claim


def made(claimed: Claimed, token, outcome: Outcome) -> Made:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)  # a worker's clock may be wrong
    terms = Terms(claimed.endpoint_id, token, RetryPolicy())
    return Made(claimed, terms, long_ago, (("a", "b"),), outcome)


def test_a_batch_moves_each_of_its_deliveries_on(pipeline, event, recording, claim):
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=str(number)) for number in range(3)))
    token, claimed = claim(endpoint_id)
    outcomes = [GOOD, BAD, Outcome(204)]

    recorded = recording.record(
        [made(each, token, what) for each, what in zip(claimed, outcomes, strict=True)]
    )

    rows = [pipeline.delivery(each.id) for each in claimed]
    assert [row.status for row in rows] == ["delivered", "pending", "delivered"]
    assert [row.last_status_code for row in rows] == [200, 500, 204]
    assert [row.attempt_count for row in rows] == [1, 1, 1]
    assert recorded.statuses == [Status.DELIVERED, Status.PENDING, Status.DELIVERED]
    assert recorded.lost == frozenset()
    now = pipeline.one("SELECT clock_timestamp()")
    wait = rows[1].next_attempt_at - now
    assert timedelta(seconds=3) < wait <= timedelta(seconds=5)


def test_the_same_batch_twice_is_recorded_once(pipeline, recording, claim):
    """The commit succeeded and its answer was lost: the desk records again."""
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    token, claimed = claim(endpoint_id)
    batch = [made(claimed[0], token, BAD)]

    recording.record(batch)
    before = pipeline.delivery(claimed[0].id)
    again = recording.record(batch)

    assert pipeline.delivery(claimed[0].id) == before
    assert len(pipeline.attempts(claimed[0].id)) == 1
    assert pipeline.mailbox(endpoint_id).consecutive_failures == 1
    assert again.lost == frozenset(), "the lease is still ours"


def test_an_outcome_of_the_dead_lease_changes_nothing_of_its_neighbours(
    pipeline, event, recording, claim
):
    """One batch holds results under several leases, lost ones among them."""
    lost_id, held_id = pipeline.endpoint(), pipeline.endpoint()
    pipeline.accept(event())
    token, claimed = claim(lost_id, held_id)
    by_endpoint = {each.endpoint_id: each for each in claimed}
    pipeline.do(
        "UPDATE mailbox SET lease_token = gen_random_uuid() WHERE endpoint_id = :id",
        id=lost_id,
    )

    recorded = recording.record([made(each, token, BAD) for each in claimed])

    lost, held = (
        pipeline.delivery(by_endpoint[each].id) for each in (lost_id, held_id)
    )
    assert (lost.status, lost.step, lost.attempt_count) == ("pending", 0, 1)
    assert (held.status, held.step, held.attempt_count) == ("pending", 1, 1)
    assert recorded.lost == {lost_id}
    assert pipeline.mailbox(lost_id).consecutive_failures == 0
    assert pipeline.mailbox(held_id).consecutive_failures == 1


def test_gone_without_the_lease_disables_nobody(pipeline, event, recording, claim):
    endpoint_id = pipeline.endpoint()
    pipeline.accept(event(id="1"), event(id="2"))
    token, (one, other) = claim(endpoint_id)

    with_lease = recording.record([made(one, token, GONE)])
    pipeline.do("UPDATE mailbox SET lease_token = NULL")
    without = recording.record([made(other, token, GONE)])

    assert with_lease.gone == (("acme", endpoint_id),)
    assert (without.gone, without.lost) == ((), {endpoint_id})


@pytest.mark.parametrize("state", ["paused", "disabled", "deleted"])
def test_a_mailbox_that_is_no_longer_active_is_not_to_be_served_on(
    pipeline, recording, claim, state
):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    token, claimed = claim(endpoint_id)
    pipeline.do("UPDATE mailbox SET state = :state", state=state)

    recorded = recording.record([made(claimed[0], token, GOOD)])

    assert recorded.lost == {endpoint_id}
    assert pipeline.delivery(claimed[0].id).status == "delivered"


@pytest.mark.parametrize("status", ["cancelled", "dead_lettered", "delivered"])
@pytest.mark.parametrize("outcome", [GOOD, BAD], ids=["success", "failure"])
def test_what_has_ended_stays_as_it_is_and_keeps_its_attempt(
    pipeline, recording, claim, status, outcome
):
    """Cancel wins over a result in flight, which stays as an attempt."""
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    token, claimed = claim(endpoint_id)
    pipeline.do("UPDATE delivery SET status = :status", status=status)

    recorded = recording.record([made(claimed[0], token, outcome)])

    row = pipeline.delivery(delivery_id)
    assert (row.status, row.attempt_count, row.step) == (status, 1, 0)
    assert len(pipeline.attempts(delivery_id)) == 1
    assert recorded.statuses == [None]


def test_failures_in_a_row_are_counted_and_a_success_ends_them(
    pipeline, event, recording, claim
):
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=str(number)) for number in range(5)))
    token, claimed = claim(endpoint_id)

    recording.record([made(each, token, BAD) for each in claimed[:2]])
    box = pipeline.mailbox(endpoint_id)
    assert (box.consecutive_failures, box.slow) == (2, False)
    failing_since = box.failing_since
    assert failing_since is not None

    recorded = recording.record([made(claimed[2], token, BAD)])
    box = pipeline.mailbox(endpoint_id)
    assert (box.consecutive_failures, box.slow) == (3, True)
    assert box.failing_since == failing_since, "since the first of them"
    assert recorded.slow == {endpoint_id}

    recorded = recording.record([made(claimed[3], token, GOOD)])
    box = pipeline.mailbox(endpoint_id)
    assert (box.consecutive_failures, box.slow, box.failing_since) == (0, False, None)
    assert recorded.well == {endpoint_id}
    assert box.lease_token == token, "its lease stays as it is"


def test_two_recorders_of_the_same_mailboxes_do_not_deadlock(
    pipeline, event, recording, claim
):
    """They lock in the order of their ids, whatever order the results came in."""
    endpoint_ids = [pipeline.endpoint() for _ in range(8)]
    starting = threading.Barrier(2)

    def record(some):
        starting.wait(10)
        recording.record(some)

    with ThreadPoolExecutor() as pool:
        for number in range(6):
            pipeline.accept(*(event(id=f"{number}-{each}") for each in range(2)))
            pipeline.do("UPDATE mailbox SET lease_token = NULL, lease_until = NULL")
            token, claimed = claim(*endpoint_ids)
            batch = [made(each, token, BAD) for each in claimed]
            halves = (batch[::2], batch[1::2][::-1])
            for each in [pool.submit(record, half) for half in halves]:
                each.result(30)

    assert pipeline.one("SELECT count(*) FROM attempt") == 6 * 16


def test_a_recorder_waits_for_who_changes_the_mailbox(pipeline, recording, claim):
    """Disabling locks the mailbox before the deliveries, as recording does."""
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    token, claimed = claim(endpoint_id)
    with pipeline.uow() as uow:
        uow.mailboxes.lock([endpoint_id])
        thread = threading.Thread(
            target=recording.record, args=([made(claimed[0], token, GOOD)],)
        )
        thread.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the recorder waits")
        assert pipeline.attempts(delivery_id) == []
        uow.commit()
    thread.join(10)
    assert pipeline.delivery(delivery_id).status == "delivered"
