"""What each role sees and may do; a tenant's people see no trace of another."""

from __future__ import annotations

import re
from collections import deque
from html import unescape
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from tests.browser.tours import tour
from tests.integration.pipeline import TENANT, event

PASSWORD = "correct horse battery"
FOREIGN, FOREIGN_NAME = "zz-foreign", "Foreign Works"
_FORM = re.compile(r"<form[^>]*method=\"post\"[^>]*>")
_ACTION = re.compile(r'action="([^"]*)"')
_LINK = re.compile(r'href="(/admin/[^"#]*)"')
_CSRF = re.compile(r'"X-CSRF-Token": "([^"]+)"')
_SHOWN_ID = re.compile(r"\b[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}\b")
_MOST = 400
#: What ends such a form's path, by the least role that may send it.
OPERATORS = ("/tests", "/pause", "/resume", "/retry", "/cancel", "/resubmit", "/replay")


class Shown(NamedTuple):
    """What somebody finds on their tour: forms' paths, and links'."""

    forms: set[str]
    links: set[str]
    csrf: str


def fill(site, tenant_id, name=None):
    """Give a tenant one of everything that pages show."""
    pipeline, services = site.pipeline, site.services
    if name is not None:
        services.tenants.create(tenant_id, name=name)
    endpoint_id = pipeline.endpoint(
        f"http://127.0.0.1:9009/of-{tenant_id}",
        tenant_id=tenant_id,
        description=f"Endpoint of {tenant_id}",
    )
    mine = {"tenantid": tenant_id, "source": f"/gateways/{tenant_id}"}
    kept = (event(**mine, id=f"{tenant_id}-{n}") for n in range(3))
    pipeline.accept(*kept, event(**{**mine, "type": ...}))
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', attempt_count = 3,"
        " dead_reason = 'attempts_exhausted', last_error = 'http_status',"
        " last_status_code = 503, completed_at = clock_timestamp() WHERE id IN"
        " (SELECT id FROM delivery WHERE tenant_id = :tenant ORDER BY id LIMIT 2)",
        tenant=tenant_id,
    )
    services.replays.create(tenant_id, filter={"event_type": "nothing"})
    services.keys.create(Role.VIEWER, tenant_id=tenant_id, name=f"Key of {tenant_id}")
    services.people.create(
        f"somebody-of-{tenant_id}", grants=[Grant(Role.VIEWER, tenant_id)]
    )
    return endpoint_id


@pytest.fixture
def person(site, open_page, log_in):
    """Logs somebody new in, in a browser of their own."""

    def make(role, tenant_id=None):
        login = f"{role}-{tenant_id or 'all'}"
        grants = [Grant(role, tenant_id)]
        site.services.people.create(login, grants=grants, password=PASSWORD)
        page = open_page()
        log_in(page, site, login, PASSWORD)
        return page

    return make


def look_around(page, site):
    """Return what a tour of the tenant offers."""
    forms, links, csrf = set[str](), set[str](), []

    def look(path, text):
        for tag in _FORM.findall(text):
            action = _ACTION.search(tag)
            forms.add(unescape(action[1]) if action and action[1] else path)
        links.update(unescape(each) for each in _LINK.findall(text))
        csrf.extend(_CSRF.findall(text))

    assert len(tour(page, site.url, TENANT, look)) > 10
    forms.discard("/admin/logout")
    return Shown(forms, {each for each in links if "/static/" not in each}, csrf[-1])


def is_operators(path):
    """Return whether an operator may send this form; a rejected event's mends it."""
    last = urlsplit(path).path
    return last.endswith(OPERATORS) or bool(re.search(r"/rej_\w+\Z", last))


def test_each_role_is_offered_what_it_may_do_and_refused_the_rest(site, person):
    """The forms of an administrator's pages are sent by those who do not see them."""
    endpoint_id = ids.show(Kind.ENDPOINT, fill(site, TENANT))
    viewer, operator, admin = (person(each) for each in ("viewer", "operator", "admin"))
    path = site.admin(f"/tenants/{TENANT}/endpoints/{endpoint_id}")
    mends = {"Send a test event", "Pause", "Replay"}
    assert buttons(viewer, path) == set()
    assert buttons(operator, path) == mends
    assert buttons(admin, path) == {*mends, "Edit", "Rotate", "Delete"}
    of_viewer, of_operator, of_admin = (
        look_around(each, site) for each in (viewer, operator, admin)
    )
    own = "/admin/account"
    assert of_viewer.forms == {own}
    assert of_operator.forms - {own} == {
        each for each in of_admin.forms if is_operators(each)
    }
    assert len(of_operator.forms) > 3
    assert len(of_admin.forms) > len(of_operator.forms) + 8
    for shown in (of_viewer, of_operator):
        for link in shown.links - of_operator.links if shown is of_viewer else ():
            pytest.fail(f"a viewer is offered {link}")
        assert not [
            each
            for each in shown.links
            if re.search(r"/(keys|users|audit|edit|delete|rotate-secret)\b", each)
            or re.search(r"/new/(?!replay)", each)
        ]

    refused = {}
    for page, shown in ((viewer, of_viewer), (operator, of_operator)):
        for path in of_admin.forms - shown.forms:
            sent = page.request.post(site.url + path, form={"_csrf": shown.csrf})
            refused[(page is viewer, path)] = sent.status
    assert set(refused.values()) == {403}, refused
    assert (True, f"/admin/tenants/{TENANT}/new/replay") in refused


def buttons(page, path):
    """Return which buttons somebody really sees on an endpoint's page and behind it."""
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    main = page.get_by_role("main")
    names = ("Send a test event", "Pause", "Edit", "Rotate", "Delete")
    seen = {each for each in names if main.get_by_text(each, exact=True).count()}
    page.get_by_role("link", name="Dead letters", exact=True).first.click()
    expect(page.get_by_text("2 dead letters at 1 endpoint")).to_be_visible()
    if page.get_by_role("link", name="Replay all of these…").count():
        seen.add("Replay")
    return seen


def crawl(page, url):
    """Return every page that links lead to, by its path."""
    waiting, found = deque(["/admin/", "/admin/account"]), dict[str, str]()
    while waiting and len(found) < _MOST:
        path = waiting.popleft()
        if path in found or re.search(r"/admin/(static/|log|sso)", path):
            continue
        answered = page.request.get(url + path)
        assert answered.ok, f"{path}: {answered.status}"
        found[path] = answered.text()
        if "text/html" in answered.headers["content-type"]:
            waiting.extend(unescape(each) for each in _LINK.findall(found[path]))
    return found


def ids_of(site, tenant_id):
    """Return the ids of all that a tenant has, as pages show them."""
    tables = {
        "endpoint": Kind.ENDPOINT,
        "subscription": Kind.SUBSCRIPTION,
        "event": Kind.EVENT,
        "delivery": Kind.DELIVERY,
        "rejected_event": Kind.REJECTED_EVENT,
        "replay": Kind.REPLAY,
        "api_key": Kind.API_KEY,
    }
    found = {
        ids.show(kind, row.id)
        for table, kind in tables.items()
        for row in site.pipeline.rows(
            f"SELECT id FROM {table} WHERE tenant_id = :tenant", tenant=tenant_id
        )
    }
    assert len(found) >= len(tables)
    return found


def test_a_tenants_people_find_no_trace_of_another(site, person, page, log_in):
    """On no page that any link leads to, files included; what is the other's is 404."""
    fill(site, TENANT)
    fill(site, FOREIGN, FOREIGN_NAME)
    theirs = ids_of(site, FOREIGN)
    log_in(page, site)
    foreign = {urlsplit(each.path).path for each in tour(page, site.url, FOREIGN)}
    foreign = {each for each in foreign if each.startswith("/admin/tenants/" + FOREIGN)}
    assert len(foreign) > 20
    viewer, admin = person("viewer", TENANT), person("admin", TENANT)
    pages = crawl(admin, site.url)
    marks = {FOREIGN, FOREIGN_NAME, "zz%2Dforeign", *theirs}
    assert [
        (path, mark) for path, text in pages.items() for mark in marks if mark in text
    ] == []
    whole = "".join(pages.values())
    assert ids_of(site, TENANT) & {*_SHOWN_ID.findall(whole)}, "so ids are shown"

    below_own = {urlsplit(each).path.replace(FOREIGN, TENANT, 1) for each in foreign}
    below_own = {each for each in below_own if {*_SHOWN_ID.findall(each)} & theirs}
    assert statuses(viewer, site, foreign) == {404}
    assert statuses(admin, site, foreign | below_own) == {404}
    assert statuses(viewer, site, below_own) <= {403, 404}


def statuses(page, site, paths):
    """Return how somebody's requests for these are answered."""
    return {page.request.get(site.url + each).status for each in paths}
