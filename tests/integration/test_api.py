"""The API: what each path does when it is asked rightly."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.web.app import create_app
from tests.integration.receivers import Receiver, answer

TENANT = "acme"
ENDPOINTS = "/tenants/acme/endpoints"
EVENTS = "/tenants/acme/events"
DELIVERIES = "/tenants/acme/deliveries"
REJECTED = "/tenants/acme/rejected-events"
ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
#: Nobody listens there.
NOWHERE = "http://127.0.0.1:9009/hook"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
TIMES = {"created_at", "updated_at", "time", "accepted_at", "rejected_at"}


def test_a_tenant_lives_and_dies(api):
    made = api.post(
        "/tenants",
        {"id": "globex", "home_region": "eu", "allowed_regions": ["eu", "us"]},
    )
    assert made.status_code == 201
    assert made.json["name"] == "globex"
    assert all(MOMENT.match(made.json[name]) for name in ("created_at", "updated_at"))
    assert api.get("/tenants/globex").json == made.json

    changed = api.patch("/tenants/globex", {"name": "Globex", "home_region": "us"})
    assert changed.status_code == 200
    assert changed.json["name"] == "Globex"
    assert changed.json["updated_at"] > made.json["updated_at"]
    assert api.get("/tenants/globex").json == changed.json
    listed = [each["id"] for each in api.get("/tenants").json["items"]]
    assert listed == [TENANT, "globex"]

    assert api.delete("/tenants/globex").status_code == 204
    assert api.get("/tenants/globex").status_code == 404
    assert api.post("/tenants", {"id": "globex"}).status_code == 409


def test_an_endpoint_lives_and_dies_and_shows_its_secret_once(api):
    made = api.post(
        ENDPOINTS,
        {
            "url": NOWHERE,
            "description": "the test's",
            "event_types": ["budget.*", "key.rotated"],
            "headers": {"X-Team": "hunter2"},
            "timeout_s": 3,
            "max_in_flight": 7,
            "retry_schedule_s": [1, 2],
            "format": "standard",
            "ordering": "none",
            "rate_limit_per_s": None,
            "filter": None,
        },
    )
    assert made.status_code == 201
    shown = dict(made.json)
    secret = shown.pop("secret")
    assert secret.startswith("whsec_")
    assert shown["health"]["breaker"] == "closed"
    assert shown == {
        "id": shown["id"],
        "tenant_id": TENANT,
        "url": NOWHERE,
        "description": "the test's",
        "event_types": ["budget.*", "key.rotated"],
        "filter": None,
        "format": "standard",
        "signature": "v1",
        "public_key": None,
        "headers": {"X-Team": "[hidden]"},
        "timeout_s": 3,
        "rate_limit_per_s": None,
        "max_in_flight": 7,
        "ordering": "none",
        "retry_schedule_s": [1, 2],
        "region": "default",
        "state": "active",
        "disabled_reason": None,
        "secret_hints": shown["secret_hints"],
        "health": shown["health"],
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
    }
    path = f"{ENDPOINTS}/{shown['id']}"
    assert api.get(path).json == shown
    assert api.get(ENDPOINTS).json == {"items": [shown], "next_cursor": None}

    changed = api.patch(path, {"event_types": ["*"], "timeout_s": 4, "headers": {}})
    assert changed.status_code == 200
    assert changed.json == shown | {
        "event_types": ["*"],
        "timeout_s": 4,
        "headers": {},
        "updated_at": changed.json["updated_at"],
    }
    assert api.get(path).json == changed.json

    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.get(ENDPOINTS).json["items"] == []


def test_a_secret_is_replaced_with_an_overlap_or_at_once(api):
    path = f"{ENDPOINTS}/{api.endpoint()}"
    first = api.get(path).json["secret_hints"]

    second = api.post(f"{path}/rotate-secret")
    assert second.status_code == 200
    assert second.json["secret"].startswith("whsec_")
    assert len(second.json["secret_hints"]) == 2
    assert set(first) < set(second.json["secret_hints"])

    third = api.post(f"{path}/rotate-secret", {"overlap_s": 0})
    assert len(third.json["secret_hints"]) == 1
    assert third.json["secret"] != second.json["secret"]


def test_an_endpoint_is_paused_and_resumed(api):
    path = f"{ENDPOINTS}/{api.endpoint()}"
    assert api.post(f"{path}/pause").json["state"] == "paused"
    assert api.get(path).json["state"] == "paused"
    assert api.post(f"{path}/resume").json["state"] == "active"


def test_a_disabled_endpoint_cannot_be_paused_but_enabled(api):
    endpoint_id = api.endpoint()
    path = f"{ENDPOINTS}/{endpoint_id}"
    api.pipeline.services.endpoint_states.disable(
        TENANT, ids.read(Kind.ENDPOINT, endpoint_id), "gone"
    )
    assert api.get(path).json["disabled_reason"] == "gone"
    refused = api.post(f"{path}/pause")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    resumed = api.post(f"{path}/resume").json
    assert (resumed["state"], resumed["disabled_reason"]) == ("active", None)


def test_a_test_event_goes_to_one_endpoint_whatever_it_subscribes_to(api):
    endpoint_id = api.endpoint(event_types=["nothing.else"])
    api.endpoint()
    sent = api.post(f"{ENDPOINTS}/{endpoint_id}/test")
    assert sent.status_code == 202
    assert sent.json["deliveries"] == 1
    event = api.get(f"{EVENTS}/{sent.json['id']}").json
    assert event["type"] == "endpoint.test"
    assert [each["endpoint_id"] for each in event["deliveries"]] == [endpoint_id]


def test_one_event_is_published_and_shown_byte_for_byte(api, event):
    endpoint_id = api.endpoint()
    data = '{"spend":  103.20, "big": 1e400, "text": "é\\u0041"}'
    raw = event(data, subject="team/1", traceparent="00-1", time="2026-01-02T03:04:05Z")

    answered = api.publish_body(raw, f"{ONE}; charset=utf-8")

    assert answered.status_code == 202
    (accepted,) = answered.json["accepted"]
    assert accepted == {
        "id": accepted["id"],
        "source_id": "event-1",
        "duplicate": False,
        "deliveries": 1,
    }
    assert answered.json["rejected"] == []
    found = api.get(f"{EVENTS}/{accepted['id']}")
    assert b'"data":%b,' % data.encode() in found.data
    stored = api.pipeline.services.events.get(
        TENANT, ids.read(Kind.EVENT, accepted["id"])
    )
    assert stored.data == data.encode()
    shown = json.loads(found.data)
    assert shown["subject"] == "team/1"
    assert shown["traceparent"] == "00-1"
    assert shown["time"] == "2026-01-02T03:04:05.000Z"
    assert shown["data_available"] is True
    assert shown["size_bytes"] == len(data.encode())
    (delivery,) = shown["deliveries"]
    assert (delivery["endpoint_id"], delivery["status"]) == (endpoint_id, "pending")
    assert all(MOMENT.match(shown[name]) for name in TIMES & set(shown))


def test_a_batch_of_good_and_bad_events_keeps_both(api, event):
    """Also what a strict decoder refuses as a whole costs only itself."""
    deep = event("[" * 5000 + "]" * 5000, id="deep")
    answered = api.publish(
        event(id="1"),
        event(id="2", type=...),
        event(r'"\ud800"', id="3"),
        event("NaN", id="4"),
        deep,
        b"5",
        event('{"brackets": "]}[{,\\"" }', id="6"),
        event(id="1"),
        event(id="1", subject="other"),
    )

    assert answered.status_code == 202
    assert [
        (each["source_id"], each["duplicate"]) for each in answered.json["accepted"]
    ] == [("1", False), ("6", False), ("1", True)]
    first, _, again = answered.json["accepted"]
    assert first["id"] == again["id"]
    assert [(each["index"], each["code"]) for each in answered.json["rejected"]] == [
        (1, "missing_attribute"),
        (2, "lone_surrogate"),
        (3, "not_a_number"),
        (4, "too_deep"),
        (5, "not_an_object"),
        (8, "id_conflict"),
    ]
    assert all(each["detail"] for each in answered.json["rejected"])


def test_a_batch_has_a_path_of_its_own(api, event):
    """For generated clients, which know what to send by the path alone."""
    body = b"[%b,%b]" % (event(id="one"), event(id="two"))
    many = {"content_type": "application/cloudevents-batch+json"}
    answered = api.ask("POST", "/events/batch", data=body, **many)
    assert answered.status_code == 202
    assert [each["source_id"] for each in answered.json["accepted"]] == ["one", "two"]
    one = {"content_type": "application/cloudevents+json"}
    refused = api.ask("POST", "/events/batch", data=event(), **one)
    assert refused.status_code == 415


def test_data_of_a_batch_is_stored_byte_for_byte(api, event):
    datas = ['{"a" : 1.0,\n "b":[ ]}', "  null ", '"é \\u00e9"', "[1,  2]", "-0.0"]
    raws = [event(data, id=str(at)) for at, data in enumerate(datas)]
    accepted = api.publish_body(b" [ " + b" ,\n ".join(raws) + b" ]\n", MANY).json
    for data, each in zip(datas, accepted["accepted"], strict=True):
        stored = api.pipeline.services.events.get(
            TENANT, ids.read(Kind.EVENT, each["id"])
        )
        assert stored.data == data.strip().encode()


def test_nothing_accepted_is_422_with_the_reasons_and_is_kept(api, event):
    answered = api.publish(event(type=...), event(tenantid="nobody"))
    assert answered.status_code == 422
    assert answered.content_type == "application/problem+json"
    assert answered.json["code"] == "events_rejected"
    assert answered.json["accepted"] == []
    assert [each["index"] for each in answered.json["rejected"]] == [0, 1]
    assert api.pipeline.one("SELECT count(*) FROM rejected_event") == 2


def test_a_duplicate_alone_is_accepted(api, event):
    first = api.publish_body(event(), ONE).json["accepted"][0]
    again = api.publish_body(event(), ONE)
    assert again.status_code == 202
    assert again.json["accepted"] == [first | {"duplicate": True, "deliveries": 0}]


def test_a_tenants_key_publishes_for_its_tenant_alone(api, event):
    api.post("/tenants", {"id": "globex"})
    publisher = api.as_(Role.PUBLISHER, TENANT)
    answered = publisher.publish(event(id="1"), event(id="2", tenantid="globex"))
    assert [each["source_id"] for each in answered.json["accepted"]] == ["1"]
    assert answered.json["rejected"][0]["code"] == "tenant_not_permitted"


def test_the_catalogue_is_listed_and_each_type_of_it_shown(api):
    first = api.get("/event-types?limit=3").json
    rest = api.get(f"/event-types?limit=200&cursor={first['next_cursor']}").json
    types = [each["type"] for each in first["items"] + rest["items"]]
    assert types == sorted(set(types))
    assert {"request.completed", "budget.exceeded", "endpoint.test"} <= set(types)
    assert rest["next_cursor"] is None
    budgets = api.get("/event-types?group=budget").json["items"]
    assert {each["group"] for each in budgets} == {"budget"}
    shown = api.get("/event-types/endpoint.test").json
    assert shown["sender"] == "ascwebhooks"
    assert shown["schema"]["$schema"].endswith("2020-12/schema")
    assert shown["example"].keys() == shown["schema"]["properties"].keys()
    assert api.get("/event-types/my.own").json["code"] == "not_found"


def test_events_are_found_by_type_source_id_and_time(api, event):
    api.publish(event(id="1"), event(id="2", type="key.rotated"))
    now = datetime.now(UTC)

    def found(**query):
        items = api.get(EVENTS, query_string=query).json["items"]
        return [each["source_id"] for each in items]

    hour = timedelta(hours=1)
    assert sorted(found()) == ["1", "2"]
    assert found(type="key.rotated") == ["2"]
    assert found(source_id="1") == ["1"]
    assert found(since=(now + hour).isoformat()) == []
    assert found(until=(now - hour).isoformat()) == []
    assert len(found(since=(now - hour).isoformat(), until=now + hour)) == 2


def test_deliveries_are_found_by_status_endpoint_type_and_time(api, event):
    one, two = api.endpoint(), api.endpoint(event_types=["key.*"])
    api.publish(event(id="1"), event(id="2", type="key.rotated"))
    api.delete(f"{ENDPOINTS}/{two}")

    def found(**query):
        return len(api.get(DELIVERIES, query_string=query).json["items"])

    assert found() == 3
    assert found(status="pending") == 2
    assert found(status="dead_lettered") == 1
    assert found(endpoint_id=one) == 2
    assert found(event_type="key.rotated") == 2
    assert found(since="2099-01-01T00:00:00Z") == 0
    (dead,) = api.get(f"{DELIVERIES}?status=dead_lettered").json["items"]
    assert dead["dead_reason"] == "endpoint_deleted"
    assert dead["next_attempt_at"] is None
    assert MOMENT.match(dead["completed_at"])


def test_a_delivery_shows_what_was_sent_and_what_came_back(api, event, pipeline):
    reply = b"HTTP/1.1 503 No\r\nContent-Length: 5\r\nX-Why: busy\r\n\r\nlater"
    with Receiver(answer(reply)) as receiver:
        endpoint = pipeline.endpoint(receiver.url(), headers={"X-Team": "hunter2"})
        delivery_id = pipeline.deliver_one('{"a":  1}')
        pipeline.turns().take([endpoint])
        pipeline.after_attempts(delivery_id)

    shown = api.get(f"{DELIVERIES}/{ids.show(Kind.DELIVERY, delivery_id)}").json

    assert shown["status"] == "pending"
    assert (shown["last_status_code"], shown["last_error"]) == (503, "http_status")
    (attempt,) = shown["attempts"]
    assert (attempt["status_code"], attempt["error"]) == (503, "http_status")
    assert attempt["id"].startswith("att_")
    assert attempt["address"].startswith("127.0.0.1:")
    assert attempt["response_body"] == "later"
    assert attempt["response_truncated"] is False
    assert ["X-Why", "busy"] in attempt["response_headers"]
    sent = dict(attempt["request_headers"])
    assert sent["X-Team"] == "[hidden]"
    assert sent["webhook-id"] == shown["event_id"]
    assert '"data":{"a":  1}' in attempt["request_body"]
    timings = attempt["timings_ms"]
    assert set(timings) == {"dns", "connect", "tls", "first_byte", "total"}
    assert timings["total"] >= timings["first_byte"] > 0
    assert MOMENT.match(attempt["started_at"])


def test_the_words_of_the_network_are_for_the_platforms_operators(api, event, pipeline):
    endpoint = pipeline.endpoint(NOWHERE)
    delivery_id = pipeline.deliver_one()
    pipeline.turns().take([endpoint])
    pipeline.after_attempts(delivery_id)
    path = f"{DELIVERIES}/{ids.show(Kind.DELIVERY, delivery_id)}"

    def detail(reader):
        (attempt,) = reader.get(path).json["attempts"]
        assert attempt["error"] == "connect_error"
        return attempt["detail"]

    assert detail(api)
    assert detail(api.as_(Role.OPERATOR))
    assert detail(api.as_(Role.VIEWER)) is None
    assert detail(api.as_(Role.ADMIN, TENANT)) is None


def test_a_retry_makes_a_delivery_due_now(api, event, pipeline):
    endpoint_id = api.endpoint()
    shown = ids.show(Kind.DELIVERY, pipeline.deliver_one())
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', step = 10,"
        " next_attempt_at = now() - interval '1 day'"
    )
    retried = api.post(f"{DELIVERIES}/{shown}/retry")
    assert retried.status_code == 202
    assert (retried.json["id"], retried.json["status"]) == (shown, "pending")
    assert retried.json["next_attempt_at"] > "2026"

    api.delete(f"{ENDPOINTS}/{endpoint_id}")
    refused = api.post(f"{DELIVERIES}/{shown}/retry")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")


def test_rejected_events_are_read_and_deleted_by_their_tenant(api, event):
    raw = event(type=...)
    api.publish(raw)
    tenant = api.as_(Role.ADMIN, TENANT)
    (listed,) = tenant.get(REJECTED).json["items"]
    assert listed["code"] == "missing_attribute"
    assert (listed["via"], listed["claimed_tenant"]) == ("http", TENANT)
    assert MOMENT.match(listed["rejected_at"])
    path = f"{REJECTED}/{listed['id']}"
    assert tenant.get(path).json == listed | {"raw": raw.decode()}
    assert tenant.delete(path).status_code == 204
    assert tenant.get(path).status_code == 404


def test_rejected_events_of_nobodys_are_the_platforms(api, event):
    api.publish(event(type=...), event(tenantid="nobody"), b'{"id": "\xff"}')
    assert len(api.get(REJECTED).json["items"]) == 1
    listed = api.get("/rejected-events").json["items"]
    assert sorted(str(each["tenant_id"]) for each in listed) == ["None", "None", TENANT]
    for each in listed:
        assert api.get(f"/rejected-events/{each['id']}").json["raw"]
        assert api.delete(f"/rejected-events/{each['id']}").status_code == 204
    assert api.get("/rejected-events").json["items"] == []


def test_a_key_lives_and_dies(api):
    made = api.post("/keys", {"role": "viewer", "name": "ci", "expires_in_s": 3600})
    assert made.status_code == 201
    shown = dict(made.json)
    key = shown.pop("key")
    assert key.startswith(shown["shown"])
    assert (shown["role"], shown["tenant_id"], shown["name"]) == ("viewer", None, "ci")
    assert MOMENT.match(shown["expires_at"])
    assert shown in api.get("/keys").json["items"]
    holder = api.with_key(key)
    assert holder.get("/tenants").status_code == 200

    assert api.delete(f"/keys/{shown['id']}").status_code == 204
    assert holder.get("/tenants").status_code == 401
    listed = {each["id"]: each for each in api.get("/keys").json["items"]}
    assert MOMENT.match(listed[shown["id"]]["revoked_at"])


def test_a_tenants_administrator_manages_its_own_tenants_keys_alone(api):
    api.post("/tenants", {"id": "globex"})
    theirs = api.post("/keys", {"role": "viewer", "tenant_id": "globex"}).json
    platforms = api.post("/keys", {"role": "viewer"}).json
    admin = api.as_(Role.ADMIN, TENANT)

    made = admin.post("/keys", {"role": "operator"})
    assert made.json["tenant_id"] == TENANT, "never one for all tenants"
    asked = admin.post("/keys", {"role": "operator", "tenant_id": None})
    assert asked.json["tenant_id"] == TENANT
    assert {each["tenant_id"] for each in admin.get("/keys").json["items"]} == {TENANT}
    for other in (theirs, platforms):
        assert admin.delete(f"/keys/{other['id']}").status_code == 404
    refused = admin.post("/keys", {"role": "viewer", "tenant_id": "globex"})
    unknown = admin.post("/keys", {"role": "viewer", "tenant_id": "nobody"})
    assert refused.status_code == unknown.status_code == 404
    assert refused.json["code"] == unknown.json["code"]
    assert api.with_key(theirs["key"]).get("/tenants").status_code == 200


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (ENDPOINTS, "id"),
        (EVENTS, "id"),
        (DELIVERIES, "id"),
        ("/tenants", "id"),
        ("/keys", "id"),
        ("/rejected-events", "id"),
    ],
)
def test_120_rows_are_paged_through_once_each(api, event, path, keys):
    services = api.pipeline.services
    for at in range(120):
        services.tenants.create(f"tenant-{at:03}")
    for _ in range(119):
        api.as_(Role.VIEWER)
    for _ in range(119):
        api.endpoint(event_types=[])
    api.endpoint(event_types=["budget.*"])
    api.publish(*(event(id=str(at)) for at in range(120)))
    api.publish(*(event(id=str(at), type=...) for at in range(120)))

    sizes, seen, cursor = [], [], None
    while True:
        query = {"limit": 50} | ({} if cursor is None else {"cursor": cursor})
        answered = api.get(path, query_string=query).json
        sizes.append(len(answered["items"]))
        seen += [each[keys] for each in answered["items"]]
        cursor = answered["next_cursor"]
        if cursor is None:
            break

    total = len(seen)
    assert total in (120, 121)
    assert sizes == [50, 50, total - 100]
    assert len(set(seen)) == total
    newest_last = path == "/tenants"
    assert seen == sorted(seen, reverse=not newest_last)
    assert len(api.get(path).json["items"]) == 50, "the default"
    assert len(api.get(f"{path}?limit=200").json["items"]) == total


def test_the_process_says_that_it_is_alive_and_ready(api):
    nobody = api.with_key(None)
    assert nobody.get("!/healthz").json == {"status": "ok"}
    ready = nobody.get("!/readyz")
    assert ready.status_code == 200
    assert {each["check"]: each["well"] for each in ready.json["checks"]} == {
        "database": True,
        "migrations": True,
        "broker": True,
        "keys": True,
    }


def test_without_its_database_it_is_alive_but_not_ready_and_tells_no_secrets(
    make_pipeline,
):
    pipeline = make_pipeline(
        database_url="postgresql://someone:hunter2@127.0.0.1:1/nowhere"
    )
    client = create_app(pipeline.services, pipeline.settings).test_client()

    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    unwell = {each["check"] for each in ready.json["checks"] if not each["well"]}
    assert "database" in unwell
    for secret in (b"hunter2", b"someone", b"127.0.0.1", b"nowhere"):
        assert secret not in ready.data
    refused = client.get("/api/v1/tenants", headers={"Authorization": "Bearer x"})
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert refused.json["code"] == "unavailable"
