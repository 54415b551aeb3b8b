"""Ingestion: from the stream into the database, and nothing lost on the way."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

from tests.waiting import wait_until

STREAM, GROUP = "asc:events", "ascwebhooks"


@contextmanager
def reading(pipeline):
    """A reader at work."""
    ingestion = pipeline.ingestion()
    thread = threading.Thread(target=ingestion.run)
    thread.start()
    try:
        yield ingestion
    finally:
        ingestion.stop()
        thread.join(15)
        assert not thread.is_alive()


def add(pipeline, *raws: bytes) -> list[bytes]:
    return [pipeline.redis.xadd(STREAM, {"event": raw}) for raw in raws]


def events_in(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM event")


def wait_for_events(pipeline, count: int) -> None:
    wait_until(lambda: events_in(pipeline) >= count, 15, f"{count} events")
    assert events_in(pipeline) == count


def pending(pipeline) -> int:
    return pipeline.redis.xpending(STREAM, GROUP)["pending"]


def test_events_are_accepted_and_taken_off_the_stream(pipeline, event):
    endpoint_id = pipeline.endpoint()
    add(pipeline, *(event(id=str(number)) for number in range(20)))

    with reading(pipeline):
        wait_for_events(pipeline, 20)
        add(pipeline, event(id="later"))
        wait_for_events(pipeline, 21)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "the stream is empty")
        assert pending(pipeline) == 0

    assert pipeline.rung() == [endpoint_id]
    assert not pipeline.redis.xinfo_consumers(STREAM, GROUP), "it left"


def test_what_is_not_valid_is_kept_and_taken_off_as_well(pipeline, event):
    add(pipeline, event(id="1"), b"{hello", event(id="2"))
    pipeline.redis.xadd(STREAM, {"payload": event(id="3"), b"\xff": b"\xfe\0"})

    with reading(pipeline):
        wait_for_events(pipeline, 2)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "the stream is empty")

    page = pipeline.services.rejected_events.page(None)
    assert sorted(each.code for each in page) == ["missing_attribute", "not_json"]
    rejected = next(each for each in page if each.code == "missing_attribute")
    raw = pipeline.services.rejected_events.get(None, rejected.id).raw
    shown = json.loads(raw)["no field 'event' in the stream entry"]
    assert json.loads(shown["payload"])["id"] == "3", "it is shown as it came"


def test_two_readers_share_the_work(pipeline, make_pipeline, event):
    add(pipeline, *(event(id=str(number)) for number in range(200)))

    with reading(make_pipeline(ingest_batch=5)), reading(make_pipeline(ingest_batch=5)):
        wait_for_events(pipeline, 200)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "the stream is empty")

    assert pipeline.one("SELECT count(*) FROM rejected_event") == 0


def abandon(pipeline, idle_ms: int) -> None:
    """Leave what is on the stream in the hands of a reader that died."""
    pipeline.redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    pipeline.redis.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=1_000)
    entries = pipeline.redis.xpending_range(STREAM, GROUP, "-", "+", 1_000)
    pipeline.redis.xclaim(
        STREAM,
        GROUP,
        "dead",
        min_idle_time=0,
        message_ids=[each["message_id"] for each in entries],
        idle=idle_ms,
    )


def test_what_a_dead_reader_had_in_hand_is_taken_over(pipeline, event):
    add(pipeline, *(event(id=str(number)) for number in range(10)))
    abandon(pipeline, 60_001)

    with reading(pipeline):
        wait_for_events(pipeline, 10)
        wait_until(lambda: pending(pipeline) == 0, 5, "they are settled")
        assert pipeline.redis.xlen(STREAM) == 0


def test_what_a_living_reader_has_in_hand_is_left_to_it(pipeline, event):
    """It would be accepted twice, or rather found to be a duplicate, for nothing."""
    add(pipeline, event(id="in hand"))
    abandon(pipeline, 30_000)
    add(pipeline, event(id="new"))

    with reading(pipeline):
        wait_for_events(pipeline, 1)
        wait_until(
            lambda: pipeline.redis.xlen(STREAM) == 1, 5, "the new one is settled"
        )

    assert pipeline.one("SELECT source_id FROM event") == "new"
    assert pending(pipeline) == 1


def test_what_a_dead_reader_had_is_found_behind_much_that_others_have(
    pipeline, make_pipeline, event
):
    """A look at what is in hand ends after ten times a batch: the next one goes on."""
    add(pipeline, *(event(id=str(number)) for number in range(25)))
    abandon(pipeline, 0)
    (last,) = add(pipeline, event(id="left"))
    pipeline.redis.xreadgroup(GROUP, "dead", {STREAM: ">"})
    pipeline.redis.xclaim(STREAM, GROUP, "dead", 0, [last], idle=60_001)

    with reading(make_pipeline(ingest_batch=1)):
        wait_for_events(pipeline, 1)

    assert pipeline.one("SELECT source_id FROM event") == "left"
    assert pending(pipeline) == 25


def test_what_was_accepted_but_not_settled_is_not_sent_again(pipeline, event):
    """The reader died between the commit and the acknowledgement."""
    pipeline.endpoint()
    add(pipeline, event())
    pipeline.accept(event())
    abandon(pipeline, 60_001)

    with reading(pipeline):
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 10, "it is settled")

    assert events_in(pipeline) == 1
    assert pipeline.one("SELECT count(*) FROM delivery") == 1


def test_a_flushed_broker_is_begun_anew_with(pipeline, event):
    """The group is gone: it is made again from the first entry on."""
    with reading(pipeline):
        add(pipeline, event(id="1"))
        wait_for_events(pipeline, 1)
        pipeline.redis.flushall()
        add(pipeline, event(id="2"), event(id="3"))
        wait_for_events(pipeline, 3)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "the stream is empty")


def test_entries_that_were_trimmed_away_do_not_stop_the_reader(pipeline, event):
    """What a dead reader had in hand may be gone from the stream."""
    add(pipeline, event(id="trimmed"), event(id="kept"))
    abandon(pipeline, 60_001)
    first = pipeline.redis.xrange(STREAM)[0][0]
    pipeline.redis.xdel(STREAM, first)

    with reading(pipeline):
        wait_for_events(pipeline, 1)
        wait_until(lambda: pending(pipeline) == 0, 5, "nothing is left in hand")


def test_while_the_database_is_away_nothing_is_lost_and_nothing_acknowledged(
    own_postgres, make_pipeline, event, migrate
):
    own_postgres.create_database("pipeline")
    migrate(url := own_postgres.url("pipeline"))
    pipeline = make_pipeline(database_url=url)
    pipeline.services.tenants.create("acme")
    pipeline.endpoint()
    with reading(pipeline):
        add(pipeline, event(id="before"))
        wait_for_events(pipeline, 1)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "it is settled")
        own_postgres.stop()
        add(pipeline, *(event(id=str(number)) for number in range(5)))
        wait_until(lambda: pending(pipeline), 10, "some were read, in vain")
        assert pipeline.redis.xlen(STREAM) == 5
        own_postgres.start()
        wait_for_events(pipeline, 6)
        wait_until(lambda: not pipeline.redis.xlen(STREAM), 5, "they are settled")

    assert pipeline.one("SELECT count(*) FROM delivery") == 6
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 0


def test_a_reader_that_is_told_to_stop_leaves_nothing_behind(pipeline):
    with reading(pipeline):
        wait_until(
            lambda: (
                pipeline.redis.exists(STREAM)
                and pipeline.redis.xinfo_consumers(STREAM, GROUP)
            ),
            10,
            "it reads",
        )

    assert pipeline.redis.xinfo_consumers(STREAM, GROUP) == []


def test_a_stream_that_is_none_is_waited_out(pipeline, event):
    """Somebody took the key for something else; mending it is enough."""
    pipeline.redis.set(STREAM, "no stream")
    with reading(pipeline):
        pipeline.redis.delete(STREAM)
        add(pipeline, event())
        wait_for_events(pipeline, 1)
