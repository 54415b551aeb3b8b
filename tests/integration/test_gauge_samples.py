"""Samples of gauges: taken of real rows, kept as hours, read with their gaps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ascwebhooks.domain.gauge_samples import Sample, Taken
from ascwebhooks.domain.statistics import Grain, Span
from ascwebhooks.services.gauge_samples import GaugeSamples
from ascwebhooks.storage.engine import make_redis
from ascwebhooks.storage.streams import Stream

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOTHING = Sample(0, 0, 0, 0, 0, 0)
ROWS = "SELECT count(*) FROM gauge_sample WHERE tenant_id = :tenant AND grain_s = :s"


@pytest.fixture
def samples(pipeline) -> GaugeSamples:
    return pipeline.services.gauge_samples


@pytest.fixture
def globex(pipeline) -> str:
    pipeline.services.tenants.create("globex")
    return "globex"


@pytest.fixture
def write(samples):
    """Writes samples down as if they had been taken then."""

    def write(at, platform, **tenants) -> None:
        assert samples.write(at, Taken(platform, tenants))

    return write


@pytest.fixture
def now(pipeline):
    with pipeline.uow() as uow:
        return uow.now()


def known(samples: GaugeSamples, tenant_id: str | None, span: Span) -> list[Sample]:
    found = samples.history(tenant_id, span).samples
    return [each for each in found if each != Sample()]


def only(samples: GaugeSamples, tenant_id: str | None) -> Sample:
    """Return the one sample there is; its step may be over since it was taken."""
    (found,) = known(samples, tenant_id, Span.DAY)
    return found


def test_a_sample_says_how_the_platform_and_each_tenant_stand(
    pipeline, samples, globex, event
):
    endpoint_id, theirs = pipeline.endpoint(), pipeline.endpoint(tenant_id=globex)
    pipeline.endpoint(tenant_id=globex, event_types=["nothing.*"])
    pipeline.accept(*(event(id=str(n)) for n in range(5)))
    pipeline.accept(event(id="t", tenantid=globex))
    pipeline.do("UPDATE delivery SET next_attempt_at = now() - interval '90 s'")
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', completed_at = now()"
        " WHERE endpoint_id = :id",
        id=theirs,
    )
    pipeline.do(
        "UPDATE mailbox SET consecutive_failures = 3 WHERE endpoint_id = :id",
        id=endpoint_id,
    )
    pipeline.do(
        "UPDATE mailbox SET state = 'disabled' WHERE endpoint_id = :id", id=theirs
    )
    pipeline.redis.xadd(pipeline.settings.stream, {"event": "{}"})

    assert samples.sample()
    acme, other, whole = (only(samples, each) for each in ("acme", globex, None))
    assert acme.oldest_due_s == pytest.approx(90, abs=20)
    assert acme._replace(oldest_due_s=None) == Sample(5, None, 0, 1, 0)
    assert other == Sample(0, 0, 1, 0, 1)
    assert whole == Sample(5, acme.oldest_due_s, 1, 1, 1, 1)


def test_a_minute_has_one_sample_whoever_comes_first(pipeline, samples, monkeypatch):
    """Beat asks three times a minute, and two workers may have found none yet."""
    pipeline.endpoint()
    late = pipeline.parts.stream()
    second = GaugeSamples(pipeline.uow, late, retention=timedelta(days=30))
    first = samples.sample

    def slow() -> tuple[int, int]:
        assert first()
        return 7, 0

    monkeypatch.setattr(late, "lag", slow)
    second.sample()
    minutes = pipeline.rows("SELECT at, stream_lag FROM gauge_sample ORDER BY at")
    assert minutes[0].stream_lag == 0, "the first one's word counts"
    assert len({each.at for each in minutes}) == len(minutes)


def test_nothing_is_written_of_tenants_without_anything_and_it_reads_as_zero(
    pipeline, samples, globex
):
    pipeline.endpoint(tenant_id=globex)
    samples.sample()
    assert pipeline.one("SELECT count(*) FROM gauge_sample") == 1, "the platform's"
    assert only(samples, globex) == NOTHING._replace(stream_lag=None)
    assert only(samples, None) == NOTHING


def test_times_that_were_not_sampled_are_gaps_for_everybody(
    samples, globex, write, now
):
    minute = Grain.MINUTE.floor(now)
    write(minute - 3 * MINUTE, NOTHING._replace(due=4), globex=Sample(4, 1.5, 0, 0, 0))
    write(minute - MINUTE, NOTHING)
    for whose, due in ((None, 4), (globex, 4), ("acme", 0)):
        found = samples.history(whose, Span.HOUR)
        # The clock may have reached the next minute since.
        at = [n for n, each in enumerate(found.samples) if each != Sample()]
        assert [found.begins + n * found.step for n in at] == [
            minute - 3 * MINUTE,
            minute - MINUTE,
        ]
        assert [found.samples[n].due for n in at] == [due, 0], whose


def test_a_count_that_takes_too_long_is_a_gap_and_the_others_are_not(
    pipeline, samples, globex
):
    """Somebody rebuilds a table: what needs it is not waited for."""
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE endpoint IN ACCESS EXCLUSIVE MODE")
        samples.sample()
    missing = {"failing_endpoints": None, "disabled_endpoints": None}
    assert only(samples, None) == NOTHING._replace(**missing)
    assert only(samples, globex) == NOTHING._replace(stream_lag=None, **missing)


def test_without_the_broker_the_lag_is_a_gap(pipeline):
    away = make_redis("redis://127.0.0.1:1/0", timeout_s=0.2)
    samples = GaugeSamples(
        pipeline.uow, Stream(away, "s", "g", "c"), retention=timedelta(days=30)
    )
    assert samples.sample()
    assert only(samples, None) == NOTHING._replace(stream_lag=None)


def test_an_hour_is_the_highest_of_its_minutes(pipeline, samples, globex, write, now):
    hour = Grain.HOUR.floor(now - 30 * HOUR)
    write(hour, Sample(9, 5.0, 1, 0, 0, None), globex=Sample(9, 5.0, 1, 0, 0))
    write(
        hour + 7 * MINUTE, Sample(None, None, 3, 0, 0, 8), globex=Sample(dead_letters=3)
    )
    write(hour + 59 * MINUTE, Sample(2, 60.0, 2, 1, 0, 2))
    for _ in range(2):  # again does no harm
        samples.keep()

    assert pipeline.one(ROWS, tenant=globex, s=60) == 0, "they are forgotten"
    assert pipeline.one(ROWS, tenant=globex, s=3600) == 1
    for span in (Span.WEEK, Span.MONTH):
        assert known(samples, None, span) == [Sample(9, 60.0, 3, 1, 0, 8)]
        assert known(samples, globex, span) == [Sample(9, 5.0, 3, 0, 0)]
        assert known(samples, "acme", span) == [Sample(0, 0, 0, 0, 0)]
    assert known(samples, None, Span.DAY) == []


def test_minutes_are_read_until_their_hour_is_made(samples, write, now):
    """Also if maintenance was away: what there is, is shown."""
    for back in (5, 2, 0):
        at = Grain.HOUR.floor(now) - back * HOUR
        write(at, NOTHING._replace(due=back + 1))
    before = known(samples, None, Span.WEEK)
    assert max(each.due for each in before) == 6
    samples.keep()
    assert known(samples, None, Span.WEEK) == before


def test_hours_that_were_missed_are_made_later_and_none_while_it_is_under_way(
    pipeline, samples, write, now
):
    for back in (20, 8, 7, 0):
        write(Grain.HOUR.floor(now) - back * HOUR, NOTHING)
    samples.keep()
    made = "SELECT at FROM gauge_sample WHERE grain_s = 3600 ORDER BY at"
    ends = Grain.HOUR.floor(now)
    assert [ends - at for (at,) in pipeline.rows(made)] == [
        20 * HOUR,
        8 * HOUR,
        7 * HOUR,
    ]


def test_what_is_old_is_forgotten(pipeline, samples, write, now):
    write(Grain.MINUTE.floor(now) - 27 * HOUR, NOTHING)
    write(Grain.MINUTE.floor(now) - 25 * HOUR, NOTHING)
    pipeline.do(
        "INSERT INTO gauge_sample (tenant_id, grain_s, at) VALUES"
        " ('', 3600, now() - interval '33 d'), ('', 3600, now() - interval '31 d')"
    )
    samples.keep()
    assert pipeline.one(ROWS, tenant="", s=60) == 1
    old = "SELECT count(*) FROM gauge_sample WHERE at < now() - interval '3 d'"
    assert pipeline.one(old) == 1


def test_a_tenant_is_told_nothing_of_another(samples, globex, write, now):
    theirs = Sample(5, 77.0, 6, 7, 8)
    write(Grain.MINUTE.floor(now), Sample(*theirs[:5], 9), globex=theirs)
    for span in (Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH):
        assert known(samples, "acme", span) == [Sample(0, 0, 0, 0, 0)]
        assert known(samples, globex, span) == [theirs]
