"""Budgets through the API and the command line."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import yaml

from ascwebhooks.domain.ids import Kind, show
from ascwebhooks.domain.keys import Role
from tests.integration.budgets import MONTH, ago, spend, told, usage

T = "/tenants/acme/budgets"
BODY = {
    "name": "Search",
    "scope_type": "team",
    "scope_id": "search",
    "limit": "100.50",
    "currency": "USD",
    "period": MONTH,
}


@pytest.fixture
def made(api):
    """A budget of the team "search", as it was answered."""
    answer = api.post(T, BODY)
    assert answer.status_code == 201, answer.json
    return answer.json


def steady(shown):
    """Return a budget without what moves as time goes by."""
    moving = (
        "period_start",
        "period_end",
        "projected_spend",
        "projected_exhaustion_at",
    )
    return {name: value for name, value in shown.items() if name not in moving}


def test_a_budget_shows_what_was_spent_and_what_fired(api, made):
    pipeline = api.pipeline
    spend(pipeline, "80.4", "10.1")
    pipeline.accept(usage('"x"'), usage('"7"', at=ago(days=400)))
    shown = api.get(f"{T}/{made['id']}").json

    assert (made["limit"], made["thresholds"]) == ("100.5", [50, 80, 95, 100])
    assert (shown["spent"], shown["remaining"]) == ("90.5", "10.0")
    assert (shown["percent_used"], shown["requests"]) == (90.04, 3)
    assert shown["unpriced"] == 1
    assert [(each["threshold"], each["basis"]) for each in shown["alerts"]] == [
        (50, "actual"),
        (80, "actual"),
    ]
    (event,) = [each for each in told(pipeline) if not each["late"]]
    for each in shown["alerts"]:
        found = api.get(f"/tenants/acme/events/{each['event_id']}").json
        assert found["source_id"] == event["source_id"]
        assert found["data"]["budget_id"] == made["id"]
    assert [each["spent"] for each in shown["history"]] == ["7"]
    (listed,) = api.get(T).json["items"]
    assert shown.keys() - listed.keys() == {"alerts", "history"}
    assert steady(listed) == steady({name: shown[name] for name in listed})


def test_an_alert_that_recovered_names_the_event_that_told(api, made):
    spend(api.pipeline, "82", "-80")
    shown = api.get(f"{T}/{made['id']}").json
    fired, over = told(api.pipeline)
    assert {each["event_id"] for each in shown["alerts"]} == {
        show(Kind.EVENT, fired["event_id"])
    }
    assert [each["recovered_event_id"] for each in shown["alerts"]] == [
        show(Kind.EVENT, over["event_id"])
    ] * 2
    spend(api.pipeline, "80")
    shown = api.get(f"{T}/{made['id']}").json
    assert [each["recovered_event_id"] for each in shown["alerts"]] == [None] * 2


def test_a_change_holds_only_on_what_was_seen_whatever_is_spent_meanwhile(api, made):
    path = f"{T}/{made['id']}"
    tag = api.get(path).headers["ETag"]
    spend(api.pipeline, 60)
    assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
    changed = api.patch(path, {"limit": 50}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json["limit"]) == (200, "50")
    assert changed.headers["ETag"] == api.get(path).headers["ETag"] != tag
    late = api.patch(path, {"limit": "70"}, headers={"If-Match": tag})
    assert late.status_code == 412
    assert api.ask("DELETE", path, headers={"If-Match": tag}).status_code == 412
    assert [each["type"] for each in told(api.pipeline)] == [
        "budget.threshold_reached",
        "budget.changed",
        "budget.exceeded",
    ]
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_a_creation_that_is_asked_for_twice_is_made_once(api):
    keyed = {"Idempotency-Key": "one"}
    first = api.post(T, BODY, headers=keyed)
    again = api.post(T, BODY, headers=keyed)
    assert (first.status_code, first.json) == (201, again.json)
    assert len(api.get(T).json["items"]) == 1
    assert api.post(T, BODY).status_code == 409


def test_lists_page_and_narrow(api):
    for number in range(5):
        api.post(T, BODY | {"name": f"b{number}", "scope_id": f"s{number % 2}"})
    seen, cursor = [], ""
    while cursor is not None:
        answer = api.get(f"{T}?limit=2" + (cursor and f"&cursor={cursor}")).json
        seen += [each["name"] for each in answer["items"]]
        cursor = answer["next_cursor"]
    assert seen == ["b4", "b3", "b2", "b1", "b0"]
    narrowed = api.get(f"{T}?scope_type=team&scope_id=s1").json["items"]
    assert [each["name"] for each in narrowed] == ["b3", "b1"]


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 0},
        {"limit": "-5"},
        {"limit": "NaN"},
        {"limit": True},
        {"limit": "1e99"},
        {"limit": None},
        {"name": ""},
        {"name": "a\0b"},
        {"scope_type": "galaxy"},
        {"scope_id": None},
        {"scope_type": "tenant"},
        {"currency": "dollars"},
        {"period": {}},
        {"period": {"type": "calendar", "unit": "month", "zone": "Mars/One"}},
        {"period": []},
        {"thresholds": [0]},
        {"thresholds": ["x"]},
        {"thresholds": [1] * 21},
        {"enforcement": "shout"},
        {"forecast": 1},
        {"parent_id": "bud_01kb0c6v4ze8tbc5t6q1s2n3xy"},
        {"parent_id": "ep_01kb0c6v4ze8tbc5t6q1s2n3xy"},
        {"spent": "5"},
    ],
    ids=json.dumps,
)
def test_what_is_no_budget_is_refused(api, change):
    answer = api.post(T, BODY | change)
    assert answer.status_code == 422, answer.json
    assert api.get(T).json["items"] == []


def test_what_a_budget_is_for_cannot_be_changed(api, made):
    for name in ("scope_type", "scope_id", "currency", "period"):
        answer = api.patch(f"{T}/{made['id']}", {name: BODY[name]})
        assert answer.status_code == 422, name


def test_administrators_write_and_others_read(api, made):
    path = f"{T}/{made['id']}"
    for role in (Role.OPERATOR, Role.VIEWER):
        other = api.as_(role, "acme")
        assert other.get(path).status_code == other.get(T).status_code == 200
        assert other.post(T, BODY).status_code == 403
        assert other.patch(path, {"limit": 5}).status_code == 403
        assert other.delete(path).status_code == 403
    assert api.as_(Role.PUBLISHER, "acme").get(path).status_code == 403
    api.pipeline.services.tenants.create("globex")
    assert api.as_(Role.ADMIN, "globex").get(path).status_code == 404


def test_each_change_is_in_the_audit_log(api, made):
    path = f"{T}/{made['id']}"
    api.patch(path, {"limit": "7", "forecast": True})
    api.patch(path, {"limit": "7"})
    api.delete(path)
    rows = api.pipeline.rows(
        "SELECT action, resource_id, tenant_id, detail FROM audit_entry"
        " WHERE action LIKE 'budget.%' ORDER BY seq"
    )
    assert [row.action for row in rows] == [
        "budget.created",
        "budget.changed",
        "budget.deleted",
    ]
    assert {(row.resource_id, row.tenant_id) for row in rows} == {(made["id"], "acme")}
    assert rows[1].detail["fields"] == ["forecast", "limit"]
    assert rows[1].detail["limit"] == "7 USD"


def test_a_signal_that_was_not_kept_is_told_from_one_that_never_was(api):
    raw = usage('"1"')
    (verdict,) = api.publish(raw).json["accepted"]
    answer = api.get(f"/tenants/acme/events/{verdict['id']}")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert "KEEP_SIGNALS" in answer.json["detail"]
    never = verdict["id"][:-4] + "0000"
    assert "KEEP_SIGNALS" not in api.get(f"/tenants/acme/events/{never}").json["detail"]


# The command line

FILE = """
budgets:
  - name: Acme
    scope_type: org
    scope_id: acme
    limit: 1000
    currency: USD
    period: {type: calendar, unit: quarter, zone: Europe/Berlin}
  - name: Search
    scope_type: team
    scope_id: search
    parent: Acme
    limit: "100.50"
    currency: USD
    period: {type: rolling, days: 30}
    thresholds: [80, 99.5]
    forecast: true
    enforcement: block
"""


@pytest.fixture
def apply(answer, tmp_path):
    def apply(text, *options):
        path = tmp_path / "budgets.yaml"
        path.write_text(text)
        return answer("budgets", "apply", str(path), "--tenant", "acme", *options)

    return apply


def statuses(answered):
    return [(each["name"], each["status"]) for each in answered["items"]]


def test_a_file_says_what_budgets_there_are(api, apply):
    both = ["Acme", "Search"]
    dry = apply(FILE, "--dry-run")
    assert statuses(dry) == [(name, "created") for name in both]
    assert api.get(T).json["items"] == []
    assert statuses(apply(FILE)) == [(name, "created") for name in both]
    assert statuses(apply(FILE)) == [(name, "unchanged") for name in both]

    search, acme = [*map(steady, api.get(T).json["items"])]
    assert (search["parent_id"], search["limit"]) == (acme["id"], "100.5")
    assert (search["thresholds"], search["forecast"]) == ([80, 99.5], True)

    more = FILE.replace("1000", "2000").replace("enforcement: block", "")
    dry = apply(more, "--dry-run")
    assert [each["changed"] for each in dry["items"]] == [["limit"], ["enforcement"]]
    assert [*map(steady, api.get(T).json["items"])] == [search, acme]
    assert statuses(apply(more)) == [(name, "changed") for name in both]
    assert api.get(T).json["items"][1]["limit"] == "2000"


def test_rows_that_are_not_in_order_keep_no_other_from_being_applied(
    api, call, tmp_path
):
    rows = yaml.safe_load(FILE)["budgets"]
    bad = [
        {**rows[0], "limit": -1},
        {**rows[0], "name": "x", "parent": "nobody"},
        {**rows[0], "name": "y", "colour": "red"},
        "nothing",
        *rows,
        rows[1],
    ]
    path = tmp_path / "budgets.json"
    path.write_text(json.dumps(bad))
    status, out, _ = call("budgets", "apply", str(path), "--tenant", "acme", "--json")
    items = json.loads(out)["items"]
    assert status == 1
    assert [each["status"] for each in items] == [
        *["failed"] * 4,
        "created",
        "created",
        "failed",
    ]
    faults = [sorted(each["errors"]) for each in items if each["errors"]]
    assert faults == [["limit"], ["parent"], ["colour"], ["row"], ["name"]]
    changed = FILE.replace("quarter", "month")
    path.write_text(changed)
    status, out, _ = call("budgets", "apply", str(path), "--tenant", "acme")
    assert status == 1
    assert "cannot be changed" in out


@pytest.mark.parametrize("text", ["", "5", "{a", "[]", "a: *b", "\x00"])
def test_what_is_no_list_of_budgets_is_a_wrong_call(call, tmp_path, text):
    path = tmp_path / "budgets.yaml"
    path.write_text(text)
    assert call("budgets", "apply", str(path), "--tenant", "acme")[0] == 2


def test_budgets_by_command(api, answer, call):
    made = answer(
        *("budgets", "create", "Whole", "--tenant", "acme", "--limit", "12.50"),
        *("--threshold", "90", "--forecast", "--enforcement", "throttle"),
    )
    assert (made["limit"], made["scope_type"]) == ("12.5", "tenant")
    spend(api.pipeline, "12")
    shown = answer("budgets", "show", made["id"], "--tenant", "acme")
    listed = answer("budgets", "list", "--tenant", "acme")
    assert steady(shown) == steady(api.get(f"{T}/{made['id']}").json)
    assert [*map(steady, listed["items"])] == [*map(steady, api.get(T).json["items"])]
    assert [each["threshold"] for each in shown["alerts"]] == [90]
    status, out, _ = call("budgets", "list", "--tenant", "acme")
    assert status == 0
    assert "Whole" in out
    assert call("budgets", "create", "x", "--tenant", "acme", "--limit", "x")[0] == 2
    assert call("budgets", "delete", made["id"], "--tenant", "acme")[0] == 0
    assert call("budgets", "show", made["id"], "--tenant", "acme")[0] == 1


def test_a_budget_of_fine_sums_is_shown_whole(api, answer):
    api.post(T, BODY | {"limit": "0.000000000001"})
    spend(api.pipeline, "0.0000000000001")
    (listed,) = answer("budgets", "list", "--tenant", "acme")["items"]
    assert (listed["limit"], listed["spent"]) == ("0.000000000001", "0.0000000000001")
    assert Decimal(listed["remaining"]) == Decimal("0.0000000000009")
