"""What is counted where it happens, and what is read when somebody asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.services import gauges
from ascwebhooks.services.gauges import Gauges
from ascwebhooks.services.metrics import BatchHistogram
from tests.waiting import wait_until


def samples(text: str) -> dict[str, float]:
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def scrape(api):
    """The web server's metrics, as somebody without a key gets them."""

    def scrape(**headers: str) -> dict[str, float]:
        answered = api.with_key(None).get("!/metrics", headers=headers)
        assert answered.status_code == 200
        return samples(answered.text)

    return scrape


def test_a_histogram_holds_what_was_observed():
    made = BatchHistogram("h", "Of a test.", (1, 2, 5), "stage")
    made.observe((0.5, 1, 1.5, 9), "a")
    made.observe([], "a")
    made.observe((2,), "b")
    (family,) = made.collect()
    found = {(s.name, *s.labels.values()): s.value for s in family.samples}
    # An upper bound belongs to its bucket; buckets are cumulative.
    assert [found["h_bucket", "a", le] for le in ("1.0", "2.0", "5.0", "+Inf")] == [
        2,
        3,
        3,
        4,
    ]
    assert (found["h_count", "a"], found["h_sum", "a"]) == (4, 12)
    assert found["h_count", "b"] == 1


def test_the_gauges_say_how_things_stand(pipeline, scrape, event):
    """Due, dead, open and leased, over all tenants; nothing names one."""
    endpoint_id = pipeline.endpoint()
    pipeline.accept(*(event(id=f"e{n}") for n in range(4)))
    pipeline.redis.xadd(pipeline.settings.stream, {"event": event(id="waits")})
    one = "WHERE id = (SELECT id FROM delivery ORDER BY id LIMIT 1)"
    pipeline.do(f"UPDATE delivery SET status = 'dead_lettered' {one}")
    later = "WHERE id = (SELECT id FROM delivery ORDER BY id DESC LIMIT 1)"
    pipeline.do(
        f"UPDATE delivery SET next_attempt_at = now() + interval '1 hour' {later}"
    )
    pipeline.do(
        "UPDATE delivery SET next_attempt_at = now() - interval '60 s'"
        " WHERE status = 'pending' AND next_attempt_at <= now()"
    )
    barred = pipeline.endpoint(event_types=["nothing.*"])
    pipeline.do("UPDATE mailbox SET lease_until = now() + interval '1 h'")
    pipeline.do(
        "UPDATE mailbox SET breaker_openings = 2 WHERE endpoint_id = :id", id=barred
    )
    found = scrape()
    assert found["ascwebhooks_due_deliveries"] == 2
    assert 60 <= found["ascwebhooks_oldest_due_seconds"] < 90
    assert found["ascwebhooks_dead_letters"] == 1
    assert found["ascwebhooks_open_breakers"] == 1
    assert found["ascwebhooks_leases"] == 2
    assert found["ascwebhooks_stream_lag"] == 1
    assert found["ascwebhooks_broker_up"] == found["ascwebhooks_database_up"] == 1
    assert found["ascwebhooks_events_accepted_total/stream"] == 4
    assert not [name for name in found if "acme" in name or str(endpoint_id) in name]


@pytest.mark.parametrize(
    "held",
    ["breaker_openings = 1", "held_until = now() + interval '1 h'", "state = 'paused'"],
)
def test_what_a_receiver_keeps_waiting_is_not_late(pipeline, scrape, event, held):
    """No worker could do anything about it."""
    pipeline.endpoint()
    pipeline.accept(event())
    pipeline.do("UPDATE delivery SET next_attempt_at = now() - interval '1 h'")
    pipeline.do(f"UPDATE mailbox SET {held}")
    found = scrape()
    assert found["ascwebhooks_due_deliveries"] == 1
    assert found["ascwebhooks_oldest_due_seconds"] == 0


def test_gauges_are_read_at_most_every_five_seconds(pipeline, event):
    now = [0.0]
    made = Gauges(
        pipeline.uow,
        pipeline.parts.stream(),
        retention=timedelta(days=30),
        clock=lambda: now[0],
    )

    def due() -> float:
        found = {family.name: family.samples[0].value for family in made.collect()}
        return found["ascwebhooks_due_deliveries"]

    pipeline.endpoint()
    assert due() == 0
    pipeline.accept(event())
    assert due() == 0, "a scrape later, from the cache"
    now[0] += gauges.CACHED_S
    assert due() == 1


def test_a_broker_that_is_away_leaves_its_gauges_out(make_pipeline, api_on):
    """The rest is served all the same: that is when metrics are looked at."""
    away = make_pipeline(redis_url="redis://127.0.0.1:1/0")
    answered = api_on(away).with_key(None).get("!/metrics")
    found = samples(answered.text)
    assert answered.status_code == 200
    assert found["ascwebhooks_broker_up"] == 0
    assert found["ascwebhooks_database_up"] == 1
    assert "ascwebhooks_stream_lag" not in found
    assert found["ascwebhooks_due_deliveries"] == 0


def test_openmetrics_is_spoken_when_asked_for(api):
    answered = api.get("!/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answered.text.endswith("# EOF\n")


def test_failures_are_counted_as_retried_or_dead_lettered(pipeline, scrape, event):
    """One attempt fails twice over: once to be tried again, once for good."""
    with Receiver(failure=Failure(503, 9)) as receiver:
        pipeline.endpoint(receiver.url, retry_schedule_s=[3600])
        last = pipeline.endpoint(receiver.url, retry_schedule_s=[])
        pipeline.accept(event())
        turns = pipeline.turns()
        turns.take([row.id for row in pipeline.rows("SELECT id FROM endpoint")])
        pipeline.idle(last)
        ended = ("retried", "dead_lettered")
        wait_until(
            lambda: all(
                scrape().get(f"ascwebhooks_deliveries_total/{each}") for each in ended
            ),
            10,
            "both are counted",
        )
    found = scrape()
    assert found["ascwebhooks_attempts_total/http_status"] == 2
    assert found["ascwebhooks_deliveries_total/retried"] == 1
    assert found["ascwebhooks_deliveries_total/dead_lettered"] == 1
    assert found["ascwebhooks_deliveries_total/delivered"] == 0
    assert found["ascwebhooks_delivery_latency_seconds_count"] == 0
