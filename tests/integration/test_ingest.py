"""Gateways that do not speak CloudEvents: LiteLLM by HTTP, and others by a mapping."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections import Counter
from decimal import Decimal

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.errors import MappingInvalid
from ascwebhooks.services.sealing import Sealing
from tests.integration import recorded_litellm as recorded
from tests.integration.pipeline import TENANT
from tests.integration.private import everything

LITELLM = "/ingest/litellm"
ALERTS = "/ingest/litellm/alerts"
TRACES = "/otlp/v1/traces"
TENANTS = ("northwind", "contoso-health", "unattributed")


@pytest.fixture
def gateway(api):
    """Somebody who may publish for all tenants of the recording."""
    for tenant in TENANTS:
        api.pipeline.services.tenants.create(tenant)
        api.pipeline.endpoint(tenant_id=tenant)
    api.pipeline.endpoint()
    return api.as_(Role.PUBLISHER)


def opened(pipeline) -> bytes:
    return everything(
        pipeline.engine, Sealing(pipeline.uow, pipeline.parts.ring, os.urandom)
    )


def lines(records) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in records)


@pytest.mark.parametrize("as_lines", [False, True], ids=["a list", "in lines"])
def test_what_litellm_logs_becomes_events_without_their_prompts(
    gateway, as_lines, capfd
):
    """As LiteLLM sends it, which calls JSON Lines application/json."""
    found = recorded.payloads()
    body = lines(found) if as_lines else json.dumps(found).encode()

    answer = gateway.post(LITELLM, data=body, content_type="application/json")

    assert answer.status_code == 202, answer.json
    assert (len(answer.json["accepted"]), answer.json["rejected"]) == (261, [])
    events = answer.json["accepted"]
    assert len({each["source_id"] for each in events}) == 261
    api = gateway.as_(Role.VIEWER)
    total = Decimal()
    types: Counter[str] = Counter()
    for tenant in TENANTS:
        cursor = ""
        while cursor is not None:
            page = api.get(f"/tenants/{tenant}/events?limit=200{cursor}").json
            for each in page["items"]:
                types[each["type"]] += 1
                whole = api.get(f"/tenants/{tenant}/events/{each['id']}").json
                cost = whole["data"].get("cost", {"amount": "0"})
                total += Decimal(cost["amount"])
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert total == recorded.spend(found)
    assert types["policy.violation_blocked"] == 13
    everything_there = opened(gateway.pipeline) + capfd.readouterr().out.encode()
    assert b"chatcmpl-210c1cd3" in everything_there
    assert list(recorded.leaks(everything_there)) == []


def test_the_same_again_is_a_duplicate(gateway):
    some = recorded.payloads()[:10]
    gateway.post(LITELLM, some)

    again = gateway.post(LITELLM, some)

    assert again.status_code == 202
    assert {each["duplicate"] for each in again.json["accepted"]} == {True}


def test_what_is_refused_is_kept_without_what_came(gateway):
    """A row for each, with the reason; the prompt beside it is nowhere."""
    good = recorded.payloads()[0]
    bad = [
        {"messages": [{"content": "my ssn is 123-45-6789"}]},
        {"id": "call-1", "status": "odd", "messages": "write a test"},
        ["translate to French"],
        good,
    ]

    answer = gateway.post(
        LITELLM,
        data=lines(bad) + b'\n{"messages": "def f(): return 1"',
        content_type="application/x-ndjson",
    )

    assert answer.status_code == 202, answer.json
    assert [each["index"] for each in answer.json["rejected"]] == [0, 1, 2, 4]
    assert {each["code"] for each in answer.json["rejected"]} == {"not_mapped"}
    assert len(answer.json["accepted"]) == 1
    assert gateway.pipeline.one("SELECT count(*) FROM rejected_event") == 4
    assert list(recorded.leaks(opened(gateway.pipeline))) == []

    nothing = gateway.post(LITELLM, bad[:2])
    assert nothing.status_code == 422
    assert nothing.json["code"] == "events_rejected"


def test_an_event_that_is_refused_later_is_kept_stripped(api):
    """There are no such tenants: each row holds the event, not the record."""
    gateway = api.as_(Role.PUBLISHER)

    answer = gateway.post(LITELLM, recorded.payloads()[:50])

    assert {each["code"] for each in answer.json["rejected"]} == {"unknown_tenant"}
    found = opened(api.pipeline)
    assert b"gen_ai.request.model" in found
    assert list(recorded.leaks(found)) == []


def test_a_tenants_key_makes_all_of_it_the_tenants(gateway):
    own = gateway.as_(Role.PUBLISHER, TENANT)

    answer = own.post(LITELLM, recorded.payloads()[:50])

    assert answer.status_code == 202
    assert answer.json["rejected"] == []
    assert gateway.pipeline.rows("SELECT DISTINCT tenant_id FROM event") == [(TENANT,)]
    assert own.post(f"{LITELLM}?tenant=northwind", []).status_code == 404


@pytest.mark.parametrize(
    ("query", "tenants"),
    [
        pytest.param(f"tenant={TENANT}", {TENANT}, id="all are one's"),
        pytest.param("tenant_by=team", {"support"}, id="the team's"),
    ],
)
def test_the_url_may_say_whose_it_is(gateway, query, tenants):
    gateway.pipeline.services.tenants.create("support")
    gateway.pipeline.endpoint(tenant_id="support")
    one = recorded.payloads()[1]

    answer = gateway.post(f"{LITELLM}?{query}", [one])

    assert answer.status_code == 202, answer.json
    found = gateway.pipeline.rows("SELECT DISTINCT tenant_id FROM event")
    assert {each for (each,) in found} == tenants
    assert gateway.post(f"{LITELLM}?tenant_by=key", [one]).status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"my ssn is 123-45-6789", 400, id="not JSON"),
        pytest.param(b"[" * 100_000, 400, id="too deep"),
        pytest.param(b"\xff{}", 400, id="not UTF-8"),
        pytest.param(b"[" + b"{}," * 1000 + b"{}]", 413, id="too many"),
        pytest.param(b'{"a": "' + b"x" * 34_000_000 + b'"}', 413, id="too large"),
    ],
)
def test_a_body_that_cannot_be_read_leaves_nothing(gateway, body, status):
    answer = gateway.post(LITELLM, data=body, content_type="application/json")

    assert answer.status_code == status, answer.json
    assert b"123-45" not in answer.data
    assert gateway.pipeline.one("SELECT count(*) FROM rejected_event") == 0


def test_a_cost_that_is_no_amount_is_left_out(gateway):
    """Python writes NaN and Infinity where JSON has no word for them."""
    costs = [float("nan"), float("inf"), None, "free", -0.25, 1e-7, True]
    sample = next(each for each in recorded.payloads() if each["status"] == "success")
    some = [
        {**sample, "id": f"call-{number}", "response_cost": cost}
        for number, cost in enumerate(costs)
    ]

    answer = gateway.post(LITELLM, some)

    assert len(answer.json["accepted"]) == len(costs)
    api, tenant = gateway.as_(Role.VIEWER), "contoso-health"
    told = [
        api.get(f"/tenants/{tenant}/events/{each['id']}").json["data"].get("cost")
        for each in answer.json["accepted"]
    ]
    assert [each and each["amount"] for each in told] == [
        None,
        None,
        None,
        None,
        "-0.25",
        "0.0000001",
        None,
    ]


ALERT = {
    "spend": 96.2,
    "max_budget": 100.0,
    "soft_budget": None,
    "token": None,
    "team_id": "search",
    "organization_id": TENANT,
    "user_email": "a@example.com",
    "alert_emails": ["a@example.com"],
    "event_group": "team",
    "event": "threshold_crossed",
    "event_message": "95% Threshold Crossed: a@example.com",
}


def test_litellms_own_alerts_are_events_and_replicas_tell_them_once(gateway):
    """LiteLLM takes any status but 200 for a failure, and is silent for a day."""
    answers = [gateway.post(ALERTS, ALERT) for _ in range(3)]

    assert [each.status_code for each in answers] == [200] * 3
    assert [each.json["accepted"][0]["duplicate"] for each in answers] == [
        False,
        True,
        True,
    ]
    event_id = answers[0].json["accepted"][0]["id"]
    event = gateway.as_(Role.VIEWER).get(f"/tenants/{TENANT}/events/{event_id}").json
    assert event["type"] == "budget.threshold_reached"
    data = event["data"]
    assert (data["scope_type"], data["scope_id"]) == ("team", "search")
    assert (data["limit"], data["spent"], data["remaining"]) == ("100.0", "96.2", "3.8")
    assert data["percent_used"] == 96.2
    assert list(recorded.leaks(opened(gateway.pipeline))) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"event": "budget_crossed"}, "budget.exceeded", id="exceeded"),
        pytest.param(
            {"event": "projected_limit_exceeded", "projected_spend": 130.4}
            | {"projected_exceeded_date": "2026-12-01"},
            "budget.forecast_exceeded",
            id="forecast",
        ),
        pytest.param({"event": "key_rotated", "token": "ab"}, "key.rotated", id="key"),
        pytest.param({"event": "spend_tracked"}, None, id="told by each call"),
        pytest.param({"event": "internal_user_created"}, None, id="not for webhooks"),
    ],
)
def test_each_alert_has_its_type(gateway, change, expected):
    answer = gateway.post(ALERTS, ALERT | change)

    assert answer.status_code == 200
    found = gateway.pipeline.rows("SELECT type FROM event")
    assert found == ([] if expected is None else [(expected,)])
    assert answer.json["rejected"] == []


@pytest.mark.parametrize("day", ["2026-02-30", "2026-12-01 10:00:00", "soon", None])
def test_a_strict_tenant_takes_alerts_whatever_day_they_name(gateway, day):
    """A date that is none is left out, and the schema's refusal is not met."""
    gateway.pipeline.services.tenants.change(TENANT, {"strict": True})
    alert = ALERT | {
        "event": "projected_limit_exceeded",
        "projected_exceeded_date": day,
    }
    answer = gateway.post(ALERTS, alert)
    assert (answer.status_code, answer.json["rejected"]) == (200, [])


def test_litellm_may_give_the_key_in_its_url(gateway):
    """``WEBHOOK_URL`` takes no header: the key is the password there."""
    pair = base64.b64encode(f"litellm:{gateway.key}".encode()).decode()
    nobody = gateway.with_key(None)
    headers = {"Authorization": f"Basic {pair}"}

    assert nobody.post(ALERTS, ALERT, headers=headers).status_code == 200
    admin = base64.b64encode(f"x:{gateway.as_(Role.ADMIN).key}".encode()).decode()
    headers = {"Authorization": f"Basic {admin}"}
    assert nobody.get("/tenants", headers=headers).status_code == 401
    headers = {"Authorization": "Basic bm90aGluZzo="}
    assert nobody.post(ALERTS, ALERT, headers=headers).status_code == 401


MAPPING = """
# A gateway that writes one object for each call.
items: logs
source: {value: /gateways/own}
id: [call.id, outcome]
type:
  - {if: outcome, in: [blocked], is: request.blocked}
  - {if: outcome, in: [ok, cached], is: request.completed}
  - request.failed
tenant: {from: customer, values: {c-1: acme}, default: unattributed}
time: {from: ended, as: unix_ms}
data:
  request_id: call.id
  scope.team_id: labels["cost center"]
  scope.user_id: user
  scope.tags: labels.all
  gen_ai.request.model: models[0]
  gen_ai.usage.input_tokens: usage.in
  duration_ms: {from: took_s, times: 1000}
  cost.amount: {from: price_cents, times: 0.01}
  cost.currency: {value: EUR}
  cache_hit: cached
  http_status: http
"""
RECORD = {
    "call": {"id": "c-77"},
    "outcome": "ok",
    "customer": "c-1",
    "user": "a@example.com",
    "labels": {"cost center": "search", "all": ["eu", "has a blank", "eu"]},
    "models": ["gpt-4o"],
    "usage": {"in": 12},
    "took_s": 0.25,
    "price_cents": 0.3,
    "ended": 1795419709123,
    "cached": True,
    "http": "200",
    "prompt": "my ssn is 123-45-6789",
}


@pytest.fixture
def mapped(make_pipeline, api_on, tmp_path):
    """Somebody who may publish where there is a mapping named 'own'."""
    (tmp_path / "own.yaml").write_text(MAPPING)
    pipeline = make_pipeline(mappings_dir=tmp_path)
    for tenant in (TENANT, "unattributed"):
        pipeline.services.tenants.create(tenant)
        pipeline.endpoint(tenant_id=tenant)
    return api_on(pipeline).as_(Role.PUBLISHER)


def test_another_gateways_records_become_events_as_a_file_says(mapped):
    answer = mapped.post("/ingest/own", {"logs": [RECORD, {**RECORD, "customer": 1}]})

    assert answer.status_code == 202, answer.json
    first, second = answer.json["accepted"], answer.json["rejected"]
    assert [each["source_id"] for each in first] == ["c-77:ok", "c-77:ok"]
    assert second == []
    shown = mapped.as_(Role.VIEWER).get(f"/tenants/{TENANT}/events/{first[0]['id']}")
    event = shown.json
    assert (event["type"], event["source"]) == ("request.completed", "/gateways/own")
    assert event["time"].startswith("2026-11-23T07:41:49.123")
    user = event["data"]["scope"].pop("user_id")
    assert user.startswith("sha256:")
    assert event["data"] == {
        "request_id": "c-77",
        "scope": {"team_id": "search", "tags": ["eu"]},
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 12,
        "duration_ms": 250.0,
        "cost": {"amount": "0.003", "currency": "EUR"},
        "cache_hit": True,
        "http_status": 200,
    }
    assert list(recorded.leaks(opened(mapped.pipeline))) == []


def test_a_mapping_refuses_what_it_cannot_read(mapped):
    answer = mapped.post("/ingest/own", {"logs": ["write a test", {}, RECORD]})

    assert [each["index"] for each in answer.json["rejected"]] == [0, 1]
    assert "call.id" in answer.json["rejected"][1]["detail"]
    assert mapped.post("/ingest/own", {"records": []}).status_code == 400
    assert mapped.post("/ingest/none", []).status_code == 404
    assert list(recorded.leaks(opened(mapped.pipeline))) == []


def test_a_wrong_mapping_keeps_the_process_from_starting(make_pipeline, tmp_path):
    (tmp_path / "wrong.yaml").write_text(MAPPING.replace(": usage.in", ": usage..in"))

    with pytest.raises(MappingInvalid) as caught:
        make_pipeline(mappings_dir=tmp_path)

    named = f"{tmp_path}/wrong.yaml, line 18, data.gen_ai.usage.input_tokens: "
    assert str(caught.value).startswith(named)
    with pytest.raises(MappingInvalid, match="no such folder"):
        make_pipeline(mappings_dir=tmp_path / "none")


def attribute(key: str, value: object) -> dict:
    tag = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    shown = str(value) if type(value) is int else value
    return {"key": key, "value": {tag[type(value)]: shown}}


def span(number: int, **attributes: object) -> dict:
    given = {"gen_ai.operation.name": "chat", **attributes}
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": "1795419709000000000",
        "endTimeUnixNano": "1795419709250000000",
        "attributes": [attribute(*each) for each in given.items() if each[1]],
    }


def export(*spans: dict, tenant: str = TENANT) -> dict:
    resource = {"attributes": [attribute("tenant.id", tenant)]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


CALL = {
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.cost": 5.1e-06,
    "gen_ai.response.time_to_first_chunk": 0.12,
    "gen_ai.input.messages": '[{"content": "my ssn is 123-45-6789"}]',
    "enduser.id": "a@example.com",
}


def test_spans_of_calls_to_a_model_become_events(gateway):
    """Other spans are passed over: an agent's tells the tokens of its calls again."""
    failed = {
        "error.type": "timeout",
        "http.response.status_code": 504,
        "gen_ai.request.model": "gpt-4o",
    }
    agent = {**CALL, "gen_ai.operation.name": "invoke_agent"}
    plain = {"gen_ai.operation.name": "", "http.request.method": "GET"}
    body = export(
        span(1, **CALL), span(2, **failed), span(3, **agent), span(4, **plain)
    )

    answer = gateway.post(TRACES, body)

    assert (answer.status_code, answer.json) == (200, {})
    viewer = gateway.as_(Role.VIEWER)
    events = {
        each["type"]: viewer.get(f"/tenants/{TENANT}/events/{each['id']}").json
        for each in viewer.get(f"/tenants/{TENANT}/events").json["items"]
    }
    assert set(events) == {"request.completed", "request.failed"}
    done, data = events["request.completed"], events["request.completed"]["data"]
    assert done["traceparent"] == f"00-{1:032x}-{1:016x}-01"
    assert data["cost"] == {"amount": "0.0000051", "currency": "USD"}
    assert data["duration_ms"] == 250.0
    assert data["gen_ai.usage.output_tokens"] == 30
    assert data["gen_ai.response.time_to_first_chunk"] == 0.12
    assert data["scope"]["user_id"].startswith("sha256:")
    lost = events["request.failed"]["data"]
    assert (lost["error.type"], lost["http_status"]) == ("timeout", 504)
    assert list(recorded.leaks(opened(gateway.pipeline))) == []


def test_what_is_not_taken_of_an_export_is_a_partial_success(gateway):
    """As OTLP has it: the exporter must not send the same again."""
    body = export(span(1, **CALL), tenant=TENANT)
    body["resourceSpans"] += export(span(2, **CALL), tenant="nobody")["resourceSpans"]
    packed = gzip.compress(json.dumps(body).encode())

    answer = gateway.post(
        TRACES,
        data=packed,
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )

    assert answer.status_code == 200
    told = answer.json["partialSuccess"]
    assert told["rejectedSpans"] == 1
    assert "unknown_tenant" in told["errorMessage"]
    assert gateway.pipeline.one("SELECT count(*) FROM event") == 1
    tenants_own = gateway.as_(Role.PUBLISHER, TENANT)
    assert tenants_own.post(TRACES, export(span(3, **CALL), tenant="x")).json == {}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"", {"Content-Type": "application/x-protobuf"}, 415, id="pb"),
        pytest.param(b"[]", {}, 400, id="not a request"),
        pytest.param(b'{"resourceSpans": 1}', {}, 400, id="no list"),
        pytest.param(b"{}", {"Content-Encoding": "gzip"}, 400, id="not gzip"),
        pytest.param(b"{}", {"Content-Encoding": "br"}, 415, id="brotli"),
        pytest.param(
            gzip.compress(b" " * 40_000_000),
            {"Content-Encoding": "gzip"},
            413,
            id="a bomb",
        ),
        pytest.param(
            gzip.compress(b"{}")[:-9], {"Content-Encoding": "gzip"}, 400, id="cut off"
        ),
        pytest.param(
            json.dumps(
                {"resourceSpans": [1, {"scopeSpans": [None, {"spans": [7]}]}]}
            ).encode(),
            {},
            200,
            id="nothing where spans should be",
        ),
    ],
)
def test_an_export_that_is_none_is_refused_as_a_whole(gateway, body, headers, status):
    headers = {"Content-Type": "application/json", **headers}

    answer = gateway.post(TRACES, data=body, headers=headers)

    assert answer.status_code == status, answer.data
    assert gateway.pipeline.one("SELECT count(*) FROM event") == 0
