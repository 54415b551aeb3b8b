"""Pages of budgets: how they stand, what was told to whom, and changing them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from tests.integration.budgets import ago, budget, spend, usage

ROOT = "/tenants/acme/budgets"
NEW = "/tenants/acme/new/budget"
FORM = {
    "name": "Search",
    "scope_type": "team",
    "scope_id": "search",
    "limit": "100",
    "currency": "USD",
    "period": "month",
    "zone": "Europe/Berlin",
    "thresholds": "50, 80 %",
    "enforcement": "alert",
}


@pytest.fixture
def admin(visit):
    return visit()


def place(made):
    return f"{ROOT}/{ids.show(Kind.BUDGET, made.row.id)}"


def all_of(pipeline, tenant_id="acme"):
    return pipeline.services.budgets.all(tenant_id)


def text(page):
    """Return a page's text on one line, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.text).split())


def seen(page):
    return re.search(r'name="seen" value="([^"]*)"', page.text)[1]


def test_an_empty_list_says_what_to_do_first(admin):
    page = admin.get(ROOT)
    assert "No budgets yet" in page.text
    assert f"/admin{NEW}" in page.text


def test_each_budget_says_in_a_word_how_it_stands(pipeline, admin):
    for name, limit in (("over", 10), ("near", 15), ("half", 20), ("free", 1000)):
        budget(pipeline, limit, name=name, period={"type": "rolling", "hours": 24})
    spend(pipeline, "12.5")
    found = text(admin.get(ROOT))
    for name, word in (
        ("over", "Exceeded"),
        ("near", "80 % reached"),
        ("half", "50 % reached"),
        ("free", "Within"),
    ):
        assert re.search(rf"{name} Team search · Last 24 hours {word}", found), found
    assert "Over by 2.50 USD" in found
    assert "12.50 USD of 10.00 USD" in found


def test_money_is_cut_and_never_looks_like_more(pipeline, admin):
    made = budget(pipeline, 10)
    spend(pipeline, "9.99999999999999999")
    page = admin.get(place(made))
    assert "9.99\u00a0USD" in page.text
    assert "Exactly 9.99999999999999999" in page.text
    assert "10.00\u00a0USD</strong>" not in page.text


def test_a_budgets_page_says_what_was_told_and_to_whom(pipeline, admin):
    pipeline.endpoint(description="The pager", event_types=["budget.*"])
    made = budget(pipeline, 10)
    spend(pipeline, "8.5")
    pipeline.accept(usage(...), usage('"1"', user_id="u1"))
    page = admin.get(place(made))
    found = text(page)
    assert "80 % of the limit" in found
    assert "The pager" in found
    assert "Pending" in found
    assert "Without a price 1 " in found
    event_id = pipeline.services.budgets.get("acme", made.row.id).alerts[-1].event_id
    assert ids.show(Kind.EVENT, event_id) in page.text


def test_from_a_budget_to_what_was_told_and_back(pipeline, admin):
    """Also that it is over, and to whom: lines that recovered together by one event."""
    pipeline.endpoint(description="The pager", event_types=["budget.recovered"])
    made = budget(pipeline, 10)
    spend(pipeline, "8.5", "-8")
    page = admin.get(place(made))
    (link,) = set(re.findall(r'<a href="([^"]*)">budget.recovered', page.text))
    assert "The pager" in text(page)

    event = admin.get(link.removeprefix("/admin"))
    assert "budget.recovered" in text(event)
    assert f'href="/admin{place(made)}"' in event.text
    shown = ids.show(Kind.BUDGET, made.row.id)
    pasted = admin.get(f"/tenants/acme/events?find={shown}")
    assert pasted.location == f"/admin{place(made)}"


def test_nobody_was_told_where_nobody_subscribes(pipeline, admin):
    made = budget(pipeline, 10)
    spend(pipeline, "11")
    assert "nobody was told" in text(admin.get(place(made)))


def test_periods_before_are_a_chart(pipeline, admin):
    day = {"type": "calendar", "unit": "day", "zone": "UTC"}
    made = budget(pipeline, 10, period=day)
    assert "Period by period" not in admin.get(place(made)).text
    spend(pipeline, "3", at=ago(days=1))
    spend(pipeline, "12", at=ago(days=2))
    page = admin.get(place(made))
    assert "Period by period" in page.text
    assert page.text.count('class="fill-over"') == 1, "the one above the limit"


def test_creating_each_kind_of_period(pipeline, admin):
    soon = (ago(days=1)).strftime("%Y-%m-%dT%H:%M")
    for change, period in (
        ({}, {"type": "calendar", "unit": "month", "zone": "Europe/Berlin"}),
        (
            {"period": "rolling", "length": "36", "unit": "hours"},
            {"type": "rolling", "hours": 36},
        ),
        ({"period": "once", "begins": soon, "ends": "2199-01-01T00:00Z"}, None),
    ):
        form = {**FORM, **change, "name": f"b{change}", "limit": "1 000.50"}
        answer = admin.post(NEW, form)
        assert answer.status_code == 303, text(answer)
        made = all_of(pipeline)[0]
        assert answer.location.endswith(place(made))
        assert period in (None, made.row.period)
        assert made.row.limit_amount == Decimal("1000.5")
        assert made.row.thresholds == [50, 80]
        assert not made.row.forecast
    assert made.row.period["type"] == "once"


def test_a_form_sent_twice_makes_one(pipeline, admin):
    once = re.search(r'name="_once" value="([^"]+)"', admin.get(NEW).text)[1]
    first, second = (admin.post(NEW, {**FORM, "_once": once}) for _ in range(2))
    assert first.location == second.location
    assert len(all_of(pipeline)) == 1


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": ""}),
        ("limit", {"limit": "a lot"}),
        ("limit", {"limit": "-1"}),
        ("scope_id", {"scope_id": ""}),
        ("scope_id", {"scope_type": "tenant"}),
        ("currency", {"currency": "dollars"}),
        ("zone", {"zone": "Mars/Olympus"}),
        ("length", {"period": "rolling", "length": "0"}),
        ("length", {"period": "rolling"}),
        ("begins", {"period": "once"}),
        ("ends", {"period": "once", "begins": "2030-01-02", "ends": "2030-01-01"}),
        ("thresholds", {"thresholds": "half"}),
        ("thresholds", {"thresholds": "0"}),
        ("parent_id", {"parent_id": ids.show(Kind.BUDGET, ids.lowest(ago(days=1)))}),
    ],
)
def test_what_is_wrong_stands_at_its_field(pipeline, admin, field, change):
    answer = admin.post(NEW, {**FORM, **change})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert not all_of(pipeline)


def test_a_name_that_is_taken_stands_at_its_field(pipeline, admin):
    budget(pipeline, name="Search")
    answer = admin.post(NEW, FORM)
    assert answer.status_code == 409
    assert 'id="name-error"' in answer.text


def test_changing_one_tells_what_follows_and_keeps_the_others_changes(pipeline, admin):
    made = budget(pipeline, 10)
    spend(pipeline, "6")
    opened = admin.get(f"{place(made)}/edit")
    form = {**FORM, "name": "Lower", "limit": "7", "seen": seen(opened)}
    assert admin.post(f"{place(made)}/edit", form).status_code == 303
    now = pipeline.services.budgets.get("acme", made.row.id)
    assert (now.row.name, now.budget.limit) == ("Lower", 7)
    assert [each.threshold for each in now.alerts] == [50, 80]
    stale = admin.post(f"{place(made)}/edit", {**form, "name": "typed by me"})
    assert stale.status_code == 412
    assert "typed by me" in stale.text
    wrong = {**form, "seen": seen(admin.get(f"{place(made)}/edit")), "limit": "0"}
    answer = admin.post(f"{place(made)}/edit", wrong)
    assert 'id="limit-error"' in answer.text


def test_deleting_one(pipeline, admin):
    made = budget(pipeline)
    assert "Delete this budget?" in admin.get(place(made)).text
    assert admin.post(f"{place(made)}/delete").status_code == 303
    assert admin.post(f"{place(made)}/delete").status_code == 404, "the second click"
    assert admin.get(place(made)).status_code == 404


def test_the_list_is_narrowed_by_scope_and_goes_on(pipeline, admin):
    budget(pipeline, name="mine", scope_id="search")
    budget(pipeline, name="theirs", scope_id="support")
    found = admin.get(f"{ROOT}?scope_type=team&scope_id=search").text
    assert "mine" in found
    assert "theirs" not in found
    assert "No budget fits" in admin.get(f"{ROOT}?scope_type=key").text
    assert admin.get(f"{ROOT}?scope_type=moon").status_code == 422
    for n in range(50):
        budget(pipeline, name=f"more {n:02}")
    page = admin.get(ROOT)
    assert "mine" not in page.text
    after = re.search(r'rel="next" href="/admin([^"]+)"', page.text)[1]
    assert "mine" in admin.get(after.replace("&amp;", "&")).text


def test_each_role_may_what_it_may_and_nothing_of_another_tenants(pipeline, visit):
    pipeline.services.tenants.create("globex")
    mine, theirs = budget(pipeline), budget(pipeline, tenant_id="globex")
    other = place(theirs)
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        who = visit(role, "acme")
        may = role is Role.ADMIN
        assert who.get(place(mine)).status_code == 200
        assert (NEW in who.get(ROOT).text) == may
        assert who.get(NEW).status_code == (200 if may else 403)
        assert who.get(other).status_code == 404
        assert who.get(other.replace("acme", "globex")).status_code == 404
        for verb in ("edit", "delete"):
            token = {"csrf": who.csrf}
            status = who.post(f"{other}/{verb}", **token).status_code
            assert status == (404 if may else 403)
            if not may:
                assert who.post(f"{place(mine)}/{verb}", **token).status_code == 403
    assert len(all_of(pipeline)) == len(all_of(pipeline, "globex")) == 1


def test_without_the_sessions_token_nothing_changes(pipeline, admin):
    made = budget(pipeline)
    for path in (NEW, f"{place(made)}/edit", f"{place(made)}/delete"):
        assert admin.post(path, FORM, csrf="forged").status_code == 400
    assert len(all_of(pipeline)) == 1


def test_a_portals_visitor_sees_budgets_and_changes_none(pipeline, visit, admin):
    made = budget(pipeline)
    _, token = pipeline.services.portals.create_link("acme", role=Role.ADMIN)
    _, session = pipeline.services.portals.open(token, address="", request_id="")
    admin.client.set_cookie("ascw_session", session)
    page = admin.get(place(made))
    assert page.status_code == 200
    assert "/edit" not in page.text
    assert "/delete" not in page.text
    for path in (NEW, f"{place(made)}/edit"):
        assert admin.get(path).status_code == 404


def test_texts_from_outside_are_shown_as_texts(pipeline, admin):
    name = "<script>alert(1)</script> \u202eevil"
    made = budget(pipeline, name=name, scope_id="<b>team</b>")
    for path in (ROOT, place(made), f"{place(made)}/edit"):
        page = admin.get(path).text
        assert "<script>alert" not in page
        assert "<b>team" not in page


def test_a_span_that_is_over_and_one_to_come(pipeline, admin):
    for name, begins, word in (
        ("past", timedelta(days=-9), "Over"),
        ("future", timedelta(days=3), "Not begun"),
    ):
        start = ago() + begins
        period = {
            "type": "once",
            "from": start.isoformat(),
            "to": (start + timedelta(days=2)).isoformat(),
        }
        made = budget(pipeline, name=name, period=period)
        assert word in text(admin.get(place(made)))
