"""Pages of subscriptions: who gets what, and changing that."""

from __future__ import annotations

import re

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role

ROOT = "/tenants/acme/subscriptions"
NEW = "/tenants/acme/new/subscription"


@pytest.fixture
def admin(visit):
    return visit()


def endpoint(pipeline, *event_types, **options):
    return pipeline.endpoint(event_types=event_types, **options)


def rows(pipeline):
    return pipeline.services.subscriptions.page("acme", after=None, limit=50)


def shown(row):
    return ids.show(Kind.SUBSCRIPTION, row.id)


def text(page):
    """Return a page's text on one line, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", "", page.text).split())


def test_who_gets_a_type_and_who_only_if_a_filter_says_so(pipeline, admin):
    endpoint(pipeline, "budget.*")
    paused = endpoint(pipeline, "budget.exceeded", filter="data.n > 9")
    pipeline.services.endpoint_states.pause("acme", paused)
    endpoint(pipeline, "key.*")
    off = endpoint(pipeline, "*")
    (row,) = [each for each in rows(pipeline) if each.endpoint_id == off]
    pipeline.services.subscriptions.change("acme", row.id, {"enabled": False})

    page = admin.get(f"{ROOT}?event_type=budget.exceeded")
    found = text(page)
    assert "2 endpoints get budget.exceeded, 1 of them only if a filter" in found
    assert "1 of them is paused or disabled now" in found
    assert "data.n &gt; 9" in page.text
    assert "key.*" not in re.findall(r"<code[^>]*>([^<]*)</code>", page.text)
    assert "Off" in found, "one that is off is shown and not counted"


def test_nobody_gets_a_type(pipeline, admin):
    endpoint(pipeline, "key.*")
    found = admin.get(f"{ROOT}?event_type=budget.exceeded")
    assert "Nobody gets" in text(found)
    assert f"/admin{NEW}?event_type=budget.exceeded" in found.text


def test_an_empty_list_says_what_to_do_first(admin):
    assert "No subscriptions yet" in admin.get(ROOT).text


def test_creating_one(pipeline, admin):
    made = ids.show(Kind.ENDPOINT, endpoint(pipeline))
    assert f'value="{made}" selected' in admin.get(f"{NEW}?endpoint_id={made}").text
    form = {"endpoint_id": made, "types": ["budget.*"], "enabled": "1"}
    assert admin.post(NEW, {**form, "event_types": "a, b"}).status_code == 303
    (row,) = rows(pipeline)
    assert (row.event_types, row.filter, row.enabled) == (
        ["budget.*", "a", "b"],
        None,
        True,
    )


def test_what_is_wrong_is_said(pipeline, admin):
    made = ids.show(Kind.ENDPOINT, endpoint(pipeline))
    form = {"endpoint_id": made, "types": ["budget.*"], "filter": "x", "enabled": "1"}
    for change, status, told in (
        ({"endpoint_id": ""}, 422, "Which endpoint"),
        ({"endpoint_id": "ep_nonsense"}, 422, "There is no"),
        ({}, 422, "is unknown"),
        ({"types": []}, 422, "Choose at least one"),
    ):
        answer = admin.post(NEW, {**form, **change})
        assert answer.status_code == status, change
        assert told.lower() in answer.text.lower(), change
    assert not rows(pipeline)


def test_changing_turning_off_and_deleting(pipeline, admin):
    endpoint(pipeline, "budget.*", "mine", filter="data.n > 1")
    (row,) = rows(pipeline)
    path = f"{ROOT}/{shown(row)}"
    opened = admin.get(f"{path}/edit").text
    assert 'value="budget.*" checked' in opened
    assert 'value="mine"' in opened
    seen = re.search(r'name="seen" value="([^"]+)"', opened)[1]
    form = {"types": ["key.*"], "filter": "", "enabled": "1", "seen": seen}
    assert admin.post(f"{path}/edit", form).status_code == 303
    (row,) = rows(pipeline)
    assert (row.event_types, row.filter) == (["key.*"], None)

    stale = admin.post(f"{path}/edit", {**form, "event_types": "typed.by.me"})
    assert stale.status_code == 412
    assert "typed.by.me" in stale.text

    back = admin.post(f"{path}/disable?event_type=key.rotated")
    assert back.location.endswith("?event_type=key.rotated"), "where one was"
    assert not rows(pipeline)[0].enabled
    admin.post(f"{path}/enable")
    assert rows(pipeline)[0].enabled
    admin.post(f"{path}/delete")
    assert not rows(pipeline)
    assert admin.post(f"{path}/delete").status_code == 404, "the second click"


def test_each_role_may_what_it_may_and_nothing_of_another_tenants(pipeline, visit):
    pipeline.services.tenants.create("globex")
    endpoint(pipeline, "a")
    endpoint(pipeline, "a", tenant_id="globex")
    (mine,) = rows(pipeline)
    (theirs,) = pipeline.services.subscriptions.page("globex", after=None, limit=9)
    paths = ["", "/edit", "/enable", "/disable", "/delete"]
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        who = visit(role, "acme")
        token = {"_csrf": who.csrf}
        assert who.get(ROOT).status_code == 200
        assert who.get("/tenants/globex/subscriptions").status_code == 404
        assert who.get(NEW).status_code == (200 if role is Role.ADMIN else 403)
        offered = "New subscription" in who.get(ROOT).text
        assert offered == (role is Role.ADMIN)
        for path in paths[1:]:
            for tenant, row in (("globex", theirs), ("acme", theirs)):
                where = f"/admin/tenants/{tenant}/subscriptions/{shown(row)}{path}"
                status = who.client.post(where, data=token).status_code
                allowed = role is Role.ADMIN or tenant == "globex"
                assert status == (404 if allowed else 403), (role, where)
            if role is not Role.ADMIN:
                where = f"/admin{ROOT}/{shown(mine)}{path}"
                assert who.client.post(where, data=token).status_code == 403
    assert rows(pipeline)[0].enabled


def test_without_the_sessions_token_nothing_changes(pipeline, admin):
    endpoint(pipeline, "a")
    (row,) = rows(pipeline)
    answer = admin.post(f"{ROOT}/{shown(row)}/delete", csrf="forged")
    assert answer.status_code == 400
    assert rows(pipeline)


def test_bad_ids_are_no_pages(admin):
    for path in ("/ep_x/edit", "?endpoint_id=nonsense", "?after=nonsense"):
        assert admin.get(f"{ROOT}{path}").status_code == 404, path
