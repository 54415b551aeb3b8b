"""Residency: nothing is served in a region that the tenant does not allow."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import Conflict, InvalidInput
from ascwebhooks.services import endpoint_states, residency
from tests.integration import receivers
from tests.integration.pipeline import TENANT, event
from tests.waiting import wait_until

EU = {"home_region": "eu", "allowed_regions": ["eu"]}
BOTH = {"allowed_regions": ["eu", "default"]}


@pytest.fixture
def regions(pipeline):
    """Changes the tenant's regions, as a patch of it does."""

    def change(changes):
        return pipeline.services.tenants.change(TENANT, changes)

    return change


def reasons(pipeline, endpoint_id: UUID) -> dict[str, int]:
    """Return how many deliveries of an endpoint are pending, or dead of what."""
    rows = pipeline.rows(
        "SELECT coalesce(dead_reason, status), count(*) FROM delivery"
        " WHERE endpoint_id = :id GROUP BY 1",
        id=endpoint_id,
    )
    return {row[0]: row[1] for row in rows}


def test_a_region_that_is_not_allowed_is_refused(api):
    """At creation and in a patch, also the one where the endpoint is by now."""
    path = f"/tenants/{TENANT}/endpoints"
    body = {"url": "http://127.0.0.1:9009/in"}
    for refused in (
        api.post(path, {**body, "region": "eu"}),
        api.patch(f"{path}/{api.endpoint()}", {"region": "eu"}),
    ):
        assert (refused.status_code, refused.json["code"]) == (422, "invalid_input")
        assert list(refused.json["errors"]) == ["region"]
        assert "'eu' is not among" in refused.json["detail"]
    assert api.post(path, {**body, "region": "default"}).status_code == 201

    endpoint_id = api.endpoint()
    assert api.patch(f"/tenants/{TENANT}", EU).status_code == 200
    stays = api.patch(f"{path}/{endpoint_id}", {"region": "default"})
    assert stays.status_code == 422
    assert api.patch(f"{path}/{endpoint_id}", {"region": "eu"}).status_code == 200


def test_the_home_region_cannot_be_narrowed_away(pipeline, regions):
    endpoint_id = pipeline.endpoint()
    with pytest.raises(InvalidInput, match="home_region 'default'"):
        regions({"allowed_regions": ["eu"]})
    assert pipeline.mailbox(endpoint_id).state == "active"


def test_narrowing_ends_what_is_pending_there_and_what_comes_later(pipeline, regions):
    """And nothing elsewhere: not in another region, not at another tenant's."""
    regions(BOTH)
    there, elsewhere = pipeline.endpoint(), pipeline.endpoint(region="eu")
    pipeline.services.tenants.create("globex")
    theirs = pipeline.endpoint(tenant_id="globex")
    pipeline.accept(event(id="1"), event(id="2"), event(tenantid="globex"))

    regions(EU)

    assert reasons(pipeline, there) == {"residency": 2}
    assert pipeline.accept(event(id="3"))[0].deliveries == 2
    assert reasons(pipeline, there) == {"residency": 3}
    assert reasons(pipeline, elsewhere) == {"pending": 3}
    assert reasons(pipeline, theirs) == {"pending": 1}
    ended = pipeline.rows("SELECT completed_at FROM delivery WHERE dead_reason <> ''")
    assert all(row[0] is not None for row in ended)


def test_nobody_rings_or_leases_an_endpoint_abroad(pipeline, regions):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    regions(EU)
    pipeline.do("UPDATE delivery SET status = 'pending', dead_reason = NULL")
    pipeline.forget_rings()

    assert pipeline.services.maintenance.sweep() == 0
    for region in ("default", "eu"):
        pipeline.turns(region=region).take([endpoint_id])
    assert pipeline.mailbox(endpoint_id).lease_token is None
    pipeline.accept(event(id="2"))
    assert pipeline.rung() == pipeline.rung(region="eu") == []


def test_of_many_the_rest_is_ended_in_batches(pipeline, regions, monkeypatch):
    """Over all endpoints of the tenant the first batch is no longer than one."""
    for module in (endpoint_states, residency):
        monkeypatch.setattr(module, "END_BATCH", 3)
    endpoint_ids = [pipeline.endpoint() for _ in range(2)]
    pipeline.accept(*(event(id=str(number)) for number in range(4)))

    regions(EU)
    found = [reasons(pipeline, each) for each in sorted(endpoint_ids)]
    assert found == [{"residency": 3, "pending": 1}, {"pending": 4}]

    assert pipeline.services.endpoint_states.end_the_rest() == 5
    for each in endpoint_ids:
        assert reasons(pipeline, each) == {"residency": 4}


def test_what_was_allowed_again_is_not_ended_by_a_late_batch(
    pipeline, regions, monkeypatch
):
    """The job had looked before; under the lock it looks once more."""
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    states = pipeline.services.endpoint_states
    pipeline.do("UPDATE mailbox SET state = 'abroad'")
    with pipeline.uow() as uow:
        window = pipeline.services.maintenance._window()
        (left,) = uow.mailboxes.ended(window)
    regions({"allowed_regions": ["default"]})

    assert pipeline.mailbox(endpoint_id).state == "active"
    assert states._end_more(left, window) == 0
    assert reasons(pipeline, endpoint_id) == {"pending": 1}


def test_whoever_holds_the_lease_stops_sending(pipeline, regions):
    """What is out is recorded and changes nothing; claims not yet sent go back."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        pipeline.accept(*(event(id=str(number)) for number in range(10)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "one is out")
        regions(EU)
        # As if a batch were left: what is claimed may still be pending.
        pipeline.do(
            "UPDATE delivery SET status = 'pending', dead_reason = NULL"
            " WHERE id <> (SELECT id FROM delivery ORDER BY id LIMIT 1)"
        )
        gate.release()
        wait_until(lambda: pipeline.rows("SELECT FROM attempt"), 10, "recorded")
        pipeline.taken_back(turns)
        gate.release(20)
        box = pipeline.idle(endpoint_id)

        # The window lets the next one start before the first is recorded.
        assert len(receiver.requests) <= 2
    assert box.state == "abroad"
    pipeline.services.endpoint_states.end_the_rest()
    assert "pending" not in reasons(pipeline, endpoint_id)
    made = pipeline.one("SELECT sum(attempt_count) FROM delivery")
    assert made == len(receiver.requests)


def test_a_retry_is_a_conflict_and_a_replay_skips_it(api, regions):
    pipeline = api.pipeline
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    regions(EU)

    path = f"/tenants/{TENANT}/deliveries/{ids.show(Kind.DELIVERY, delivery_id)}"
    refused = api.post(f"{path}/retry")
    assert refused.status_code == 409
    assert "no longer allows 'default'" in refused.json["detail"]
    replayed = api.post(f"/tenants/{TENANT}/replays", {"filter": {}})
    assert replayed.status_code == 202
    pipeline.services.walking.walk()
    assert reasons(pipeline, endpoint_id) == {"residency": 1}

    regions(BOTH)
    assert api.post(f"{path}/retry").status_code == 202
    assert reasons(pipeline, endpoint_id) == {"pending": 1}


def test_widening_serves_again(pipeline, regions):
    endpoint_id = pipeline.endpoint()
    regions(EU)
    pipeline.forget_rings()

    regions(BOTH)

    assert pipeline.mailbox(endpoint_id).state == "active"
    assert pipeline.rung() == [endpoint_id]
    assert pipeline.delivery(pipeline.deliver_one()).status == "pending"
    pipeline.turns().take([endpoint_id])
    wait_until(lambda: pipeline.rows("SELECT FROM attempt"), 10, "it was tried")


@pytest.mark.parametrize(
    ("acts", "abroad", "opened"),
    [
        (["pause"], "abroad", "paused"),
        (["resume"], "abroad", "active"),
        (["pause", "resume"], "abroad", "active"),
        (["disable"], "disabled", "disabled"),
        (["disable", "resume"], "abroad", "active"),
    ],
)
def test_pausing_and_resuming_keep_it_right(pipeline, acts, abroad, opened):
    """Before narrowing or after it; widening brings out the endpoint's own state."""
    states, tenants = pipeline.services.endpoint_states, pipeline.services.tenants
    before, after = pipeline.endpoint(), pipeline.endpoint()

    def act_on(endpoint_id: UUID) -> None:
        for act in acts:
            arguments = ("gone",) if act == "disable" else ()
            getattr(states, act)(TENANT, endpoint_id, *arguments)

    act_on(before)
    tenants.change(TENANT, EU)
    act_on(after)
    assert pipeline.rows("SELECT state FROM mailbox") == [(abroad,)] * 2

    tenants.change(TENANT, BOTH)
    for table in ("mailbox", "endpoint"):
        assert pipeline.rows(f"SELECT state FROM {table}") == [(opened,)] * 2


def test_moving_to_an_allowed_region_serves_again(pipeline, regions):
    """A delivery is claimed by workers of its endpoint's region alone."""
    with receivers.Receiver(receivers.keep_alive()) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        regions(EU)
        pipeline.services.endpoints.change(TENANT, endpoint_id, {"region": "eu"})
        delivery_id = pipeline.deliver_one()

        pipeline.turns(region="default").take([endpoint_id])
        assert pipeline.mailbox(endpoint_id).lease_token is None
        pipeline.turns(region="eu").take([endpoint_id])
        assert pipeline.after_attempts(delivery_id).status == "delivered"
    assert pipeline.rung(region="eu") == [endpoint_id]


def test_why_it_was_not_sent(api, regions):
    """It says whether the region is allowed now, and what can be done."""
    pipeline = api.pipeline
    endpoint_id = pipeline.endpoint()
    (verdict,) = pipeline.accept(event())
    regions(EU)

    def told() -> dict:
        shown = ids.show(Kind.EVENT, verdict.id)
        (found,) = api.get(f"/tenants/{TENANT}/events/{shown}").json["endpoints"]
        return found

    found = told()
    assert (found["outcome"], found["reason"]) == ("dead_lettered", "residency")
    assert found["detail"].endswith("Nor does it now: 'default'.")
    regions(BOTH)
    assert "retry or replay" in told()["detail"]
    pipeline.services.endpoint_states.delete(TENANT, endpoint_id)
    assert told()["detail"] == "The tenant did not allow the endpoint's region."


def test_why_what_is_left_is_not_sent(api, regions):
    pipeline = api.pipeline
    pipeline.endpoint()
    (verdict,) = pipeline.accept(event())
    regions(EU)
    pipeline.do("UPDATE delivery SET status = 'pending', dead_reason = NULL")

    shown = ids.show(Kind.EVENT, verdict.id)
    (found,) = api.get(f"/tenants/{TENANT}/events/{shown}").json["endpoints"]

    assert found["outcome"] == "pending"
    assert "does not allow" in found["detail"]


def test_an_endpoint_abroad_can_be_deleted(pipeline, regions):
    endpoint_id = pipeline.endpoint()
    regions(EU)
    pipeline.services.endpoint_states.delete(TENANT, endpoint_id)
    assert pipeline.mailbox(endpoint_id).state == "deleted"
    regions(BOTH)
    assert pipeline.mailbox(endpoint_id).state == "deleted"


def test_pausing_what_is_disabled_is_a_conflict_as_ever(pipeline, regions):
    endpoint_id = pipeline.endpoint()
    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")
    regions(EU)
    with pytest.raises(Conflict):
        pipeline.services.endpoint_states.pause(TENANT, endpoint_id)
