"""Roll-ups: written with the attempts, summed up later, read in steps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ascwebhooks.domain.statistics import Grain, Span, Tally
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.errors import NotFound
from tests.waiting import wait_until


def made(pipeline, event, receiver, count: int, tenant_id: str = "acme", **options):
    """Deliver so many events to an endpoint; return its id."""
    endpoint_id = pipeline.endpoint(receiver.url, tenant_id=tenant_id, **options)
    pipeline.accept(
        *(event(id=f"{endpoint_id}{n}", tenantid=tenant_id) for n in range(count))
    )
    before = pipeline.one("SELECT count(*) FROM attempt")
    pipeline.turns().take([endpoint_id])
    wait_until(
        lambda: pipeline.one("SELECT count(*) FROM attempt") >= before + count,
        10,
        "all attempts are recorded",
    )
    pipeline.idle(endpoint_id)
    return endpoint_id


def test_each_attempt_counts_in_the_minute_in_which_it_is_recorded(pipeline, event):
    statistics = pipeline.services.statistics
    with Receiver() as good, Receiver(failure=Failure(500)) as bad:
        well = made(pipeline, event, good, 30, event_types=["*"])
        pipeline.services.endpoint_states.pause("acme", well)
        ill = made(pipeline, event, bad, 5, retry_schedule_s=[])

    found = statistics.endpoints("acme", [well, ill], Span.HOUR)
    assert found[well].total[:3] == (30, 0, 0)
    assert found[ill].total[:3] == (0, 5, 5), "failed, and dead-lettered by it"
    assert sum(found[well].total.durations) == 30
    assert found[well].total.quantile_ms(0.95) is not None
    assert statistics.endpoint("acme", well, Span.DAY).total == found[well].total


def test_the_sums_of_a_tenant_and_of_all_are_those_of_their_endpoints(pipeline, event):
    pipeline.services.tenants.create("globex")
    statistics = pipeline.services.statistics
    with Receiver() as receiver:
        made(pipeline, event, receiver, 7)
        made(pipeline, event, receiver, 4, tenant_id="globex")
    for _ in range(2):  # again does no harm
        statistics.sum_up()
        statistics.sum_up_hours()

    for span in Span:
        assert statistics.tenant("acme", span).total.delivered == 7
        assert statistics.tenant("globex", span).total.delivered == 4
        assert statistics.platform(span).total.delivered == 11


def test_hours_that_have_passed_are_read_as_hours(pipeline, event):
    """What was recorded at 9 is there after its minutes were forgotten."""
    statistics, endpoint_id = pipeline.services.statistics, pipeline.endpoint()
    with pipeline.uow() as uow:
        now = uow.now()
        hour = Grain.HOUR.floor(now - timedelta(hours=30))
        for minute in (3, 4, 59):
            at = hour + timedelta(minutes=minute)
            uow.rollups.add(at, {("acme", endpoint_id): Tally(delivered=10, failed=1)})
        uow.rollups.sum_minutes(hour)
        uow.rollups.sum_hours(hour)
        uow.commit()
    statistics.sum_up_hours()

    minutes = "SELECT count(*) FROM rollup WHERE grain_s = 60"
    assert pipeline.one(minutes) == 0, "they are forgotten"
    assert statistics.endpoint("acme", endpoint_id, Span.WEEK).total[:2] == (30, 3)
    assert statistics.tenant("acme", Span.MONTH).total[:2] == (30, 3)
    assert statistics.platform(Span.WEEK).total[:2] == (30, 3)
    assert statistics.tenant("acme", Span.DAY).total == Tally()


def test_what_is_recorded_again_is_counted_once(pipeline, event):
    """A commit whose answer was lost is made again, and counts nothing again."""
    statistics = pipeline.services.statistics
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        turns = pipeline.turns()
        record = turns._recorder._recording.record

        def twice(batch):
            record(batch)
            return record(batch)

        turns._recorder._recording.record = twice
        pipeline.accept(*(event(id=str(n)) for n in range(20)))
        turns.take([endpoint_id])
        wait_until(
            lambda: pipeline.one("SELECT count(*) FROM attempt") == 20, 10, "recorded"
        )
        pipeline.idle(endpoint_id)
    assert statistics.endpoint("acme", endpoint_id, Span.HOUR).total.delivered == 20


def test_another_tenants_endpoint_has_no_statistics_here(pipeline):
    pipeline.services.tenants.create("globex")
    theirs = pipeline.endpoint(tenant_id="globex")
    with pytest.raises(NotFound):
        pipeline.services.statistics.endpoint("acme", theirs, Span.DAY)
    with pytest.raises(NotFound):
        pipeline.services.statistics.tenant("nobody", Span.DAY)
