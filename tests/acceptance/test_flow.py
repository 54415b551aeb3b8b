"""Order, rate and breaker with two delivery processes of each kind."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from ascwebhooks.embedded.receiver import Failure, Received, Receiver
from tests.acceptance.cluster import WORKERS, cluster
from tests.waiting import wait_until

EVENTS = 2_000
ENDPOINTS = 5
BATCH = 100


@pytest.fixture(autouse=True)
def two_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process for the fast and for the slow ones."""
    monkeypatch.setitem(WORKERS, "deliver-2", WORKERS["deliver"])
    monkeypatch.setitem(WORKERS, "slow-2", WORKERS["slow"])


PROCESSES = ("ingest", "deliver", "deliver-2", "slow", "slow-2", "maintenance", "beat")


class Unreliable(Receiver):
    """Fails eight of a thousand requests, at random."""

    def __init__(self) -> None:
        self.sequences: dict[str, list[int]] = defaultdict(list)
        self.failed = 0
        self._random = random.Random(42)
        self._noting = threading.Lock()
        super().__init__(on_delivery=self._note)

    def _note(self, received: Received) -> None:
        number = json.loads(received.body)["data"]
        with self._noting:
            self.sequences[received.path].append(number)
            self.failed += received.answered_status != 200

    def _told_to_fail(self) -> int | None:
        with self._noting:
            return 500 if self._random.random() < 0.008 else None


def numbered(number: int, kind: str = "order.kept") -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": "/gateways/test",
            "type": kind,
            "tenantid": "acme",
            "data": number,
        }
    ).encode()


def test_an_endpoint_in_order_never_goes_back(
    database_url: str, redis_url: str, tmp_path: Path, record_property
) -> None:
    """2,000 events to 5 endpoints, random failures, two delivery processes.

    What comes again is the last one, nothing before it.
    """
    with (
        cluster(database_url, redis_url, tmp_path) as run,
        Unreliable() as receiver,
    ):
        run.services.tenants.create("acme")
        for each in range(ENDPOINTS):
            run.services.endpoints.create(
                "acme",
                url=f"{receiver.url}/{each}",
                event_types=["order.*"],
                ordering="fifo",
                retry_schedule_s=[1] * 20,
            )
        run.start(*PROCESSES)
        stream = run.redis()
        for first in range(0, EVENTS, BATCH):
            pipe = stream.pipeline()
            for number in range(first, first + BATCH):
                pipe.xadd("asc:events", {"event": numbered(number)})
            pipe.execute()
        wait_until(
            lambda: (
                run.query("SELECT count(*) FROM delivery WHERE status='delivered'")
                == EVENTS * ENDPOINTS
            ),
            240,
            "all are delivered",
        )
        record_property("failed", receiver.failed)

    assert receiver.failed > EVENTS * ENDPOINTS * 0.005, "it did fail now and then"
    for path, numbers in receiver.sequences.items():
        for before, after in pairwise(numbers):
            assert after in (before, before + 1), f"{path}: {after} after {before}"
        assert set(numbers) == set(range(EVENTS))


def test_no_second_is_sent_more_than_the_rate(
    database_url: str, redis_url: str, tmp_path: Path, record_property
) -> None:
    """20 a second and one at the fence, although two processes serve it in turn.

    By when they were sent: a receiver that is held up notes as one burst what came
    meanwhile.
    """
    with (
        cluster(database_url, redis_url, tmp_path) as run,
        Receiver() as receiver,
    ):
        run.services.tenants.create("acme")
        run.services.endpoints.create(
            "acme", url=receiver.url, event_types=["*"], rate_limit_per_s=20
        )
        run.start(*PROCESSES)
        run.services.acceptance.accept(
            [numbered(number) for number in range(300)], via="test"
        )
        wait_until(
            lambda: (
                run.query("SELECT count(*) FROM delivery WHERE status='delivered'")
                == 300
            ),
            60,
            "all are delivered",
        )
        busiest = run.query(
            "SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY started_at RANGE"
            " BETWEEN CURRENT ROW AND '999999 us' FOLLOWING) AS n FROM attempt) AS s"
        )
        took_ms = run.query(
            "SELECT 1000 * extract(epoch FROM max(started_at) - min(started_at))"
            " FROM attempt"
        )

    per_second = 299 / (took_ms / 1000)
    record_property("busiest_second", busiest)
    record_property("per_second", per_second)
    assert busiest <= 21
    assert per_second > 5, "nothing but the rate is waited for from one to the next"


def test_an_endpoint_that_fails_for_good_gets_ten_attempts(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Its breaker opens after ten, not after all 500; nothing else is used up."""
    got: Counter[int] = Counter()
    with (
        cluster(database_url, redis_url, tmp_path) as run,
        Receiver(
            failure=Failure(500),
            on_delivery=lambda received: got.update([received.answered_status]),
        ) as receiver,
    ):
        run.services.tenants.create("acme")
        run.services.endpoints.create("acme", url=receiver.url, event_types=["*"])
        run.start(*PROCESSES)
        run.services.acceptance.accept(
            [numbered(number) for number in range(500)], via="test"
        )
        wait_until(
            lambda: run.query("SELECT max(breaker_openings) FROM mailbox") == 1,
            20,
            "the breaker opened",
        )
        wait_until(
            lambda: (
                run.query("SELECT count(*) FROM mailbox WHERE lease_token IS NULL") == 1
            ),
            10,
            "nobody serves it",
        )
        assert got == {500: 10}
        unused = "SELECT count(*) FROM delivery WHERE step = 0 AND attempt_count = 0"
        assert run.query(unused) == 490
