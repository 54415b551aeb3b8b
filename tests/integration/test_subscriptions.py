"""Subscriptions through the API: filters, previews, and why an event was not sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.services import explanations

TENANT = "acme"
T = f"/tenants/{TENANT}"
SUBS = f"{T}/subscriptions"


@pytest.fixture
def send(api, event):
    """Publish one event; return its verdict."""
    count = iter(range(10_000))

    def send(data: str = "{}", **attributes):
        raw = event(data, id=f"e{next(count)}", **attributes)
        (verdict,) = api.publish(raw).json["accepted"]
        return verdict

    return send


@pytest.fixture
def subscribe(api):
    """Create a subscription; return its id."""

    def subscribe(endpoint_id: str, filter: str | None = None, **more) -> str:
        body = {"endpoint_id": endpoint_id, "event_types": ["*"], "filter": filter}
        made = api.post(SUBS, {**body, **more})
        assert made.status_code == 201, made.json
        return made.json["id"]

    return subscribe


@pytest.fixture
def why(api):
    """What became of an event, by endpoint."""

    def why(verdict):
        shown = api.get(f"{T}/events/{verdict['id']}").json
        assert shown["more_endpoints"] is False
        return {each["endpoint_id"]: each for each in shown["endpoints"]}

    return why


def not_sent(api, verdict):
    return api.pipeline.one(
        "SELECT not_sent FROM event WHERE id = :id",
        id=ids.read(Kind.EVENT, verdict["id"]),
    )


def test_a_subscription_lives_changes_and_dies(api, send):
    endpoint_id = api.endpoint(event_types=())
    made = api.post(
        SUBS,
        {
            "endpoint_id": endpoint_id,
            "event_types": ["budget.*"],
            "filter": "data.spend > 9",
        },
    )
    assert made.status_code == 201
    shown = made.json
    assert shown == {
        "id": shown["id"],
        "tenant_id": TENANT,
        "endpoint_id": endpoint_id,
        "event_types": ["budget.*"],
        "filter": "data.spend > 9",
        "enabled": True,
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
    }
    path = f"{SUBS}/{shown['id']}"
    assert api.get(path).json == shown
    assert send('{"spend": 9}')["deliveries"] == 0
    assert send('{"spend": 10}')["deliveries"] == 1
    assert send('{"spend": 10}', type="key.rotated")["deliveries"] == 0

    changed = api.patch(path, {"filter": None, "event_types": ["key.*"]})
    assert (changed.json["filter"], changed.json["event_types"]) == (None, ["key.*"])
    assert send(type="key.rotated")["deliveries"] == 1, "from the next batch on"
    assert api.patch(path, {"enabled": False}).json["enabled"] is False
    assert send(type="key.rotated")["deliveries"] == 0

    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.patch(path, {}).status_code == 404
    assert api.get(SUBS).json["items"] == []


def test_the_list_is_filtered_and_paged(api, subscribe):
    one, two = api.endpoint(event_types=()), api.endpoint(event_types=())
    made = [
        subscribe(one, event_types=["budget.*"]),
        subscribe(one, event_types=["a_c", "100%"]),
        subscribe(two, event_types=["*"]),
    ]

    def found(query: str) -> list[str]:
        return [each["id"] for each in api.get(f"{SUBS}?{query}").json["items"]]

    assert found("") == made[::-1], "the newest first"
    assert found(f"endpoint_id={one}") == [made[1], made[0]]
    assert found("event_type=budget.exceeded") == [made[2], made[0]]
    assert found("event_type=budget.*") == [made[2], made[0]]
    assert found("event_type=abc") == [made[2]], "'_' stands for itself"
    assert found("event_type=a_c") == [made[2], made[1]]
    assert found("event_type=100x") == [made[2]], "so does '%'"

    first = api.get(f"{SUBS}?limit=2").json
    rest = api.get(f"{SUBS}?limit=2&cursor={first['next_cursor']}").json
    assert [each["id"] for each in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


BAD = [
    ({"event_types": []}, "event_types"),
    ({"event_types": ["a b"]}, "event_types"),
    ({"event_types": None}, "event_types"),
    ({"filter": "data.x.map(i, i)"}, "filter"),
    ({"filter": "x" * 1025}, "filter"),
    ({"filter": 1}, "filter"),
    ({"filter": ""}, "filter"),
    ({"enabled": "yes"}, "enabled"),
    ({"enabled": None}, "enabled"),
    ({"priority": 1}, "priority"),
]


def test_bad_input_is_refused_and_the_field_is_named(api, subtests, subscribe):
    endpoint_id = api.endpoint(event_types=())
    path = f"{SUBS}/{subscribe(endpoint_id)}"
    before = api.get(SUBS).json
    whole = {"endpoint_id": endpoint_id, "event_types": ["*"]}
    for body, field in [*BAD, ({"endpoint_id": "ep_1"}, "endpoint_id")]:
        with subtests.test(repr(body)):
            refused = [api.post(SUBS, {**whole, **body}), api.patch(path, body)]
            assert [each.status_code for each in refused] == [422, 422]
            assert {field} == {name for each in refused for name in each.json["errors"]}
    for missing in whole:
        body = {name: whole[name] for name in whole if name != missing}
        assert list(api.post(SUBS, body).json["errors"]) == [missing]
    assert api.get(SUBS).json == before


def test_a_refused_filter_says_where_the_fault_is(api):
    body = {"endpoint_id": api.endpoint(), "event_types": ["*"]}
    refused = api.post(SUBS, {**body, "filter": "true &&\n  spend > 1"})
    assert refused.status_code == 422
    assert (refused.json["line"], refused.json["column"]) == (2, 3)
    assert refused.json["errors"] == {"filter": [refused.json["detail"]]}
    assert "'spend' is unknown" in refused.json["detail"]


def test_an_endpoint_of_another_tenant_cannot_be_subscribed(api):
    """404, the same as for one that there is not; and nothing is written."""
    api.post("/tenants", {"id": "globex"})
    body = {"endpoint_id": api.endpoint(event_types=()), "event_types": ["*"]}
    unknown = {**body, "endpoint_id": "ep_01kb0c6v4ze8tbc5t6q1s2n3xy"}
    other = api.as_(Role.ADMIN, "globex")
    answers = [
        other.post("/tenants/globex/subscriptions", each) for each in (body, unknown)
    ]
    assert [each.status_code for each in answers] == [404, 404]
    assert api.pipeline.one("SELECT count(*) FROM subscription") == 0


def test_an_endpoint_gets_an_event_once_however_many_take_it(api, send, subscribe):
    endpoint_id = api.endpoint()
    for text in ("true", "false", "data.gone > 1", None):
        subscribe(endpoint_id, text)
    verdict = send()
    assert verdict["deliveries"] == 1
    assert not_sent(api, verdict) is None, "it got it: nothing to explain"


@pytest.mark.parametrize(
    "text",
    ["data.n / 0 == 1", "data.gone == 1", "data.word > 1", "timestamp('a') < time"],
)
def test_an_error_is_no_match_and_stands_on_the_event(api, send, subscribe, why, text):
    failing, fine = api.endpoint(event_types=()), api.endpoint()
    subscription_id = subscribe(failing, text)
    verdict = send('{"n": 1, "word": "a"}')

    assert verdict["deliveries"] == 1, "the others get it all the same"
    failed = not_sent(api, verdict)["failed"]
    assert list(failed) == [subscription_id]
    explained = why(verdict)
    assert explained[fine]["outcome"] == "pending"
    told = explained[failing]
    assert (told["outcome"], told["error"]) == (
        "filter_failed",
        failed[subscription_id],
    )
    assert (told["subscription_id"], told["filter"]) == (subscription_id, text)


def test_what_no_filter_is_asked_about_no_filter_can_fail_on(api, send, subscribe):
    """Filters of other types, of disabled subscriptions, of endpoints that take all."""
    plain = api.endpoint()
    subscribe(plain, "data.n == 1")
    subscribe(api.endpoint(event_types=()), "true", event_types=["key.*"])
    subscribe(api.endpoint(event_types=()), "true", enabled=False)

    verdict = send("1e999")
    assert verdict["deliveries"] == 1
    assert not_sent(api, verdict) is None
    asked = send("1e999", type="key.rotated")
    assert len(not_sent(api, asked)["failed"]) == 1, "this one could not be read"


def test_a_stored_filter_that_is_no_filter_stops_nobody(api, send, subscribe):
    subscribe(api.endpoint(event_types=()), "true")
    api.endpoint()
    api.pipeline.do("UPDATE subscription SET filter = 'a.map(' WHERE filter = 'true'")
    api.post(f"{T}/endpoints", {"url": "http://127.0.0.1:9009/x"})  # a new version
    verdict = send()
    assert verdict["deliveries"] == 1
    assert len(not_sent(api, verdict)["failed"]) == 1


def test_an_endpoints_own_filter_is_its_subscriptions(api, send):
    made = api.post(
        f"{T}/endpoints",
        {
            "url": "http://127.0.0.1:9009/x",
            "event_types": ["budget.*"],
            "filter": "data.n == 1",
        },
    ).json
    path = f"{T}/endpoints/{made['id']}"
    assert (made["filter"], made["event_types"]) == ("data.n == 1", ["budget.*"])
    (subscription,) = api.get(SUBS).json["items"]

    changed = api.patch(path, {"event_types": ["*"]}).json
    assert (changed["filter"], changed["event_types"]) == ("data.n == 1", ["*"])
    changed = api.patch(path, {"filter": "data.n == 2"}).json
    assert (changed["filter"], changed["event_types"]) == ("data.n == 2", ["*"])
    assert [send(f'{{"n": {n}}}')["deliveries"] for n in (1, 2)] == [0, 1]
    (same,) = api.get(SUBS).json["items"]
    assert same["id"] == subscription["id"], "events name it"
    assert api.patch(path, {"filter": None}).json["filter"] is None
    assert send('{"n": 1}')["deliveries"] == 1

    api.post(SUBS, {"endpoint_id": made["id"], "event_types": ["x"], "filter": "true"})
    assert api.get(path).json["filter"] is None, "it has several"
    assert api.patch(path, {"filter": "false"}).status_code == 409
    assert len(api.get(SUBS).json["items"]) == 2, "nothing was changed"
    replaced = api.patch(path, {"event_types": ["y"], "filter": "false"}).json
    assert (replaced["filter"], replaced["event_types"]) == ("false", ["y"])
    assert api.patch(path, {"event_types": []}).json["filter"] is None
    assert api.patch(path, {"filter": "true"}).status_code == 422, "for no types"
    assert api.get(SUBS).json["items"] == []


def test_a_preview_says_which_of_the_last_events_would_have_matched(api, send):
    sent = [
        send('{"spend": 5}'),
        send('{"spend": 50}'),
        send('{"spend": "much"}'),
        send('{"spend": 50}', type="key.rotated"),
    ]
    body = {"event_types": ["budget.*"], "filter": "data.spend > 9"}
    shown = api.post(f"{SUBS}/preview", body).json
    assert [each["event_id"] for each in shown["items"]] == [
        each["id"] for each in reversed(sent)
    ]
    assert [each["matched"] for each in shown["items"]] == [False, False, True, False]
    errors = [each["error"] for each in shown["items"]]
    assert errors == [None, errors[1], None, None]
    assert errors[1].startswith("the types do not go together")
    assert shown["counts"] == {"events": 4, "matched": 1, "failed": 1}
    assert "much" not in json.dumps(shown), "no payload is shown"

    last = api.post(f"{SUBS}/preview", {"limit": 1}).json
    assert last["counts"] == {"events": 1, "matched": 1, "failed": 0}
    assert api.get(SUBS).json["items"] == [], "nothing was made"


def test_a_preview_of_what_is_no_subscription_is_refused(api, subtests):
    for body, field in [
        ({"filter": "a +"}, "filter"),
        ({"event_types": []}, "event_types"),
        ({"limit": 101}, "limit"),
        ({"limit": 0}, "limit"),
    ]:
        with subtests.test(repr(body)):
            refused = api.post(f"{SUBS}/preview", body)
            assert refused.status_code == 422
            assert list(refused.json["errors"]) == [field]


def test_a_preview_of_events_whose_key_was_destroyed_says_so(api, send):
    send('{"n": 1}')
    api.pipeline.do("DELETE FROM data_key WHERE scope <> 'secrets'")
    api.pipeline.services.previews._sealing._keys.clear()
    shown = api.post(f"{SUBS}/preview", {"filter": "data.n == 1"}).json
    assert shown["counts"] == {"events": 1, "matched": 0, "failed": 1}
    assert "key" in shown["items"][0]["error"]


def state(api, endpoint_id: str, **values: object) -> None:
    """Set an endpoint's delivery to how a worker would have left it."""
    sets = ", ".join(f"{name} = :{name}" for name in values)
    changed = api.pipeline.do(
        f"UPDATE delivery SET {sets} WHERE endpoint_id = :endpoint",
        endpoint=ids.read(Kind.ENDPOINT, endpoint_id),
        **values,
    )
    assert changed == 1


def test_why_not_has_an_answer_for_each_endpoint(api, send, subscribe, why):
    """Every outcome that there is, in one event."""
    names = [
        "delivered",
        "pending",
        "dead",
        "cancelled",
        "paused",
        "disabled",
        "deleted",
    ]
    at = {name: api.endpoint() for name in names}
    at["other"] = api.endpoint(event_types=["key.*"])
    at["off"] = api.endpoint(event_types=())
    subscribe(at["off"], enabled=False)
    at["filtered"] = api.endpoint(event_types=())
    kept_back = subscribe(at["filtered"], "data.n > 1")
    at["failed"] = api.endpoint(event_types=())
    subscribe(at["failed"], "data.n > 1")
    broken = subscribe(at["failed"], "data.gone > 1")
    api.post(f"{T}/endpoints/{at['paused']}/pause")
    disable = api.pipeline.services.endpoint_states.disable
    disable(TENANT, ids.read(Kind.ENDPOINT, at["disabled"]), "the test's")

    verdict = send('{"n": 1}')
    later = datetime.now(UTC) + timedelta(hours=1)
    ended = datetime.now(UTC)
    state(api, at["delivered"], status="delivered", completed_at=ended)
    state(
        api, at["pending"], next_attempt_at=later, attempt_count=2, last_error="timeout"
    )
    state(api, at["cancelled"], status="cancelled", completed_at=ended)
    state(
        api,
        at["dead"],
        status="dead_lettered",
        dead_reason="attempts_exhausted",
        last_error="http_status",
        completed_at=ended,
    )
    api.delete(f"{T}/endpoints/{at['deleted']}")
    at["later"] = api.endpoint()

    told = why(verdict)
    assert set(told) == set(at.values())
    assert {name: told[at[name]]["outcome"] for name in at} == {
        "delivered": "delivered",
        "pending": "pending",
        "dead": "dead_lettered",
        "cancelled": "cancelled",
        "paused": "paused",
        "disabled": "dead_lettered",
        "deleted": "dead_lettered",
        "other": "not_subscribed",
        "off": "not_subscribed",
        "filtered": "filtered",
        "failed": "filter_failed",
        "later": "created_later",
    }
    assert all(each["detail"] for each in told.values())
    assert told[at["delivered"]]["at"]
    assert told[at["pending"]]["next_attempt_at"] > told[at["delivered"]]["at"]
    assert told[at["pending"]]["error"] == "timeout"
    assert told[at["paused"]]["next_attempt_at"]
    assert told[at["dead"]]["reason"] == "attempts_exhausted"
    assert told[at["disabled"]]["reason"] == "endpoint_disabled"
    assert told[at["deleted"]]["reason"] == "endpoint_deleted"
    assert (
        told[at["filtered"]]["subscription_id"],
        told[at["filtered"]]["filter"],
        told[at["filtered"]]["filter_changed"],
    ) == (kept_back, "data.n > 1", False)
    assert told[at["failed"]]["subscription_id"] == broken, "the failure goes first"

    state(api, at["disabled"], status="pending", dead_reason=None)
    assert why(verdict)[at["disabled"]]["outcome"] == "disabled"


def test_a_filter_that_was_changed_since_says_so(api, send, subscribe, why):
    endpoint_id = api.endpoint(event_types=())
    subscription_id = subscribe(endpoint_id, "data.n > 1")
    verdict = send('{"n": 1}')
    api.patch(f"{SUBS}/{subscription_id}", {"filter": "data.n > 0"})
    told = why(verdict)[endpoint_id]
    assert (told["outcome"], told["filter"]) == ("filtered", "data.n > 0")
    assert told["filter_changed"] is True


def test_a_subscription_made_since_is_told_from_none(api, send, subscribe, why):
    endpoint_id = api.endpoint(event_types=())
    verdict = send()
    assert "No enabled" in why(verdict)[endpoint_id]["detail"]
    subscribe(endpoint_id)
    told = why(verdict)[endpoint_id]
    assert told["outcome"] == "not_subscribed"
    assert "now" in told["detail"]


def test_a_test_event_is_for_one_endpoint_whatever_filters_say(api, subscribe, why):
    meant, other = api.endpoint(event_types=()), api.endpoint()
    subscribe(meant, "false")
    told = why(api.post(f"{T}/endpoints/{meant}/test").json)
    assert (told[meant]["outcome"], told[other]["outcome"]) == (
        "pending",
        "not_subscribed",
    )


WINDOW = ids.window(datetime.now(UTC), timedelta(days=30))


def test_endpoints_beyond_the_limit_are_admitted(api, send):
    """Those that the event was sent to come first."""
    sent = api.endpoint()
    others = [api.endpoint(event_types=()) for _ in range(3)]
    event_id = ids.read(Kind.EVENT, send()["id"])

    def explained(limit: int):
        with api.pipeline.uow() as uow:
            event = uow.events.find(TENANT, event_id)
            found = uow.deliveries.of_event(TENANT, event_id)
            made = explanations.explain(uow, event, found, window=WINDOW, limit=limit)
        shown = [ids.show(Kind.ENDPOINT, each.endpoint_id) for each in made.items]
        return shown, made.more

    assert explained(4) == ([sent, *others[::-1]], False)
    assert explained(3) == ([sent, others[2], others[1]], True)
    assert explained(1) == ([sent], True)


def test_endpoints_of_another_tenant_are_not_in_the_answer(api, send, why):
    api.post("/tenants", {"id": "globex"})
    theirs = api.endpoint(tenant_id="globex")
    assert theirs not in why(send())
