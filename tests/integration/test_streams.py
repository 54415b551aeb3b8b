"""How long the stream is said to be, whatever stays in hand or is trimmed."""

from __future__ import annotations

import pytest

from ascwebhooks.storage.streams import Stream


@pytest.fixture
def stream(pipeline) -> Stream:
    made = pipeline.parts.stream()
    made.make_group()
    return made


def add(pipeline, count: int) -> None:
    pipe = pipeline.redis.pipeline()
    for _ in range(count):
        pipe.xadd(pipeline.settings.stream, {"event": "{}"})
    pipe.execute()


def measured(pipeline) -> dict[str, float]:
    """Return what Prometheus, a sample and the overview are told, by who is told."""
    services = pipeline.services
    services.gauge_samples.sample()
    (sampled,) = pipeline.rows("SELECT stream_lag FROM gauge_sample")
    found = {"sample": sampled.stream_lag}
    read = services.gauges.read()
    assert read["broker_up"] == 1
    if "stream_lag" in read:
        found["gauge"] = read["stream_lag"]
    return found


def finding(pipeline):
    (found,) = (
        each for each in pipeline.services.health.examine() if each.check == "stream"
    )
    return found


def told(pipeline) -> int | None:
    (group,) = pipeline.redis.xinfo_groups(pipeline.settings.stream)
    return group["lag"]


def test_what_waits_is_counted_behind_what_stays_in_hand(pipeline, stream):
    """A postponed event stands before settled ones: Valkey does not tell the lag."""
    add(pipeline, 20_000 + 4)
    postponed, *rest = stream.read(3, 100)
    stream.settle([each.id for each in rest])
    assert postponed
    assert told(pipeline) is None, "or this test shows nothing"

    assert stream.lag() == (20_001, 1)
    assert measured(pipeline) == {"sample": 20_001, "gauge": 20_001}
    assert not finding(pipeline).well
    assert finding(pipeline).detail == "20001 events not read yet, 1 in hand"

    stream.read(2, 100)
    assert told(pipeline) is None
    assert stream.lag() == (19_999, 3), "what is read on is no longer counted"


def test_all_that_was_read_leaves_nothing_unread(pipeline, stream):
    assert stream.lag() == (0, 0)
    add(pipeline, 5)
    assert stream.lag() == (5, 0)
    first, *rest = stream.read(5, 100)
    assert stream.lag() == (0, 5)
    stream.settle([each.id for each in rest])
    assert stream.lag() == (0, 1)
    stream.settle([first.id])
    assert stream.lag() == (0, 0)


def test_a_stream_that_nobody_has_read_yet_is_unread(pipeline):
    stream = pipeline.parts.stream()
    assert stream.lag() == (0, 0), "there is no stream"
    add(pipeline, 3)
    assert stream.lag() == (3, 0), "there is no group"


def test_what_cannot_be_told_is_not_told_to_be_nothing(pipeline, stream):
    """Somebody deletes what readers have in hand."""
    add(pipeline, 6)
    entries = stream.read(4, 100)
    pipeline.redis.xdel(pipeline.settings.stream, *(each.id for each in entries[1:]))
    assert told(pipeline) is None, "or this test shows nothing"

    assert stream.lag() == (None, 4)
    assert measured(pipeline) == {"sample": None}
    found = finding(pipeline)
    assert (found.well, found.detail) == (
        False,
        "not all of the 4 events in hand are still on it",
    )
