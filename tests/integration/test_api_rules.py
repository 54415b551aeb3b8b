"""Rules, incidents and usage through the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.ids import Kind
from tests.integration.traffic import failed, signal

TENANT = "acme"
T = f"/tenants/{TENANT}"
RULES = f"{T}/rules"
DEFAULT = f"{RULES}/rul_00000000000000000000000001"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now():
    return datetime.now(UTC)


def test_a_rule_lives_changes_and_dies(api):
    made = api.post(
        RULES,
        {"name": "Slow", "kind": "latency", "threshold": 5000, "group_by": ["model"]},
    )
    assert made.status_code == 201
    shown = made.json
    assert (shown["quantile"], shown["resolve_threshold"]) == (0.95, 4000)
    assert (shown["origin"], shown["allowed"], shown["quiet_s"]) == ("own", None, None)
    path = f"{RULES}/{shown['id']}"
    assert api.get(path).json == shown

    tag = made.headers["ETag"]
    changed = api.patch(path, {"severity": "critical"}, headers={"If-Match": tag})
    assert changed.json == {
        **shown,
        "severity": "critical",
        "updated_at": changed.json["updated_at"],
    }
    late = api.patch(path, {"name": "x"}, headers={"If-Match": tag})
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    actions = api.pipeline.rows("SELECT action FROM audit_entry ORDER BY seq")
    assert [each.action for each in actions if each.action.startswith("rule")] == [
        "rule.created",
        "rule.changed",
        "rule.deleted",
    ]


def test_the_same_wish_twice_makes_one_rule(api):
    body = {"name": "one", "kind": "outage"}
    headers = {"Idempotency-Key": "k"}
    first = api.post(RULES, body, headers=headers)
    again = api.post(RULES, body, headers=headers)
    assert first.json == again.json


def test_what_holds_by_default_is_changed_and_comes_back(api):
    listed = api.get(RULES).json["items"]
    assert len(listed) == 6
    assert {each["origin"] for each in listed} == {"default"}
    assert api.delete(DEFAULT).status_code == 409

    tag = api.get(DEFAULT).headers["ETag"]
    off = api.patch(DEFAULT, {"enabled": False}, headers={"If-Match": tag})
    assert (off.json["origin"], off.json["enabled"]) == ("changed_default", False)
    assert len(api.get(RULES).json["items"]) == 6
    wanted = api.get(f"{RULES}?enabled=false").json["items"]
    assert [each["id"] for each in wanted] == [off.json["id"]]

    assert api.delete(DEFAULT).status_code == 204
    back = api.get(DEFAULT).json
    assert (back["origin"], back["enabled"]) == ("default", True)


def test_rules_come_in_pages(api):
    for number in range(3):
        api.post(RULES, {"name": f"r{number}", "kind": "outage"})
    first = api.get(f"{RULES}?limit=5").json
    rest = api.get(f"{RULES}?limit=5&cursor={first['next_cursor']}").json
    names = [each["name"] for each in first["items"] + rest["items"]]
    assert names[:3] == ["r2", "r1", "r0"]
    assert (len(names), rest["next_cursor"]) == (9, None)
    only = api.get(f"{RULES}?kind=outage").json["items"]
    assert {each["kind"] for each in only} == {"outage"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "latency", "threshold": True}, "threshold"),
        ({"kind": "latency", "threshold": -1}, "threshold"),
        ({"kind": "latency", "window_s": 90}, "window_s"),
        ({"kind": "latency", "allowed": ["x"]}, "allowed"),
        ({"kind": "approved_models"}, "allowed"),
        ({"kind": "approved_models", "allowed": ["x\0"]}, "allowed"),
        ({"kind": "nothing"}, "kind"),
        ({"kind": "latency", "colour": "red"}, "colour"),
        ({"kind": "error_rate", "threshold": 2}, "threshold"),
        ({"kind": "error_rate", "group_by": ["team"]}, "group_by"),
    ],
)
def test_what_makes_no_sense_is_422_and_named(api, body, field):
    answered = api.post(RULES, {"name": "x", **body})
    assert answered.status_code == 422
    assert field in str(answered.json)


def test_a_parameter_that_is_null_is_the_kinds_own_again(api):
    made = api.post(RULES, {"name": "x", "kind": "outage", "window_s": 600}).json
    path = f"{RULES}/{made['id']}"
    shown = api.patch(path, {"window_s": None, "repeat_s": None}).json
    assert (shown["window_s"], shown["repeat_s"]) == (60, None)
    assert api.patch(path, {"name": "y"}).json["repeat_s"] is None


def test_a_tenant_has_only_so_many_rules(api):
    for number in range(100):
        assert (
            api.post(RULES, {"name": f"{number}", "kind": "outage"}).status_code == 201
        )
    assert api.post(RULES, {"name": "x", "kind": "outage"}).status_code == 409


def test_incidents_are_listed_and_shown_with_their_events(api, now):
    at = now - 30 * MINUTE
    api.publish(*[failed(at) for _ in range(20)])
    api.pipeline.services.incidents.evaluate(at)
    api.pipeline.services.incidents.evaluate(at + 10 * MINUTE)
    api.publish(signal(model="claude", fallback_from="gpt-4o"))

    listed = api.get(f"{T}/incidents").json["items"]
    assert listed[0]["kind"] == "fallback"
    assert {each["kind"] for each in listed} == {"fallback", "outage", "error_rate"}
    still = api.get(f"{T}/incidents?state=open").json["items"]
    assert [each["kind"] for each in still] == ["fallback"]
    for narrowed, count in (
        ("kind=outage", 1),
        ("severity=critical", 1),
        (f"since={events.iso(now)}", 1),
        (f"until={events.iso(at)}", 0),
        (f"rule_id={ids.show(Kind.RULE, ids.from_int(1))}", 1),
        ("limit=2", 2),
    ):
        found = api.get(f"{T}/incidents?{narrowed}").json["items"]
        assert len(found) == count, narrowed

    (outage,) = api.get(f"{T}/incidents?kind=outage").json["items"]
    shown = api.get(f"{T}/incidents/{outage['id']}").json
    assert (shown["state"], shown["reason"]) == ("resolved", "no_data")
    assert shown["subject"] == {"provider": "openai"}
    told = [each["type"] for each in shown["events"]]
    assert told == ["provider.outage_started", "provider.outage_resolved"]
    (event,) = [e for e in shown["events"] if e["type"] == told[0]]
    data = api.get(f"{T}/events/{event['id']}").json["data"]
    assert data["incident_id"] == outage["id"]


def test_what_is_pending_is_nobodys_business_yet(api):
    api.publish(failed(fallback_from="gpt-4o", model="claude"))
    kinds = [each["kind"] for each in api.get(f"{T}/incidents").json["items"]]
    assert kinds == ["fallback"]


def test_usage_is_told_step_by_step(api, now):
    at = now.replace(second=0, microsecond=0) - 3 * MINUTE
    api.publish(
        signal(at, cost={"amount": "0.1", "currency": "USD"}),
        signal(at, cost={"amount": "0.2", "currency": "USD"}, model="claude"),
        failed(at, 503),
    )
    span = f"from={events.iso(at)}&to={events.iso(at + 2 * MINUTE)}"
    shown = api.get(f"{T}/usage?{span}").json
    assert (shown["begins_at"], len(shown["items"])) == (events.iso(at), 2)
    first, second = shown["items"]
    assert (first["requests"], first["errors"]) == (3, 1)
    assert first["spend"] == {"USD": "0.301"}
    assert first["by_status"] == {"503": 1}
    assert first["deliveries"] == {"delivered": 0, "failed": 0, "dead_lettered": 0}
    assert (second["requests"], second["duration_p50_ms"]) == (0, None)

    grouped = api.get(f"{T}/usage?{span}&group_by=provider,model").json["items"]
    groups = {each["group"]["model"]: each for each in grouped}
    assert groups["claude"]["spend"] == {"USD": "0.2"}
    assert groups["claude"]["deliveries"] is None
    assert groups["gpt-4o"]["group"] == {"provider": "openai", "model": "gpt-4o"}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=2026-01-01T00:00:00Z",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=90",
        "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=3600&group_by=team",
        "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=60&group_by=model",
    ],
)
def test_a_span_that_cannot_be_shown_is_422(api, query):
    assert api.get(f"{T}/usage?{query}").status_code == 422
