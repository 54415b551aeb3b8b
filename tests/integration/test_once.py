"""Forms that create something make it once, and say so when they are sent again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant

TENANT = "acme"
AGAIN = "Nothing was made twice"
ONCE = re.compile(r'name="_once" value="([^"]+)"')
URL = "http://127.0.0.1:9009/hook"
ENDPOINT = {
    "url": URL,
    "format": "standard",
    "signature": "v1",
    "timeout_s": "15",
    "max_in_flight": "20",
    "ordering": "none",
    "region": "default",
}


@pytest.fixture
def made_before(pipeline):
    """An endpoint and a person; their ids by the names of a path's parameters."""
    endpoint_id = pipeline.endpoint(URL)
    person = pipeline.services.people.create("bob", grants=[Grant(Role.VIEWER)])
    return {
        "endpoint_id": ids.show(Kind.ENDPOINT, endpoint_id),
        "user_id": ids.show(Kind.USER, person.id),
    }


#: The page with the form, where it is sent, its values, and what counts what it makes.
FORMS = {
    "tenant": ("/new/tenant", None, {"id": "globex"}, "tenant"),
    "key": ("/new/key", None, {"role": "viewer", "name": "ci"}, "api_key"),
    "tenant's key": (
        f"/tenants/{TENANT}/new/key",
        None,
        {"role": "viewer", "days": "30"},
        "api_key",
    ),
    "user": ("/new/user", None, {"login": "carl", "role": "viewer"}, "person"),
    "password": ("/users/{user_id}", "/users/{user_id}/password", {}, None),
    "endpoint": (f"/tenants/{TENANT}/new/endpoint", None, ENDPOINT, "endpoint"),
    "subscription": (
        f"/tenants/{TENANT}/new/subscription",
        None,
        {"endpoint_id": "{endpoint_id}", "event_types": "key.*", "enabled": "1"},
        "subscription",
    ),
    "secret": (
        f"/tenants/{TENANT}/endpoints/{{endpoint_id}}/rotate-secret",
        None,
        {"overlap_s": "3600", "signature": "v1"},
        "endpoint_secret",
    ),
    "test": (
        f"/tenants/{TENANT}/endpoints/{{endpoint_id}}",
        f"/tenants/{TENANT}/endpoints/{{endpoint_id}}/tests",
        {},
        "event",
    ),
}
SECRET = re.compile(r'id="secret"[^>]*>([^<]+)</textarea>')


class Sent:
    """A form that is opened once and sent as often as somebody likes."""

    def __init__(self, somebody, known, name):
        page, target, values, self.table = FORMS[name]
        self.somebody, page = somebody, page.format(**known)
        self.path = (target or page).format(**known)
        text = somebody.get(page).text
        seen = re.search(r'name="seen" value="([^"]*)"', text)
        self.values = {
            **{name: value.format(**known) for name, value in values.items()},
            "_once": ONCE.search(text)[1],
            **({"seen": unescape(seen[1])} if seen else {}),
        }
        self.csrf = somebody.csrf

    def send(self, **changed):
        return self.somebody.post(self.path, {**self.values, **changed}, csrf=self.csrf)


def count(pipeline, table):
    return pipeline.one(f"SELECT count(*) FROM {table}")


def shown(somebody, answer):
    """Return what an answer leads to: its secret, or the page it redirects to."""
    if answer.status_code == 303:
        return answer.location
    assert answer.status_code == 200, answer.text
    return SECRET.search(answer.text)[1]


@pytest.mark.parametrize("name", FORMS)
def test_sent_again_a_form_leads_to_what_it_made(pipeline, visit, made_before, name):
    """As a reload of the answer does; a form that is opened anew makes another."""
    somebody = visit()
    form = Sent(somebody, made_before, name)
    before = form.table and count(pipeline, form.table)
    first = form.send()
    written = len(pipeline.services.audit.page())
    again = form.send()
    assert len(pipeline.services.audit.page()) == written
    assert shown(somebody, first) == shown(somebody, again)
    assert AGAIN not in first.text
    told = again if again.status_code == 200 else None
    if told is None:
        # The first answer's message waits with the second's for the next page.
        told = somebody.client.get(again.location)
    assert AGAIN in told.text
    if form.table:
        assert count(pipeline, form.table) == before + 1


@pytest.mark.parametrize("name", ["key", "user"])
def test_two_clicks_at_the_same_moment_get_the_same_answer(
    pipeline, visit, made_before, name
):
    """The second waits for the first: both pages show the one secret."""
    somebody = visit()
    form = Sent(somebody, made_before, name)
    before, both = count(pipeline, form.table), Barrier(2)
    cookie = somebody.client.get_cookie("ascw_session").value

    def click(_):
        client = somebody.client.application.test_client()
        client.set_cookie("ascw_session", cookie)
        both.wait(10)
        data = {**form.values, "_csrf": form.csrf}
        return client.post(f"/admin{form.path}", data=data)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(click, range(2)))
    assert [each.status_code for each in answers] == [200, 200]
    assert len({SECRET.search(each.text)[1] for each in answers}) == 1
    assert sorted(AGAIN in each.text for each in answers) == [False, True]
    assert count(pipeline, form.table) == before + 1


def test_with_other_values_it_asks_first(pipeline, visit, made_before):
    """Whoever goes back and changes something is told, and may send it again."""
    form = Sent(visit(), made_before, "key")
    form.send()
    before = count(pipeline, "api_key")
    other = form.send(name="another")
    assert other.status_code == 422
    assert "This form was sent before with other values" in other.text
    assert count(pipeline, "api_key") == before
    anew = ONCE.search(other.text)[1]
    assert anew != form.values["_once"]
    assert form.send(name="another", _once=anew).status_code == 200
    assert count(pipeline, "api_key") == before + 1


def test_what_was_wrong_is_sent_again_with_the_same_key(pipeline, visit, made_before):
    form = Sent(visit(), made_before, "user")
    assert form.send(login="not a login!").status_code == 422
    assert form.send().status_code == 200


def test_nobody_else_gets_the_answer(pipeline, visit, made_before):
    """The key is the visitor's: somebody else's form with it makes another."""
    form = Sent(visit(), made_before, "key")
    mine = shown(form.somebody, form.send())
    other = visit(Role.ADMIN, TENANT)
    path = f"/tenants/{TENANT}/new/key"
    theirs = other.post(path, form.values)
    assert SECRET.search(theirs.text)[1] != mine


def test_what_is_kept_of_a_secret_is_sealed(pipeline, visit, made_before):
    form = Sent(visit(), made_before, "password")
    password = shown(form.somebody, form.send())
    rows = pipeline.rows("SELECT * FROM idempotency_key")
    assert rows
    assert password not in repr(rows)
    assert password.encode() not in b"".join(bytes(each.sealed) for each in rows)
