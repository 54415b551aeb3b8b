"""Mailboxes: who holds the lease, who is due, and who is rung."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest

from ascwebhooks.storage.mailboxes import Returned
from tests.waiting import wait_until

LEASE = timedelta(minutes=1)


@pytest.fixture
def take(pipeline):
    def take(*endpoint_ids, lease=LEASE, region="default"):
        token = uuid4()
        with pipeline.uow() as uow:
            leased = uow.mailboxes.take(list(endpoint_ids), token, lease, region)
            uow.commit()
        return token, leased

    return take


def window(pipeline):
    return pipeline.services.maintenance._window()


def test_a_lease_is_held_by_one(pipeline, take):
    endpoint_id = pipeline.endpoint()

    _, first = take(endpoint_id)
    _, second = take(endpoint_id)

    assert [each.endpoint_id for each in first] == [endpoint_id]
    assert first[0].tenant_id == "acme"
    assert second == []


def test_two_that_take_at_the_same_moment_do_not_wait_for_each_other(pipeline):
    """Two sessions in one thread: the second passes over what the first has locked."""
    endpoint_ids = [pipeline.endpoint() for _ in range(3)]
    with pipeline.uow() as first, pipeline.uow() as second:
        some = first.mailboxes.take(endpoint_ids[:2], uuid4(), LEASE, "default")
        rest = second.mailboxes.take(endpoint_ids, uuid4(), LEASE, "default")
        first.commit()
        second.commit()

    assert {each.endpoint_id for each in some} == set(endpoint_ids[:2])
    assert {each.endpoint_id for each in rest} == {endpoint_ids[2]}


def test_a_lease_that_ran_out_is_taken_over_and_counted(pipeline, take):
    endpoint_id = pipeline.endpoint()
    counts = []
    for _ in range(4):
        _, (leased,) = take(endpoint_id, lease=timedelta(seconds=-1))
        counts.append(leased.abandoned_leases)

    assert counts == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("cleared", "count"), [(True, 0), (False, 2)], ids=["cleared", "not cleared"]
)
def test_only_a_cleared_mailbox_is_above_suspicion(pipeline, take, cleared, count):
    endpoint_id = pipeline.endpoint()
    for _ in range(2):
        take(endpoint_id, lease=timedelta(seconds=-1))
    token, _ = take(endpoint_id)

    with pipeline.uow() as uow:
        uow.mailboxes.release([Returned(endpoint_id, token, cleared)])
        uow.commit()

    box = pipeline.mailbox(endpoint_id)
    assert (box.lease_token, box.lease_until) == (None, None)
    assert box.abandoned_leases == count
    _, (leased,) = take(endpoint_id)
    assert leased.abandoned_leases == count, "this one was given back"


def test_with_another_token_a_lease_is_neither_renewed_nor_given_back(pipeline, take):
    endpoint_id = pipeline.endpoint()
    old, _ = take(endpoint_id, lease=timedelta(seconds=-1))
    new, _ = take(endpoint_id)
    before = pipeline.mailbox(endpoint_id)

    with pipeline.uow() as uow:
        assert uow.mailboxes.renew([(endpoint_id, old)], LEASE) == {}
        uow.mailboxes.release([Returned(endpoint_id, old, cleared=True)])
        uow.commit()
    assert pipeline.mailbox(endpoint_id) == before

    with pipeline.uow() as uow:
        assert uow.mailboxes.renew([(endpoint_id, new)], 2 * LEASE) == {endpoint_id: 0}
        uow.commit()
    assert pipeline.mailbox(endpoint_id).lease_until > before.lease_until


@pytest.mark.parametrize("state", ["paused", "disabled", "deleted"])
def test_who_is_not_active_is_neither_leased_nor_due(pipeline, take, state):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    pipeline.do("UPDATE mailbox SET state = :state", state=state)

    _, leased = take(endpoint_id)

    assert leased == []
    with pipeline.uow() as uow:
        assert uow.mailboxes.due(window(pipeline)) == []


def test_a_lease_is_of_its_region_alone(pipeline, take):
    pipeline.services.tenants.create(
        "globex", home_region="eu", allowed_regions=["eu", "default"]
    )
    endpoint_id = pipeline.endpoint(tenant_id="globex")

    assert take(endpoint_id)[1] == []
    assert len(take(endpoint_id, region="eu")[1]) == 1
    pipeline.services.endpoints.change("globex", endpoint_id, {"region": "default"})
    pipeline.do("UPDATE mailbox SET lease_token = NULL, lease_until = NULL")
    assert len(take(endpoint_id)[1]) == 1


def test_who_is_due(pipeline, event, take):
    """Something pending, its time come, and nobody at it."""
    names = ("due", "empty", "later", "done", "held", "abandoned")
    boxes = {name: pipeline.endpoint(event_types=[f"only.{name}"]) for name in names}
    pipeline.accept(
        *(event(id=name, type=f"only.{name}") for name in names if name != "empty")
    )
    at = "UPDATE delivery SET {} WHERE endpoint_id = :id"
    pipeline.do(
        at.format("next_attempt_at = clock_timestamp() + interval '1 second'"),
        id=boxes["later"],
    )
    pipeline.do(at.format("status = 'delivered'"), id=boxes["done"])
    take(boxes["held"])
    take(boxes["abandoned"], lease=timedelta(seconds=-1))

    with pipeline.uow() as uow:
        due = uow.mailboxes.due(window(pipeline))
        among = uow.mailboxes.due_among(
            list(boxes.values()), timedelta(minutes=1), window(pipeline)
        )

    expected = {boxes["due"], boxes["abandoned"]}
    assert {each.endpoint_id for each in due} == expected
    assert {each.endpoint_id for each in among} == expected
    assert {each.region for each in due} == {"default"}


def test_retries_are_rung_when_they_fall_due_and_not_again_and_again(pipeline):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    maintenance = pipeline.services.maintenance
    assert maintenance.ring_retries() == 0, "a first attempt is rung by accepting"

    def set_due(seconds: int) -> None:
        pipeline.do(
            "UPDATE delivery SET attempt_count = 1, next_attempt_at ="
            " clock_timestamp() + make_interval(secs => :seconds)",
            seconds=seconds,
        )

    set_due(1)
    assert maintenance.ring_retries() == 0
    set_due(-1)
    assert maintenance.ring_retries() == 1
    set_due(-20)
    assert maintenance.ring_retries() == 0, "that is the sweep's"
    assert maintenance.sweep() == 1
    pipeline.forget_rings()
    pipeline.do("UPDATE delivery SET status = 'delivered'")
    assert maintenance.sweep() == 0
    assert endpoint_id not in pipeline.rung()


def test_the_clock_is_read_behind_the_lock(pipeline):
    """What is recorded ended by that clock; a replay waits for those who hold numbers,
    and who waits for a lock has none yet.
    """
    endpoint_id = pipeline.endpoint()
    seen = []

    def lock():
        with pipeline.uow() as uow:
            seen.append(uow.mailboxes.lock([endpoint_id])[0].seen_at)

    with pipeline.uow() as uow:
        uow.mailboxes.lock([endpoint_id])
        other = threading.Thread(target=lock)
        other.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the other one waits")
        before = uow.now()
    other.join(10)

    assert seen[0] > before
