"""Who may do what: each route with each role, and with another tenant's key."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ascwebhooks.domain.keys import Permission, Role
from tests.integration.traffic import signal

TENANT = "acme"
ROOT = "/api/v1"

P, R, O, A = Permission  # noqa: E741 - publish, read, operate, administer
T = "/tenants/<tenant_id>"
EP, EVT = f"{T}/endpoints/<endpoint_id>", f"{T}/events/<event_id>"
RPL = f"{T}/replays/<replay_id>"
SUB = f"{T}/subscriptions/<subscription_id>"
RUL = f"{T}/rules/<rule_id>"
BUD = f"{T}/budgets/<budget_id>"
DLV, REJ = f"{T}/deliveries/<delivery_id>", f"{T}/rejected-events/<rejected_id>"

#: What each route needs, as the contract has it; a new route has to stand here.
NEEDED = {
    ("POST", "/events"): P,
    ("POST", "/events/batch"): P,
    ("POST", "/ingest/litellm"): P,
    ("POST", "/ingest/litellm/alerts"): P,
    ("POST", "/ingest/<mapping>"): P,
    ("POST", "/otlp/v1/traces"): P,
    ("GET", "/tenants"): R,
    ("POST", "/tenants"): A,
    ("GET", T): R,
    ("PATCH", T): A,
    ("GET", f"{T}/endpoints"): R,
    ("POST", f"{T}/endpoints"): A,
    ("POST", f"{T}/endpoints/bulk"): A,
    ("GET", EP): R,
    ("PATCH", EP): A,
    ("DELETE", EP): A,
    ("POST", f"{EP}/rotate-secret"): A,
    ("POST", f"{EP}/test"): O,
    ("POST", f"{EP}/pause"): O,
    ("POST", f"{EP}/resume"): O,
    ("GET", f"{T}/subscriptions"): R,
    ("POST", f"{T}/subscriptions"): A,
    ("POST", f"{T}/subscriptions/preview"): R,
    ("GET", SUB): R,
    ("PATCH", SUB): A,
    ("DELETE", SUB): A,
    ("GET", f"{T}/budgets"): R,
    ("POST", f"{T}/budgets"): A,
    ("GET", BUD): R,
    ("PATCH", BUD): A,
    ("DELETE", BUD): A,
    ("GET", f"{T}/rules"): R,
    ("POST", f"{T}/rules"): A,
    ("GET", RUL): R,
    ("PATCH", RUL): A,
    ("DELETE", RUL): A,
    ("GET", f"{T}/incidents"): R,
    ("GET", f"{T}/incidents/<incident_id>"): R,
    ("GET", f"{T}/usage"): R,
    ("GET", "/event-types"): R,
    ("GET", "/event-types/<event_type>"): R,
    ("GET", f"{T}/events"): R,
    ("GET", EVT): R,
    ("GET", f"{T}/deliveries"): R,
    ("GET", DLV): R,
    ("POST", f"{DLV}/retry"): O,
    ("POST", f"{DLV}/cancel"): O,
    ("GET", f"{T}/replays"): R,
    ("POST", f"{T}/replays"): O,
    ("GET", RPL): R,
    ("POST", f"{RPL}/pause"): O,
    ("POST", f"{RPL}/resume"): O,
    ("POST", f"{RPL}/cancel"): O,
    ("GET", f"{T}/rejected-events"): R,
    ("GET", REJ): R,
    ("DELETE", REJ): A,
    ("POST", f"{REJ}/resubmit"): O,
    ("GET", "/rejected-events"): R,
    ("GET", "/rejected-events/<rejected_id>"): R,
    ("DELETE", "/rejected-events/<rejected_id>"): A,
    ("POST", "/rejected-events/<rejected_id>/resubmit"): O,
    ("GET", "/keys"): A,
    ("POST", "/keys"): A,
    ("DELETE", "/keys/<key_id>"): A,
    ("POST", f"{T}/portal-links"): A,
    ("DELETE", T): A,
}
ROLES = {
    Role.PUBLISHER: {P},
    Role.VIEWER: {R},
    Role.OPERATOR: {R, O},
    Role.ADMIN: {P, R, O, A},
}
OPEN = {("GET", "/openapi.json")}


def routes(api):
    """Return (method, rule below /api/v1) of every route there is."""
    return {
        (method, rule.rule.removeprefix(ROOT))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith(ROOT + "/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@pytest.fixture
def places(api, event):
    """What really exists, for each placeholder in a rule."""
    endpoint_id = api.endpoint()
    api.publish(event(), event(type=...), signal(fallback_from="gpt-4o"))
    rule = {"name": "one", "kind": "error_rate"}
    period = {"type": "calendar", "unit": "month", "zone": "UTC"}
    budget = {
        "name": "one",
        "scope_type": "tenant",
        "limit": "1",
        "currency": "USD",
        "period": period,
    }
    return {
        "<tenant_id>": TENANT,
        "<endpoint_id>": endpoint_id,
        "<subscription_id>": first(api, "subscriptions"),
        "<event_id>": first(api, "events"),
        "<delivery_id>": first(api, "deliveries"),
        "<rejected_id>": first(api, "rejected-events"),
        "<replay_id>": api.post(f"/tenants/{TENANT}/replays", {"filter": {}}).json[
            "id"
        ],
        "<budget_id>": api.post(f"/tenants/{TENANT}/budgets", budget).json["id"],
        "<rule_id>": api.post(f"/tenants/{TENANT}/rules", rule).json["id"],
        "<incident_id>": first(api, "incidents"),
        "<mapping>": "otel",
        "<key_id>": api.get("/keys").json["items"][0]["id"],
    }


def first(api, kind: str) -> str:
    return api.get(f"/tenants/{TENANT}/{kind}").json["items"][0]["id"]


def filled(rule: str, places: dict[str, str]) -> str:
    for placeholder, value in places.items():
        rule = rule.replace(placeholder, value)
    return rule


def test_every_route_is_in_the_table(api):
    assert routes(api) == set(NEEDED) | OPEN


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("tenant_id", [None, TENANT])
def test_a_role_reaches_what_it_may_and_nothing_else(api, places, role, tenant_id):
    """A body that is no good tells who got through; what is deleted is 404 by then."""
    somebody = api.as_(role, tenant_id)
    for (method, rule), needed in NEEDED.items():
        answered = somebody.ask(
            method,
            filled(rule, places),
            data=b"{",
            content_type="application/json",
        )
        allowed = needed in ROLES[role]
        case = (method, rule, answered.status_code)
        if tenant_id and rule.startswith("/rejected-events"):
            assert answered.status_code == 404, case
        elif tenant_id and (method, rule) == ("POST", "/tenants"):
            assert answered.status_code == 403, case
        else:
            assert (answered.status_code == 403) is not allowed, case
        assert answered.status_code < 500, case


def test_another_tenants_key_gets_404_from_every_route_of_a_tenant(api, places):
    """And the answer is the one that an unknown tenant gets, word for word."""
    api.post("/tenants", {"id": "globex"})
    other = api.as_(Role.ADMIN, "globex")
    for method, rule in NEEDED:
        if "<tenant_id>" not in rule:
            continue
        there = other.ask(method, filled(rule, places))
        unknown = other.ask(method, filled(rule, places | {"<tenant_id>": "nobody"}))
        assert there.status_code == unknown.status_code == 404, (method, rule)
        assert there.data.replace(TENANT.encode(), b"nobody") == unknown.data
    assert api.get(f"/tenants/{TENANT}").status_code == 200


def test_another_tenants_things_below_ones_own_tenant_are_404(api, places):
    """The ids are right, the tenant in the path is the caller's own."""
    api.post("/tenants", {"id": "globex"})
    other = api.as_(Role.ADMIN, "globex")
    for method, rule in NEEDED:
        if rule.count("<") < 2:
            continue
        answered = other.ask(method, filled(rule, places | {"<tenant_id>": "globex"}))
        assert answered.status_code == 404, (method, rule)
    for kind in (
        "endpoints",
        "subscriptions",
        "events",
        "deliveries",
        "replays",
        "rejected-events",
    ):
        assert other.get(f"/tenants/globex/{kind}").json["items"] == []
        assert api.get(f"/tenants/{TENANT}/{kind}").json["items"], "nothing was changed"


def test_a_tenants_key_sees_its_own_tenant_in_the_list(api):
    api.post("/tenants", {"id": "globex"})
    listed = api.as_(Role.VIEWER, "globex").get("/tenants").json["items"]
    assert [each["id"] for each in listed] == ["globex"]


NO_GOOD = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Basic YTpi",
    "Bearer ascw_wrong",
    "Bearer \xe9",
]


def test_without_a_good_key_nothing_is_served(api, subtests):
    nobody = api.with_key(None)
    for header in NO_GOOD:
        headers = {} if header is None else {"Authorization": header}
        for method, rule in NEEDED:
            with subtests.test(f"{header!r} {method} {rule}"):
                path = rule.replace("<", "").replace(">", "")
                answered = nobody.ask(method, path, headers=headers)
                assert answered.status_code == 401
                assert answered.headers["WWW-Authenticate"] == "Bearer"
                assert answered.json["code"] == "not_authenticated"
                assert answered.content_type == "application/problem+json"


def test_an_expired_key_is_no_key(api):
    _, key = api.pipeline.services.keys.create(
        Role.ADMIN, expires_in=timedelta(seconds=-1)
    )
    assert api.with_key(key).get("/tenants").status_code == 401


def test_a_key_in_the_query_is_no_key(api):
    path = f"/tenants?access_token={api.key}"
    assert api.with_key(None).get(path).status_code == 401


def test_head_and_options_show_no_more_than_get(api):
    nobody = api.with_key(None)
    assert nobody.ask("HEAD", "/tenants").status_code == 401
    assert api.as_(Role.PUBLISHER).ask("HEAD", "/tenants").status_code == 403
    assert nobody.ask("OPTIONS", "/tenants").data == b""
