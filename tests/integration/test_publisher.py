"""The publisher against a real Valkey that goes away, fills up and freezes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.client import (
    Publisher,
    PublisherClosed,
    PublisherFull,
    _Buffer,
    encode,
)
from ascwebhooks.embedded.valkey import Valkey
from tests.waiting import wait_until

STREAM = "asc:events"
BATCH = 500  # what may be in doubt when a connection breaks
NOWHERE = "redis://127.0.0.1:1/0"


def event(number: int, **more: object) -> dict[str, object]:
    fixed = {"source": "/gateway", "type": "request.completed", "tenantid": "acme"}
    return {"id": f"e{number}", **fixed, "data": {"n": number}, **more}


def ids(count: int) -> list[str]:
    return [f"e{number}" for number in range(count)]


def on_stream(url: str) -> list[bytes]:
    with redis.Redis.from_url(url) as client:
        return [fields[b"event"] for _, fields in client.xrange(STREAM)]


def ids_on_stream(url: str) -> list[str]:
    return [json.loads(each)["id"] for each in on_stream(url)]


@contextmanager
def command(server: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url()) as client:
        yield client


def test_completes_an_event_so_that_a_repeat_is_recognised(redis_url):
    with Publisher(redis_url) as publisher:
        assert publisher.publish({"source": "/g", "type": "t", "tenantid": "acme"})
        assert publisher.flush(5)

    written = json.loads(on_stream(redis_url)[0])
    assert written["specversion"] == "1.0"
    assert len(written["id"]) == 36
    assert written["time"].endswith("Z")


@pytest.mark.parametrize("kind", [bytes, str])
def test_leaves_encoded_data_byte_for_byte(redis_url, kind):
    data = '{"b" : 1.50, "a":\t[1e3,"\\u00e9"]}'
    text = f' {{ "type":"t", "data": {data} }}'
    with Publisher(redis_url) as publisher:
        publisher.publish(text.encode() if kind is bytes else text)
        assert publisher.flush(5)

    (written,) = on_stream(redis_url)
    assert data.encode() in written
    assert json.loads(written)["id"]


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
def test_an_encoded_event_and_a_mapping_mean_the_same(fields):
    complete = {"specversion": "1.0", "id": "1", "time": "t", **fields}
    assert json.loads(encode(json.dumps(complete))) == json.loads(encode(complete))
    assert (
        json.loads(encode(json.dumps(fields))).keys()
        == json.loads(encode(fields)).keys()
    )


def test_keeps_the_order(redis_url):
    with Publisher(redis_url) as publisher:
        assert publisher.publish_many(event(n) for n in range(1200)) == 1200
        assert publisher.flush(10)

    assert ids_on_stream(redis_url) == ids(1200)
    assert publisher.stats.published == 1200
    assert publisher.stats.buffered == 0


def test_threads_lose_and_repeat_nothing(redis_url):
    with Publisher(redis_url) as publisher:
        threads = [
            threading.Thread(
                target=publisher.publish_many,
                args=([event(n) for n in range(first, 2000, 8)],),
            )
            for first in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert publisher.flush(10)

    assert sorted(ids_on_stream(redis_url)) == sorted(ids(2000))


def test_an_outage_loses_and_repeats_nothing(own_valkey):
    """Nothing was in doubt: the server was gone before anything was sent."""
    own_valkey.stop()
    publisher = Publisher(own_valkey.url())
    assert publisher.publish_many(event(n) for n in range(1200)) == 1200
    wait_until(lambda: publisher.stats.last_error, 5, "the outage is noticed")
    assert publisher.stats.buffered == 1200

    own_valkey.start()
    assert publisher.flush(10)
    publisher.close()

    assert ids_on_stream(own_valkey.url()) == ids(1200)
    assert publisher.stats.last_error is None


def test_kill_9_repeats_only_what_was_in_doubt(own_valkey):
    """An answered event is in the append-only file; a batch is in doubt at most.

    So it is with ``appendfsync always``.  With ``everysec``, the default, Valkey
    answers without writing while the disk is busy with its last fsync, and forgets
    what it answered if it is killed then (decision 0011).
    """
    with command(own_valkey) as valkey:
        valkey.config_set("appendfsync", "always")
    publisher = Publisher(own_valkey.url(), buffer_events=100_000)
    writer = threading.Thread(
        target=publisher.publish_many, args=([event(n) for n in range(30_000)],)
    )
    writer.start()
    wait_until(lambda: publisher.stats.published > 1000, 10, "some are written")
    own_valkey.kill()
    writer.join()
    assert publisher.stats.buffered > 0, "killed too late to prove anything"
    own_valkey.start()
    assert publisher.flush(30)
    publisher.close()

    counts = Counter(ids_on_stream(own_valkey.url()))
    assert sorted(counts) == sorted(ids(30_000))
    assert sum(counts.values()) - len(counts) <= BATCH


def test_a_full_buffer_drops_the_newest_and_says_so_once(caplog):
    caplog.set_level(logging.WARNING, "ascwebhooks.client")
    publisher = Publisher(NOWHERE, buffer_events=10, exit_timeout_s=0)
    # The warning about being away would silence the one that is looked for.
    publisher._ensure_thread = lambda: None
    taken = [publisher.publish(event(n)) for n in range(15)]

    assert taken == [True] * 10 + [False] * 5
    assert (publisher.stats.buffered, publisher.stats.dropped) == (10, 5)
    assert "PublisherFull" in publisher.stats.last_error
    assert len([r for r in caplog.records if "dropped" in r.message]) == 1
    publisher.close()


def test_a_buffer_is_full_by_size_too():
    publisher = Publisher(NOWHERE, buffer_bytes=5_000, exit_timeout_s=0)
    taken = publisher.publish_many(event(n, blob="x" * 1000) for n in range(10))
    publisher.close()

    assert taken == 4


def test_raises_only_when_asked():
    with Publisher(
        NOWHERE, buffer_events=1, raise_errors=True, exit_timeout_s=0
    ) as publisher:
        publisher.publish(event(1))
        with pytest.raises(PublisherFull):
            publisher.publish(event(2))
        with pytest.raises(TypeError):
            publisher.publish(event(3, data=object()))
    with pytest.raises(PublisherClosed):
        publisher.publish(event(4))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"data": object()}, id="not JSON"),
        pytest.param({"data": float("nan")}, id="NaN"),
        pytest.param({"data": "\ud800"}, id="lone surrogate"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param("[1]", id="not an object"),
        pytest.param("{", id="cut short"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_cannot_be_encoded_is_dropped_and_counted(redis_url, bad):
    with Publisher(redis_url) as publisher:
        assert publisher.publish(bad) is False
        assert publisher.publish(event(1)) is True
        assert publisher.flush(5)

    assert publisher.stats.dropped == 1
    assert ids_on_stream(redis_url) == ["e1"]


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        pytest.param(
            ["CONFIG", "SET", "maxmemory", "1"],
            ["CONFIG", "SET", "maxmemory", "0"],
            "OutOfMemory",
            id="full",
        ),
        pytest.param(
            ["REPLICAOF", "127.0.0.1", "1"],
            ["REPLICAOF", "NO", "ONE"],
            "ReadOnly",
            id="read-only replica",
        ),
    ],
)
def test_a_server_that_refuses_is_like_one_that_is_away(own_valkey, begin, end, said):
    with command(own_valkey) as valkey, Publisher(own_valkey.url()) as publisher:
        valkey.execute_command(*begin)
        publisher.publish_many(event(n) for n in range(700))
        wait_until(lambda: publisher.stats.last_error, 5, "the refusal is noticed")
        assert said in publisher.stats.last_error
        assert publisher.stats.buffered == 700

        valkey.execute_command(*end)
        assert publisher.flush(10)

    assert ids_on_stream(own_valkey.url()) == ids(700)


def test_what_is_refused_stays_in_front_and_in_order():
    buffer = _Buffer(most_events=10, most_bytes=100)
    for each in (b"1", b"2", b"3", b"4"):
        buffer.put(each)
    batch = buffer.head()
    buffer.put(b"5")
    buffer.settle(batch, [b"2", b"4"])

    assert buffer.head() == [b"2", b"4", b"5"]
    assert buffer.written == 2


def test_part_of_a_batch_refused_is_written_once(own_valkey):
    """Memory runs out in the middle of a batch: the rest stays."""
    with command(own_valkey) as valkey, Publisher(own_valkey.url()) as publisher:
        used = valkey.info("memory")["used_memory"]
        valkey.config_set("maxmemory", used + 2_000_000)
        publisher.publish_many(event(n, blob="x" * 9000) for n in range(1000))
        wait_until(lambda: publisher.stats.last_error, 5, "memory runs out")
        assert 0 < publisher.stats.published < 1000
        valkey.config_set("maxmemory", 0)
        assert publisher.flush(10)

    assert sorted(ids_on_stream(own_valkey.url())) == sorted(ids(1000))


def test_a_frozen_server_holds_nobody_up(own_valkey):
    timeout_s = 3.0
    with Publisher(own_valkey.url(), timeout_s=timeout_s) as publisher:
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            publisher.publish_many(event(n) for n in range(100))
            took_s = time.monotonic() - began
            wait_until(lambda: publisher.stats.last_error, 30, "a timeout")
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
        assert publisher.flush(10)

    assert took_s < timeout_s, "nothing waited for the server"
    assert set(ids_on_stream(own_valkey.url())) == set(ids(100))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_publishes_its_own_events_only(own_valkey):
    """What the parent had buffered is the parent's; twice would be a repeat."""
    own_valkey.stop()
    publisher = Publisher(own_valkey.url())
    publisher.publish_many(event(n) for n in range(5))
    wait_until(lambda: publisher.stats.last_error, 5, "the outage is noticed")
    start, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(start, 1)
        publisher.publish(event(5))
        os._exit(0 if publisher.flush(10) and publisher.stats.published == 1 else 1)
    own_valkey.start()
    os.write(told, b"\0")
    _, status = os.waitpid(child, 0)
    os.close(start)
    os.close(told)
    assert publisher.flush(10)
    publisher.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(ids_on_stream(own_valkey.url())) == ids(6)


def run_gateway(url: str) -> float:
    """Run a process that publishes and ends at once; return how long it took."""
    code = (
        "import sys; from ascwebhooks.client import Publisher; "
        "Publisher(sys.argv[1]).publish({'id': 'e0', 'type': 't'})"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code, url], check=True)
    return time.monotonic() - began


def test_the_end_of_the_process_writes_what_is_buffered(redis_url):
    run_gateway(redis_url)

    assert ids_on_stream(redis_url) == ["e0"]


def test_the_end_of_the_process_waits_only_so_long():
    assert 2 <= run_gateway(NOWHERE) < 10, "two seconds, and the start of Python"


def test_closing_says_what_is_lost(caplog):
    publisher = Publisher(NOWHERE)
    publisher.publish(event(1))
    publisher.close(timeout_s=0.05)

    assert "closed with 1 events" in caplog.text
    assert publisher.publish(event(2)) is False


def test_closing_leaves_no_thread(redis_url):
    before = set(threading.enumerate())
    with Publisher(redis_url) as publisher:
        publisher.publish(event(1))
    assert set(threading.enumerate()) <= before


def test_a_wrong_url_is_said_at_once():
    with pytest.raises(ValueError, match="scheme"):
        Publisher("http://localhost")
