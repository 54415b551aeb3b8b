"""Partitions: made ahead, dropped behind, and what lies outside of them."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import text

from ascwebhooks.domain import ids
from ascwebhooks.errors import Unavailable
from ascwebhooks.storage import partitions
from ascwebhooks.storage.unit_of_work import is_away
from tests.waiting import wait_until

DAY = timedelta(days=1)


@pytest.fixture
def empty_database_url(database_url: str) -> str:
    """One of each test's own: they drop tables."""
    return database_url


def today() -> date:
    return datetime.now(UTC).date()


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def days(pipeline) -> set[date]:
    with pipeline.engine.connect() as connection:
        return partitions.days(connection)


def tables(pipeline, day: date) -> set[str]:
    rows = pipeline.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE :name",
        name=f"%\\_{day:%Y%m%d}",
    )
    return {name for (name,) in rows}


def make(pipeline, *wanted: date) -> None:
    with pipeline.engine.begin() as connection:
        for day in wanted:
            partitions.make(connection, day)


def drop(pipeline, day: date) -> None:
    engine = pipeline.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        partitions.drop(connection, day)


def insert(pipeline, day: date, status: str = "pending"):
    """Insert an event and a delivery of a day, without accepting."""
    low = ids.lowest(noon(day))
    pipeline.do(
        "INSERT INTO event (id, tenant_id, type, source, source_id, time, size_bytes,"
        " sealed) VALUES (:id, 'acme', 't', 's', 'i', now(), 1, '')",
        id=low,
    )
    pipeline.do(
        "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type,"
        " status, next_attempt_at) VALUES (:id, 'acme', :id, :id, 't', :status, now())",
        id=low,
        status=status,
    )
    return low


def test_they_are_made_well_ahead(pipeline):
    """From yesterday, for a clock that is off, to a fortnight from now."""
    expected = {today() + each * DAY for each in range(-1, 15)}
    assert days(pipeline) >= expected

    drop(pipeline, today() + 14 * DAY)
    assert days(pipeline) >= expected - {today() + 14 * DAY}
    pipeline.services.maintenance.keep_partitions()
    pipeline.services.maintenance.keep_partitions()
    assert days(pipeline) >= expected


def test_a_day_holds_its_first_and_its_last_millisecond(pipeline):
    midnight = datetime.combine(today() + DAY, time(), UTC)
    for moment in (midnight, midnight + DAY - timedelta(milliseconds=1)):
        made = ids.uuid7(int(moment.timestamp() * 1000), b"\xff" * 10)
        pipeline.do(
            "INSERT INTO event (id, tenant_id, type, source, source_id, time,"
            " size_bytes, sealed) VALUES (:id, 'a', 't', 's', 'i', now(), 1, '')",
            id=made,
        )
        name = pipeline.one(
            "SELECT tableoid::regclass::text FROM event WHERE id = :id", id=made
        )
        assert name == f"event_{midnight:%Y%m%d}"


def test_what_is_past_retention_is_dropped(make_pipeline, pipeline):
    old, kept = today() - 31 * DAY, today() - 29 * DAY
    make(pipeline, old, kept)
    insert(pipeline, old, "delivered")
    insert(pipeline, kept, "delivered")

    pipeline.services.maintenance.keep_partitions()

    assert tables(pipeline, old) == set()
    assert len(tables(pipeline, kept)) == 3
    assert pipeline.one("SELECT count(*) FROM event") == 1
    assert pipeline.one("SELECT count(*) FROM delivery") == 1


def test_what_is_still_pending_expires_a_day_before(pipeline):
    """It stands in the dead letters, and not silently nowhere."""
    almost, later = today() - 30 * DAY, today() - 28 * DAY
    make(pipeline, almost, later)
    expiring, waiting = insert(pipeline, almost), insert(pipeline, later)

    pipeline.services.maintenance.keep_partitions()

    row = pipeline.delivery(expiring)
    assert (row.status, row.dead_reason) == ("dead_lettered", "expired")
    assert row.completed_at is not None
    assert pipeline.delivery(waiting).status == "pending"


def test_a_day_with_something_pending_is_not_dropped(pipeline):
    """Here one that another transaction holds, so that it cannot expire just now."""
    # Midnight may have passed since the database was made: a new day's partitions
    # would wait for who holds the row.
    pipeline.services.maintenance.keep_partitions()
    old = today() - 31 * DAY
    make(pipeline, old)
    held = insert(pipeline, old)
    with pipeline.engine.begin() as other:
        other.execute(
            text("SELECT FROM delivery WHERE id = :id FOR UPDATE"), {"id": held}
        )
        pipeline.services.maintenance.keep_partitions()
        assert len(tables(pipeline, old)) == 3
        assert pipeline.delivery(held).status == "pending"

    pipeline.services.maintenance.keep_partitions()
    assert tables(pipeline, old) == set()


def test_dropping_behind_a_reader_stalls_no_writer(pipeline, event):
    """A plain DETACH waits for the reader, and every writer waits behind it."""
    old = today() - 31 * DAY
    make(pipeline, old)
    pipeline.endpoint()
    with pipeline.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM attempt, delivery, event"))
        thread = threading.Thread(target=drop, args=(pipeline, old))
        thread.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "dropping waits for the reader")

        (verdict,) = pipeline.accept(event())
        pipeline.do(
            "INSERT INTO attempt (delivery_id, id, tenant_id, endpoint_id, started_at,"
            " total_ms, sealed) VALUES (:id, :id, 'acme', :id, now(), 1, '')",
            id=verdict.id,
        )

        assert verdict.deliveries == 1
        assert thread.is_alive(), "and that while it still waits"
    thread.join(15)
    assert not thread.is_alive()
    assert tables(pipeline, old) == set()


@pytest.mark.parametrize("cut", ["detaching", "detached", "dropped"])
def test_a_drop_that_was_cut_short_is_finished_the_next_time(pipeline, cut):
    """The process died, or the lock timeout of 15 s struck."""
    old = today() - 31 * DAY
    make(pipeline, old)
    name = f"attempt_{old:%Y%m%d}"
    if cut == "detaching":
        engine = pipeline.engine.execution_options(isolation_level="AUTOCOMMIT")
        with pipeline.engine.connect() as reader, engine.connect() as connection:
            reader.execute(text("SELECT count(*) FROM attempt"))
            connection.execute(text("SET lock_timeout = '100ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                connection.execute(
                    text(f"ALTER TABLE attempt DETACH PARTITION {name} CONCURRENTLY")
                )
            connection.invalidate()
        assert pipeline.one(
            "SELECT inhdetachpending FROM pg_inherits"
            " WHERE inhrelid = to_regclass(:name)",
            name=name,
        )
    else:
        pipeline.do(f"ALTER TABLE attempt DETACH PARTITION {name}")
        if cut == "dropped":
            pipeline.do(f"DROP TABLE {name}")

    pipeline.services.maintenance.keep_partitions()

    assert tables(pipeline, old) == set()


def test_an_id_outside_is_refused_and_blames_no_event(pipeline, event):
    """Nobody made the day: that is no event's fault, and none may be rejected for it.

    The same call succeeds once the partitions are there.
    """
    pipeline.endpoint()
    pipeline.accept(event(id="before"))
    drop(pipeline, today())
    batch = [event(id=str(number)) for number in range(4)]

    with pytest.raises(Unavailable) as caught:
        pipeline.accept(*batch)

    assert is_away(caught.value.__cause__)
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 0
    pipeline.services.maintenance.keep_partitions()
    verdicts = pipeline.accept(*batch)
    assert [each.duplicate for each in verdicts] == [False] * 4
