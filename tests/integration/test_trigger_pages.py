"""Pages of incidents, rules and the timeline."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.rules import RuleKind
from tests.integration.budgets import budget
from tests.integration.traffic import failed, signal

INCIDENTS = "/tenants/acme/incidents"
RULES = "/tenants/acme/rules"
NEW = "/tenants/acme/new/rule"
TIMELINE = "/tenants/acme/timeline"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def admin(visit):
    return visit()


@pytest.fixture
def now():
    return datetime.now(UTC)


def text(page):
    """Return a page's text on one line, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.text).split())


def seen(page):
    return re.search(r'name="seen" value="([^"]*)"', page.text)[1]


def incidents(pipeline, tenant_id="acme"):
    return pipeline.services.incidents.page(tenant_id, after=None, limit=50)


def rules(pipeline, tenant_id="acme"):
    return pipeline.services.rules.page(tenant_id, after=None, limit=50)


def path_of(row):
    return f"{INCIDENTS}/{ids.show(Kind.INCIDENT, row.id)}"


def rule_path(held):
    return f"{RULES}/{ids.show(Kind.RULE, held.id)}"


def default(pipeline, kind):
    return next(each for each in rules(pipeline) if each.rule.kind is kind)


def fail(pipeline, at, **more):
    """Have most requests fail, and rules look at it."""
    pipeline.accept(*[failed(at, **more) for _ in range(15)])
    pipeline.accept(*[signal(at, **more) for _ in range(15)])
    pipeline.services.incidents.evaluate(at)


# Incidents


def test_no_incidents_is_good_news(admin):
    page = admin.get(INCIDENTS)
    assert "Nothing that a rule looks at has happened" in page.text
    assert f"/admin{RULES}" in page.text


def test_an_incident_from_opened_to_resolved_and_who_was_told(pipeline, admin, now):
    pipeline.endpoint(description="The pager", event_types=["provider.*"])
    fail(pipeline, now - 20 * MINUTE)
    (row,) = incidents(pipeline)
    opened = admin.get(path_of(row))
    assert "It goes on" in text(opened)
    assert "50.0 % of 30 failed" in text(opened)
    assert "The pager" in text(opened)
    assert "Route around it" in text(opened), "what to do"
    pipeline.services.incidents.evaluate(now - 9 * MINUTE)
    over = text(admin.get(path_of(row)))
    assert "It is over" in over
    assert "It lasted 11 min" in over
    assert "provider.error_rate_resolved" in over
    assert over.count("The pager") == 2, "of its beginning and its end"


def test_incidents_are_found_by_what_they_are(pipeline, admin, now):
    fail(pipeline, now - 2 * MINUTE)
    pipeline.accept(signal(model="o3", fallback_from="gpt-4o"))
    rows = {each.kind: ids.show(Kind.INCIDENT, each.id) for each in incidents(pipeline)}
    error, fallback = rows["error_rate"], rows["fallback"]
    hour = (now - 60 * MINUTE).strftime("%Y-%m-%dT%H:%MZ")
    for query, wanted in (
        ("", {error, fallback}),
        ("?state=open", {error, fallback}),
        ("?state=resolved", set()),
        ("?kind=error_rate", {error}),
        ("?provider=openai&kind=error_rate", {error}),
        ("?provider=open", set()),
        ("?model=gpt-4o", {error, fallback}),
        ("?model=o3", {fallback}),
        ("?range=1h", {error, fallback}),
        (f"?until={hour}", set()),
    ):
        page = admin.get(INCIDENTS + query)
        found = set(re.findall(r"incidents/(inc_\w+)", page.text))
        assert found == wanted, query
    for query in ("?state=pending", "?kind=moon", "?since=yesterday", "?rule=x"):
        assert admin.get(INCIDENTS + query).status_code == 422, query


def test_incidents_of_another_tenant_are_not_there(pipeline, visit, now):
    pipeline.services.tenants.create("globex")
    fail(pipeline, now, tenantid="globex")
    (row,) = incidents(pipeline, "globex")
    who = visit(Role.VIEWER, "acme")
    assert who.get(INCIDENTS).status_code == 200
    assert who.get(path_of(row)).status_code == 404
    assert who.get(path_of(row).replace("acme", "globex")).status_code == 404
    assert who.get(INCIDENTS.replace("acme", "globex")).status_code == 404


# Rules


def test_the_defaults_are_told_in_words(pipeline, admin):
    found = text(admin.get(RULES))
    assert (
        "Opens when 25 % of the requests (of 20 or more) fail within 5 min, for each"
        " provider and model. Resolves below 12.5 %; told again each 1 h while it is"
        " open." in found
    )
    assert len(rules(pipeline)) == found.count(" Default ")


def test_turning_a_default_off_and_on_and_back_to_what_it_was(pipeline, admin):
    path = rule_path(default(pipeline, RuleKind.OUTAGE))
    assert admin.post(f"{path}/disable").status_code == 303
    assert not default(pipeline, RuleKind.OUTAGE).rule.enabled
    assert "Default, changed" in admin.get(RULES).text
    assert admin.get(f"{RULES}?enabled=false").text.count(f"{path}/edit") == 2
    admin.post(f"{path}/enable")
    assert default(pipeline, RuleKind.OUTAGE).rule.enabled
    assert admin.post(f"{path}/delete").status_code == 303
    assert default(pipeline, RuleKind.OUTAGE).origin == "default"
    assert admin.post(f"{path}/delete").status_code == 409, "there is nothing to reset"


@pytest.mark.parametrize("kind", [*RuleKind])
def test_each_kind_is_created_by_its_own_form(pipeline, admin, kind):
    page = admin.get(f"{NEW}?kind={kind}")
    form = dict(
        re.findall(
            r'<input class="form-con[^>]* name="(\w+)"[^>]* value="([^"]*)"', page.text
        )
    )
    form |= {"kind": kind, "name": "Mine", "severity": "critical", "enabled": "1"}
    form["allowed"] = "a*\nb"
    form["group_by"] = re.findall(r'name="group_by" value="(\w+)" checked', page.text)
    answer = admin.post(NEW, form)
    assert answer.status_code == 303, text(answer)
    held = rules(pipeline)[0]
    assert (held.rule.name, held.rule.kind, held.origin) == ("Mine", kind, "own")
    preset = next((x for x in rules(pipeline)[1:] if x.rule.kind is kind), None)
    assert preset is None or preset.rule.spec == held.rule.spec, "what the form showed"
    assert "Mine" in text(admin.get(RULES))


def test_first_the_kind_is_chosen(admin):
    for query in ("", "?kind=moon"):
        found = admin.get(NEW + query).text
        assert all(f"{NEW}?kind={kind}" in found for kind in RuleKind)
    assert admin.post(NEW, {"kind": "moon"}).status_code == 422


def test_a_rule_is_changed_in_units_that_people_think_in(pipeline, admin):
    path = rule_path(default(pipeline, RuleKind.ERROR_RATE))
    page = admin.get(f"{path}/edit")
    assert 'name="threshold" type="text" value="25"' in page.text
    form = {
        "seen": seen(page),
        "name": "Errors",
        "severity": "info",
        "threshold": "12.5",
        "resolve_threshold": "5",
        "window_s": "10",
        "min_requests": "7",
        "for_s": "0",
        "repeat_s": "",
        "no_data": "keep",
        "provider": "open*",
    }
    assert admin.post(f"{path}/edit", form).status_code == 303
    held = default(pipeline, RuleKind.ERROR_RATE)
    spec = held.rule.spec
    assert (spec.threshold, spec.resolve_threshold) == (0.125, 0.05)
    assert (spec.window_s, spec.repeat_s, spec.group_by) == (600, None, ())
    assert (spec.provider, held.rule.enabled, held.origin) == (
        "open*",
        False,
        "changed_default",
    )
    stale = admin.post(f"{path}/edit", {**form, "name": "typed by me"})
    assert stale.status_code == 412
    assert "typed by me" in stale.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("threshold", "101"),
        ("threshold", "many"),
        ("resolve_threshold", "90"),
        ("window_s", "0"),
        ("window_s", "61"),
        ("min_requests", "0"),
        ("for_s", "-1"),
        ("repeat_s", "x"),
        ("group_by", "policy"),
    ],
)
def test_what_is_wrong_with_a_rule_stands_at_its_field(pipeline, admin, field, value):
    path = rule_path(default(pipeline, RuleKind.ERROR_RATE))
    page = admin.get(f"{path}/edit")
    form = {"seen": seen(page), "name": "a", "severity": "info", "threshold": "50"}
    answer = admin.post(f"{path}/edit", {**form, field: value})
    assert answer.status_code == 422
    assert re.search(
        rf'(id="{field}-error"|name="{field}".*invalid-feedback)', answer.text, re.S
    )
    assert default(pipeline, RuleKind.ERROR_RATE).origin == "default"


def test_a_rule_is_deleted(pipeline, admin):
    made = pipeline.services.rules.create("acme", name="a", kind=RuleKind.LATENCY)
    assert "Delete this rule?" in admin.get(RULES).text
    assert admin.post(f"{rule_path(made)}/delete").status_code == 303
    assert admin.post(f"{rule_path(made)}/delete").status_code == 404


def test_rules_are_for_administrators_of_their_tenant(pipeline, visit):
    pipeline.services.tenants.create("globex")
    create = pipeline.services.rules.create
    mine = create("acme", name="a", kind=RuleKind.LATENCY)
    theirs = create("globex", name="b", kind=RuleKind.LATENCY)
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        who, may = visit(role, "acme"), role is Role.ADMIN
        assert who.get(RULES).status_code == 200
        assert (f"{rule_path(mine)}/edit" in who.get(RULES).text) == may
        assert who.get(NEW).status_code == (200 if may else 403)
        token = {"csrf": who.csrf}
        for verb in ("edit", "enable", "disable", "delete"):
            there = f"{rule_path(theirs)}/{verb}"
            assert who.post(there, **token).status_code == (404 if may else 403)
            there = there.replace("acme", "globex")
            assert who.post(there, **token).status_code == 404
            if not may:
                status = who.post(f"{rule_path(mine)}/{verb}", **token).status_code
                assert status == 403
    admin = visit(Role.ADMIN)
    assert admin.post(f"{rule_path(mine)}/disable", csrf="forged").status_code == 400
    assert rules(pipeline)[0].rule.enabled


# The timeline


def test_an_empty_timeline_says_what_fills_it(admin):
    for span in ("1h", "24h", "7d", "30d", "nonsense"):
        page = admin.get(f"{TIMELINE}?span={span}")
        assert page.status_code == 200
        assert "Nothing happened in this time" in page.text


def test_all_lanes_share_an_axis_and_a_step_leads_to_what_is_behind_it(
    pipeline, admin, now
):
    budget(pipeline, "0.001", name="Search team")
    fail(pipeline, now)
    pipeline.accept(signal(cost={"amount": "3", "currency": "EUR"}, fallback_from="x"))
    page = admin.get(f"{TIMELINE}?span=24h")
    for lane in (
        *("Spend in USD", "Spend in EUR", "Requests", "Time to first token"),
        *("Fallbacks", "Policy denials", "Alerts", "Deliveries"),
    ):
        assert f"<strong>{lane}</strong>" in page.text
    steps = re.findall(r'data-href="/admin([^"]+)" data-from="([^"]+)"', page.text)
    assert len(steps) in (96, 97)
    url = steps[-1][0].replace("&amp;", "&").partition("#")[0]
    behind = admin.get(url)
    found = text(behind)
    assert "Search team" in found
    assert "Error rate of a model" in found
    assert "gpt-4o" in found
    links = re.findall(r'href="/admin([^"]+since=[^"]+)"', behind.text)
    assert len(links) == 4
    for link in links:
        listed = admin.get(link.replace("&amp;", "&"))
        assert listed.status_code == 200
        if "/incidents" in link:
            assert "Error rate of a model" in listed.text


def test_a_moment_that_is_none_is_said(admin):
    for at in ("yesterday", "0001-01-01", "9999-12-31T23:59:59Z"):
        answer = admin.get(f"{TIMELINE}?at={at}")
        assert answer.status_code == 422
        assert "is no time" in answer.text
    assert admin.get(f"{TIMELINE}?at=2026-01-01T00:00Z").status_code == 200


def test_a_timeline_of_another_tenant_is_not_there(pipeline, visit, now):
    pipeline.services.tenants.create("globex")
    fail(pipeline, now, tenantid="globex", model="secret-model")
    budget(pipeline, "0.001", tenant_id="globex", name="their budget")
    who = visit(Role.VIEWER, "acme")
    assert who.get(TIMELINE.replace("acme", "globex")).status_code == 404
    at = now.strftime("%Y-%m-%dT%H:%MZ")
    page = who.get(f"{TIMELINE}?span=1h&at={at}").text
    assert "secret-model" not in page
    assert "their budget" not in page
