"""Metrics of real processes add up to what was sent."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ascwebhooks.embedded import ports
from ascwebhooks.embedded.receiver import Receiver
from tests.acceptance.cluster import Cluster, Tally, cluster, event
from tests.waiting import wait_until

SENT, BAD = 120, 3


@pytest.fixture
def site(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(database_url, redis_url, tmp_path) as made:
        yield made


def start(site: Cluster, name: str) -> str:
    """Start a worker that serves its metrics; return where."""
    bind = f"127.0.0.1:{ports.choose()}"
    site.env["ASCWEBHOOKS_METRICS_BIND"] = bind
    site.start(name)
    return bind


def scraped(bind: str) -> dict[str, float]:
    """Return samples by name, the labels' values behind it."""
    with urllib.request.urlopen(f"http://{bind}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_two_processes_count_what_was_accepted_and_delivered_and_nothing_else(site):
    """Each event once at the reader, each delivery once at the sender."""
    tally = Tally()
    with Receiver(on_delivery=tally.count) as receiver:
        site.tenant(receiver, 4)
        reader, sender = start(site, "ingest"), start(site, "deliver")
        with site.redis() as client:
            for number in range(SENT):
                client.xadd("asc:events", {"event": event(number, 4)})
            for number in range(5):
                client.xadd("asc:events", {"event": event(number, 4)})
            for _ in range(BAD):
                client.xadd("asc:events", {"event": b"not json"})
        wait_until(lambda: len(tally.by_event) == SENT, 30, "all arrived")
        delivered = "ascwebhooks_deliveries_total/delivered"
        wait_until(lambda: scraped(sender)[delivered] == SENT, 30, "all are recorded")

        found = scraped(reader)
        assert found["ascwebhooks_events_accepted_total/stream"] == SENT
        assert found["ascwebhooks_events_duplicate_total/stream"] == 5
        assert found["ascwebhooks_events_rejected_total/not_json"] == BAD
        assert found[delivered] == 0, "another process's"
        assert found["ascwebhooks_batch_size_sum/accept"] == SENT + 5 + BAD

        found = scraped(sender)
        assert found["ascwebhooks_attempts_total/none"] == SENT
        assert found["ascwebhooks_attempt_duration_seconds_count"] == SENT
        assert found["ascwebhooks_attempt_duration_seconds_bucket/+Inf"] == SENT
        assert found["ascwebhooks_delivery_latency_seconds_count"] == SENT
        assert 0 < found["ascwebhooks_delivery_latency_seconds_sum"] < SENT * 30
        assert found["ascwebhooks_batch_size_sum/record"] == SENT
        assert found["ascwebhooks_batch_size_sum/claim"] == SENT


def test_a_port_that_is_taken_ends_the_worker_and_names_the_setting(site):
    bind = start(site, "maintenance")
    ended = subprocess.run(
        [sys.executable, "-m", "ascwebhooks", "worker", "--deliver"],
        env={**site.env, "ASCWEBHOOKS_METRICS_BIND": bind},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "ASCWEBHOOKS_METRICS_BIND" in ended.stderr
