"""What a pending delivery waits for, and how its endpoint is doing, by the API."""

from __future__ import annotations

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind

T = "/tenants/acme"


@pytest.fixture
def waits(api, event):
    """Publish an event, and tell what became of it at the one endpoint."""
    count = iter(range(1_000))

    def waits() -> dict[str, object]:
        (verdict,) = api.publish(event(id=f"e{next(count)}")).json["accepted"]
        (told,) = api.get(f"{T}/events/{verdict['id']}").json["endpoints"]
        return told

    return waits


def put(api, **columns: str) -> None:
    """Set what a mailbox says, in SQL."""
    for name, value in columns.items():
        api.pipeline.do(f"UPDATE mailbox SET {name} = {value}")


SOON = "clock_timestamp() + interval '1 hour'"


def test_an_endpoint_that_is_well_says_so(api):
    shown = api.get(f"{T}/endpoints/{api.endpoint()}").json
    assert shown["health"] == {
        "breaker": "closed",
        "breaker_until": None,
        "held_until": None,
        "consecutive_failures": 0,
        "failing_since": None,
        "last_success_at": None,
        "last_failure_at": None,
    }


def test_an_open_breaker_is_told_with_its_end(api, waits):
    endpoint_id = api.endpoint()
    put(api, breaker_openings="3", breaker_until=SOON, consecutive_failures="12")

    health = api.get(f"{T}/endpoints/{endpoint_id}").json["health"]
    told = waits()

    assert (health["breaker"], health["consecutive_failures"]) == ("open", 12)
    assert told["outcome"] == "pending"
    assert told["next_attempt_at"] == health["breaker_until"]
    assert "breaker is open after 12 failures" in told["detail"]


def test_a_breaker_whose_time_is_over_is_half_open(api):
    endpoint_id = api.endpoint()
    put(api, breaker_openings="1", breaker_until="clock_timestamp()")
    health = api.get(f"{T}/endpoints/{endpoint_id}").json["health"]
    assert health["breaker"] == "half_open"


def test_a_pause_that_the_receiver_asked_for_is_told(api, waits):
    endpoint_id = api.endpoint()
    put(api, held_until=SOON)
    held_until = api.get(f"{T}/endpoints/{endpoint_id}").json["health"]["held_until"]
    told = waits()
    assert told["next_attempt_at"] == held_until
    assert "Retry-After" in told["detail"]


def test_what_comes_first_in_order_is_named(api, waits):
    api.endpoint(ordering="fifo")
    first, second = waits(), waits()
    assert "order" not in first["detail"]
    assert second["outcome"] == "pending"
    assert first["delivery_id"] in second["detail"]


def test_a_wait_that_is_over_is_not_told(api, waits):
    api.endpoint()
    put(api, held_until="clock_timestamp()", breaker_until="clock_timestamp()")
    assert waits()["detail"] == "Not tried yet."


def test_how_an_endpoint_is_doing_does_not_change_its_tag(api):
    """Or nobody could change an endpoint that works."""
    path = f"{T}/endpoints/{api.endpoint()}"
    before = api.get(path).headers["ETag"]
    put(api, consecutive_failures="5", last_failure_at="clock_timestamp()")
    assert api.get(path).headers["ETag"] == before
    api.ask("PATCH", path, json={"rate_limit_per_s": 7, "ordering": "fifo"})
    changed = api.get(path)
    assert changed.headers["ETag"] != before
    assert (changed.json["rate_limit_per_s"], changed.json["ordering"]) == (7, "fifo")
    endpoint_id = ids.read(Kind.ENDPOINT, changed.json["id"])
    assert api.pipeline.mailbox(endpoint_id).ordering == "fifo"
