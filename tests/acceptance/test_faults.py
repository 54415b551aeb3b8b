"""Whatever breaks, what was accepted is delivered in the end.

Real engines, real worker processes, a real receiver.  Every test states how many
duplicates there were, and that they are no more than was in flight: requests that
the receiver had got and whose attempt was not recorded when the part broke.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ascwebhooks.client import Publisher
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.embedded.valkey import Valkey
from tests.acceptance.cluster import Cluster, Tally, cluster, event
from tests.waiting import wait_until

EVENTS = 5_000
ENDPOINTS = 10
#: What an answer takes.  At 20 in flight to each endpoint it is 2,000 deliveries a
#: second: all are accepted long before, and much is under way when things go wrong.
SLOWLY_S = 0.1
ALL = ("ingest", "deliver", "slow", "maintenance", "beat")
DELIVERED = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
ATTEMPTS = "SELECT count(*) FROM attempt"
ACCEPTED = "SELECT count(*) FROM event"

Report = Callable[[str, object], None]


@pytest.fixture
def run(own_postgres: Postgres, own_valkey: Valkey, tmp_path: Path):
    with cluster(own_postgres.url(), own_valkey.url(), tmp_path) as made:
        yield made


def publish(run: Cluster, count: int = EVENTS) -> None:
    """Put all events on the stream and wait until each is accepted."""
    pipe = run.redis().pipeline(transaction=False)
    for number in range(count):
        pipe.xadd("asc:events", {"event": event(number, ENDPOINTS)})
    pipe.execute()
    wait_until(lambda: run.query(ACCEPTED) == count, 60, "all are accepted")


def all_delivered(run: Cluster, count: int = EVENTS, timeout_s: float = 120) -> None:
    wait_until(lambda: run.query(DELIVERED) == count, timeout_s, "all are delivered")


def in_doubt(run: Cluster, tally: Tally) -> int:
    """Return how many requests were answered whose attempts nobody recorded.

    Called when nothing delivers: what the receiver still has in hand is over soon.
    """
    seen, since = -1, 0.0

    def quiet() -> bool:
        nonlocal seen, since
        if tally.requests != seen:
            seen, since = tally.requests, time.monotonic()
        return time.monotonic() - since > 5 * SLOWLY_S

    wait_until(quiet, 10, "the receiver is done with what it had")
    return tally.requests - run.query(ATTEMPTS)


def exactly_all(tally: Tally, count: int = EVENTS) -> None:
    assert len(tally.by_event) == count


def test_a_killed_delivery_worker(run: Cluster, record_property: Report) -> None:
    """kill -9 with 5,000 accepted deliveries under way."""
    tally = Tally()
    with Receiver(on_delivery=tally.count, delay_s=SLOWLY_S) as receiver:
        run.tenant(receiver, ENDPOINTS)
        run.start(*ALL)
        publish(run)
        wait_until(lambda: tally.requests > 500, 30, "deliveries are under way")
        run.kill("deliver")
        doubtful = in_doubt(run, tally)
        left = EVENTS - run.query(DELIVERED)
        assert left > 1_000, "it was killed too late to prove anything"
        run.start("deliver")
        all_delivered(run)
        exactly_all(tally)
        record_property("duplicates", tally.duplicates)
        record_property("in doubt", doubtful)
        assert tally.duplicates <= doubtful


def test_a_flushed_broker(run: Cluster, record_property: Report) -> None:
    """FLUSHALL once all 5,000 are accepted: rings, doors and the group are lost."""
    tally = Tally()
    with Receiver(on_delivery=tally.count, delay_s=SLOWLY_S) as receiver:
        run.tenant(receiver, ENDPOINTS)
        run.start(*ALL)
        publish(run)
        run.redis().flushall()
        assert run.query(DELIVERED) < EVENTS, "it was flushed too late"
        all_delivered(run)
        more = 100
        pipe = run.redis().pipeline()
        for number in range(EVENTS, EVENTS + more):
            pipe.xadd("asc:events", {"event": event(number, ENDPOINTS)})
        pipe.execute()
        all_delivered(run, EVENTS + more)
        exactly_all(tally, EVENTS + more)
        record_property("duplicates", tally.duplicates)
        assert tally.duplicates == 0


def test_a_broker_that_is_away_for_half_a_minute(
    run: Cluster, own_valkey: Valkey, record_property: Report, outage: Callable
) -> None:
    """Publishers buffer, workers come back by themselves, nothing is lost."""
    tally = Tally()
    with (
        Receiver(on_delivery=tally.count, delay_s=SLOWLY_S) as receiver,
        Publisher(run.redis_url) as publisher,
    ):
        run.tenant(receiver, ENDPOINTS)
        run.start(*ALL)
        publisher.publish_many(event(n, ENDPOINTS) for n in range(EVENTS // 2))
        wait_until(lambda: run.query(ACCEPTED) > 500, 30, "events are accepted")
        own_valkey.stop()
        publisher.publish_many(event(n, ENDPOINTS) for n in range(EVENTS // 2, EVENTS))
        outage(30)
        assert publisher.stats.buffered > 0
        own_valkey.start()
        assert publisher.flush(30)
        all_delivered(run)
        exactly_all(tally)
        record_property("duplicates", tally.duplicates)
        assert tally.duplicates == 0
        assert publisher.stats.dropped == 0


def test_a_restarted_database(
    run: Cluster, own_postgres: Postgres, record_property: Report, outage: Callable
) -> None:
    """PostgreSQL away for five seconds, with deliveries under way."""
    tally = Tally()
    with Receiver(on_delivery=tally.count, delay_s=SLOWLY_S) as receiver:
        run.tenant(receiver, ENDPOINTS)
        run.start(*ALL)
        publish(run)
        wait_until(lambda: tally.requests > 500, 30, "deliveries are under way")
        own_postgres.stop()
        outage(5)
        own_postgres.start()
        all_delivered(run)
        exactly_all(tally)
        record_property("duplicates", tally.duplicates)
        # Its leases outlived the outage and its results were kept in memory.
        assert tally.duplicates == 0


def test_a_beat_that_stops_for_a_minute(
    run: Cluster, record_property: Report, outage: Callable
) -> None:
    """Retries wait for it and go out when it is back; the rest does not notice.

    The retries fall due long after the rest is done, when nothing else rings.
    """
    tally = Tally()
    # Fewer than would open the breakers: those keep probes waiting for minutes.
    failure = Failure(503, 60)
    with Receiver(on_delivery=tally.count, failure=failure) as receiver:
        run.tenant(receiver, ENDPOINTS, retry_schedule_s=[20, 20])
        run.start(*ALL)
        run.stop("beat")
        publish(run)
        outage(60)
        waiting = run.query(
            "SELECT count(*) FROM delivery"
            " WHERE status = 'pending' AND attempt_count > 0"
        )
        assert waiting > 0, "some retry was due while nothing rang"
        run.start("beat")
        all_delivered(run)
        exactly_all(tally)
        record_property("duplicates", tally.duplicates)
        assert tally.duplicates == 0
