"""Whatever becomes a dead letter is in the roll-ups, also without an attempt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ascwebhooks.domain.deliveries import DeadReason, EndpointState
from ascwebhooks.domain.statistics import Span
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.services import endings, endpoint_states, residency
from tests.integration.pipeline import TENANT, event
from tests.waiting import wait_until

ABROAD = {"home_region": "eu", "allowed_regions": ["eu"]}


def pending(pipeline, count: int = 4) -> UUID:
    """Return an endpoint where so many deliveries are pending."""
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=f"{endpoint_id}-{n}") for n in range(count)))
    return endpoint_id


def counted(pipeline, endpoint_id: UUID, tenant_id: str = TENANT) -> tuple[int, int]:
    """Return what the roll-ups know of: ends without an attempt, all dead letters.

    They agree with the deliveries themselves.
    """
    with pipeline.uow() as uow:
        found = pipeline.services.statistics._series(
            uow, tenant_id, [endpoint_id], Span.HOUR
        )
    total = found[endpoint_id].total
    assert total.dead == pipeline.one(
        "SELECT count(*) FROM delivery WHERE endpoint_id = :id"
        " AND status = 'dead_lettered'",
        id=endpoint_id,
    )
    return total.ended, total.dead


def delete(pipeline, endpoint_id):
    pipeline.services.endpoint_states.delete(TENANT, endpoint_id)


def delete_tenant(pipeline, endpoint_id):
    pipeline.services.tenants.delete(TENANT)


def disable(pipeline, endpoint_id):
    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")


def disable_failing(pipeline, endpoint_id):
    pipeline.do(
        "UPDATE mailbox SET consecutive_failures = 99, last_failure_at = now(),"
        " failing_since = now() - interval '6 days' WHERE endpoint_id = :id",
        id=endpoint_id,
    )
    assert pipeline.services.endpoint_states.disable_failing() == 1


def narrow(pipeline, endpoint_id):
    pipeline.services.tenants.change(TENANT, ABROAD)


def expire(pipeline, endpoint_id):
    later = datetime.now(UTC) + pipeline.services.maintenance._retention
    pipeline.services.maintenance._expire(later)


@pytest.mark.parametrize(
    "end", [delete, delete_tenant, disable, disable_failing, narrow, expire]
)
def test_each_way_to_end_without_an_attempt_counts(pipeline, end):
    endpoint_id = pending(pipeline)
    end(pipeline, endpoint_id)
    assert counted(pipeline, endpoint_id) == (4, 4)


@pytest.mark.parametrize("end", [delete, delete_tenant, disable, narrow])
def test_what_is_ended_batch_by_batch_counts_batch_by_batch(pipeline, monkeypatch, end):
    """Within the first transaction, and in those that follow it."""
    for module in (endpoint_states, residency):
        monkeypatch.setattr(module, "END_BATCH", 3)
    endpoint_id = pending(pipeline, 8)
    end(pipeline, endpoint_id)
    assert counted(pipeline, endpoint_id)[0] >= 3

    pipeline.services.endpoint_states.end_the_rest()
    assert counted(pipeline, endpoint_id) == (8, 8)


def test_the_others_of_a_410_count_beside_it(pipeline):
    """The attempt counts as one; those that nobody tries any more do too."""
    with Receiver(failure=Failure(410)) as gone:
        endpoint_id = pipeline.endpoint(gone.url, rate_limit_per_s=1)
        pipeline.accept(*(event(id=str(n)) for n in range(6)))
        pipeline.turns().take([endpoint_id])
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).state == "disabled", 10, "disabled"
        )
        pipeline.idle(endpoint_id)
    pipeline.services.endpoint_states.end_the_rest()
    ended, dead = counted(pipeline, endpoint_id)
    assert dead == 6
    assert 0 < ended < 6


def test_what_is_dead_from_birth_counts(pipeline):
    """Its endpoint was disabled or abroad before the event came."""
    endpoint_id, other = pipeline.endpoint(), pipeline.endpoint()
    disable(pipeline, endpoint_id)
    pipeline.accept(*(event(id=str(n)) for n in range(5)))
    assert counted(pipeline, endpoint_id) == (5, 5)
    assert counted(pipeline, other) == (0, 0)

    narrow(pipeline, other)
    pipeline.accept(event(id="abroad"))
    assert counted(pipeline, other) == (6, 6)


def test_what_kills_workers_counts(pipeline):
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        pipeline.deliver_one(id="deadly")
        pipeline.do("UPDATE delivery SET sent_alone = 1")
        pipeline.do("UPDATE mailbox SET abandoned_leases = 5")
        pipeline.turns().take([endpoint_id])
        wait_until(
            lambda: pipeline.rows("SELECT 1 FROM delivery WHERE dead_reason <> ''"),
            10,
            "it is given up",
        )
        pipeline.idle(endpoint_id)
    assert counted(pipeline, endpoint_id) == (1, 1)


def test_nothing_is_counted_that_was_not_committed(pipeline):
    endpoint_id = pending(pipeline)
    with pipeline.uow() as uow:
        pipeline.services.endpoint_states.end(
            uow,
            TENANT,
            endpoint_id,
            EndpointState.DELETED,
            DeadReason.ENDPOINT_DELETED,
        )
    assert counted(pipeline, endpoint_id) == (0, 0)


def test_the_overview_says_that_there_are_new_ones(pipeline):
    """Of the tenant and of all, and whose they are."""
    delete(pipeline, pending(pipeline))
    pipeline.services.statistics.sum_up()
    overviews = pipeline.services.overviews

    for found in (overviews.tenant(TENANT, Span.HOUR), overviews.platform(Span.HOUR)):
        assert found.series.total.dead == 4
        assert [each.topic for each in found.concerns] == ["dead_letters"]
    assert found.most_dead == [(TENANT, 4)]


def test_whoever_counts_the_same_endpoints_waits_and_is_not_waited_for(pipeline):
    """No mailbox is locked by what is dead from birth: the order alone prevents it."""
    endpoint_ids = [uuid4() for _ in range(150)]
    began = threading.Barrier(2)

    def count(order):
        began.wait(10)
        for _ in range(200):
            with pipeline.uow() as uow:
                endings.count(uow, ((TENANT, each) for each in order))
                uow.commit()

    with ThreadPoolExecutor(2) as threads:
        for each in [
            threads.submit(count, endpoint_ids),
            threads.submit(count, endpoint_ids[::-1]),
        ]:
            each.result(60)
    assert pipeline.one("SELECT sum(ended) FROM rollup") == 2 * 200 * 150
