"""Claims: what is due of a mailbox, read without a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain import ids


@pytest.fixture
def claim(pipeline):
    def claim(*endpoint_ids, busy=(), limit=500):
        window = ids.window(datetime.now(UTC), timedelta(days=30))
        with pipeline.uow() as uow:
            limits = dict.fromkeys(endpoint_ids, limit)
            return uow.claims.claim(limits, list(busy), window)

    return claim


def test_the_oldest_due_comes_first(pipeline, event, claim):
    endpoint_id = pipeline.endpoint()
    made = [pipeline.deliver_one(id=str(number)) for number in range(4)]
    for seconds, delivery_id in zip((5, 20, 10, -60), made, strict=True):
        pipeline.do(
            "UPDATE delivery SET next_attempt_at ="
            " clock_timestamp() - make_interval(secs => :s) WHERE id = :id",
            s=seconds,
            id=delivery_id,
        )

    claimed = claim(endpoint_id)

    assert [each.id for each in claimed] == [made[1], made[2], made[0]]


def test_equal_times_go_by_id(pipeline, event, claim):
    """So that what is left for the next claim is never passed over."""
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=str(number)) for number in range(50)))

    claimed = claim(endpoint_id)

    assert [each.id for each in claimed] == sorted(each.id for each in claimed)


def test_each_mailbox_gets_its_share(pipeline, event, claim):
    """One with much to do does not crowd out the others of the turn."""
    busy_id = pipeline.endpoint(event_types=["much"])
    quiet_id = pipeline.endpoint(event_types=["little"])
    pipeline.accept(*(event(id=str(number), type="much") for number in range(30)))
    pipeline.accept(event(id="little", type="little"))

    claimed = claim(busy_id, quiet_id, limit=10)

    of = [each.endpoint_id for each in claimed]
    assert (of.count(busy_id), of.count(quiet_id)) == (10, 1)


def test_what_is_in_hand_is_not_claimed_again(pipeline, event, claim):
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=str(number)) for number in range(5)))
    first = claim(endpoint_id, limit=2)

    rest = claim(endpoint_id, busy=[each.id for each in first])

    assert len(rest) == 3
    assert not {each.id for each in first} & {each.id for each in rest}


def test_claiming_writes_nothing(pipeline, claim):
    """Crashing after it costs nothing, and there is nothing to clean up."""
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    where = "SELECT xmin, ctid, * FROM delivery"
    before = pipeline.rows(where)

    claim(endpoint_id)

    assert pipeline.rows(where) == before
    assert [each.id for each in claim(endpoint_id)] == [delivery_id]


@pytest.mark.parametrize("status", ["delivered", "dead_lettered", "cancelled"])
def test_what_has_ended_is_not_claimed(pipeline, claim, status):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    pipeline.do("UPDATE delivery SET status = :status", status=status)

    assert claim(endpoint_id) == []


def test_only_those_mailboxes_are_looked_into(pipeline, event, claim):
    pipeline.endpoint()
    other = pipeline.endpoint(event_types=["nothing.like.it"])
    pipeline.accept(event())

    assert claim(other) == []
    assert claim() == []
