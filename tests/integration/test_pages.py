"""The pages: logging in, forms that prove themselves, who sees what."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant, PersonState
from ascwebhooks.web.app import create_app

PASSWORD = "correct horse battery"
TENANT = "acme"
SESSION = "ascw_session"


class Browser:
    """Somebody's browser: keeps cookies, follows no redirects."""

    def __init__(self, app):
        self.client = app.test_client()

    def get(self, path, **options):
        return self.client.get(f"/admin{path}", **options)

    def post(self, path, form=None, *, csrf=None, **options):
        """Post a form with the token of the page before, or another one."""
        token = self.csrf if csrf is None else csrf
        data = {"_csrf": token, **(form or {})}
        return self.client.post(f"/admin{path}", data=data, **options)

    @property
    def csrf(self):
        return re.search(r'name="_csrf" value="([^"]*)"', self.get("/account").text)[1]

    def log_in(self, login, password=PASSWORD, **form):
        page = self.get("/login").text
        proof = re.search(r'name="_csrf" value="([^"]+)"', page)[1]
        given = {"_csrf": proof, "login": login, "password": password, **form}
        return self.client.post("/admin/login", data=given)


@pytest.fixture
def app(pipeline):
    return create_app(pipeline.services, pipeline.settings)


@pytest.fixture
def person(pipeline):
    """Makes people: ``person("ann", Role.VIEWER, tenant_id)``."""

    def make(login, role, *tenant_ids):
        grants = [Grant(role, each) for each in tenant_ids or (None,)]
        return pipeline.services.people.create(login, grants=grants, password=PASSWORD)

    return make


@pytest.fixture
def browser(app, person):
    """Makes browsers in which somebody new has logged in."""

    def make(role, *tenant_ids):
        login = f"{role}-{'-'.join(tenant_ids)}"
        person(login, role, *tenant_ids)
        made = Browser(app)
        assert made.log_in(login).status_code == 303
        return made

    return make


def test_whoever_is_not_logged_in_gets_to_the_login_and_back(app, person):
    person("ann", Role.ADMIN)
    somebody = Browser(app)
    turned = somebody.get("/tenants?search=ac")
    assert turned.status_code == 303
    assert turned.location == "/admin/login?next=/admin/tenants?search%3Dac"
    page = somebody.client.get(turned.location).text
    assert 'name="next" value="/admin/tenants?search=ac"' in page
    came = somebody.log_in("ann", next="/admin/tenants?search=ac")
    assert (came.status_code, came.location) == (303, "/admin/tenants?search=ac")


ELSEWHERE = [
    "https://evil.example/admin",
    "//evil.example/admin",
    "/\\evil.example",
    "/admin\\@evil.example",
    "/admin/../api",
    "javascript:alert(1)",
    "/admin/\r\nx",
    "/administration",
    "/admin/logout",
    "\t//evil.example",
    "//[x",
    "http://[",
    "/admin/%2e%2e/api",
    "/admin/%6cogout",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_the_login_leads_to_no_other_place(app, person, target):
    person("ann", Role.ADMIN)
    assert Browser(app).log_in("ann", next=target).location == "/admin/"


def test_a_session_is_a_new_token_in_a_cookie_that_scripts_cannot_read(app, person):
    person("ann", Role.ADMIN)
    somebody = Browser(app)
    first = somebody.log_in("ann")
    cookie = next(
        each for each in first.headers.getlist("Set-Cookie") if SESSION in each
    )
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    former = somebody.client.get_cookie(SESSION).value
    somebody.log_in("ann")
    assert somebody.client.get_cookie(SESSION).value != former
    somebody.client.set_cookie(SESSION, former)
    assert somebody.get("/tenants").status_code == 303, "the former one has ended"


def test_behind_tls_cookies_are_for_tls_and_this_host_alone(make_pipeline):
    pipeline = make_pipeline(public_url="https://hooks.example.com")
    grants = [Grant(Role.ADMIN)]
    pipeline.services.people.create("ann", grants=grants, password=PASSWORD)
    app = create_app(pipeline.services, pipeline.settings)
    somebody = app.test_client()
    page = somebody.get("/admin/login", base_url="https://hooks.example.com")
    (cookie,) = page.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert "; Secure" in cookie
    assert "Domain" not in cookie


def test_unknown_and_wrong_are_the_same_answer(app, person):
    person("ann", Role.ADMIN)
    wrong, unknown = (
        re.sub(r'value="[^"]*"', "", Browser(app).log_in(login, "no").text)
        for login in ("ann", "bob")
    )
    assert wrong == unknown.replace("bob", "ann")
    assert "The login or the password is wrong." in wrong


def test_logins_are_throttled_also_with_the_right_password(app, person):
    person("ann", Role.ADMIN)
    for _ in range(5):
        assert Browser(app).log_in("ann", "no").status_code == 401
    refused = Browser(app).log_in("ANN ")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 5


def test_an_address_is_throttled_whatever_the_login(pipeline, app, person):
    person("ann", Role.ADMIN)
    for number in range(20):
        assert Browser(app).log_in(f"nobody-{number}", "no").status_code == 401
    assert Browser(app).log_in("ann").status_code == 429
    pipeline.do("UPDATE login_throttle SET blocked_until = now() - interval '1 s'")
    assert Browser(app).log_in("ann").status_code == 303


def test_a_disabled_person_is_out_at_once(pipeline, app, person):
    person("root", Role.ADMIN)
    ann, somebody = person("ann", Role.ADMIN), Browser(app)
    somebody.log_in("ann")
    pipeline.services.people.change(ann.id, state=PersonState.DISABLED)
    assert somebody.get("/tenants").status_code == 303
    assert somebody.log_in("ann").status_code == 401


@pytest.mark.parametrize(
    "past",
    [
        pytest.param("last_seen_at = now() - interval '3 hours'", id="idle"),
        pytest.param("expires_at = now() - interval '1 s'", id="too long"),
    ],
)
def test_a_session_ends_and_its_forms_lead_back(pipeline, browser, past):
    somebody = browser(Role.ADMIN)
    token = somebody.csrf
    pipeline.do(f"UPDATE session SET {past}")
    form = {"id": "globex", "_from": "/admin/new/tenant"}
    ended = somebody.post("/new/tenant", form, csrf=token)
    assert ended.status_code == 303
    assert ended.location == "/admin/login?next=/admin/new/tenant&ended=1"
    assert "Your session has ended" in somebody.client.get(ended.location).text


def test_an_ended_session_sends_the_whole_page_of_htmx_away(app):
    headers = {
        "HX-Request": "true",
        "HX-Current-URL": "http://localhost/admin/audit?a=1",
    }
    answer = Browser(app).get("/tenants", headers=headers)
    assert answer.status_code == 204
    login = "/admin/login?next=/admin/audit?a%3D1&ended=1"
    assert answer.headers["HX-Redirect"] == login


def test_logging_out_ends_the_session_on_the_server(browser):
    somebody = browser(Role.ADMIN)
    token = somebody.client.get_cookie(SESSION).value
    assert somebody.post("/logout").status_code == 303
    somebody.client.set_cookie(SESSION, token)
    assert somebody.get("/tenants").status_code == 303


def test_every_form_has_to_prove_itself(app, pipeline, browser, subtests):
    """All routes that change something, with no token, a wrong and another's."""
    somebody, another = browser(Role.ADMIN), browser(Role.ADMIN, TENANT)
    places = {"tenant_id": TENANT, "user_id": "x", "key_id": "x", "verb": "disable"}
    routes = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("admin.") and "POST" in (rule.methods or ())
    ]
    assert len(routes) > 10
    for rule in routes:
        given = {name: places.get(name, "x") for name in rule.arguments}
        path = app.url_map.bind("localhost").build(rule.endpoint, given, "POST")
        for token in ("", "wrong", another.csrf):
            with subtests.test(f"{path} {token!r}"):
                answer = somebody.client.post(path, data={"_csrf": token})
                assert answer.status_code == 400
    crossed = somebody.post("/logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 400
    assert pipeline.services.tenants.get(TENANT)


#: Who gets what: of each page, its status for each visitor.
VIEWER, TENANTS_ADMIN, ADMIN = "viewer", "tenant's admin", "admin"
SEEN = {
    "/tenants": (200, 200, 200),
    f"/tenants/{TENANT}": (200, 200, 200),
    f"/tenants/{TENANT}/edit": (403, 200, 200),
    f"/tenants/{TENANT}/delete": (403, 404, 200),
    f"/tenants/{TENANT}/keys": (403, 200, 200),
    f"/tenants/{TENANT}/new/key": (403, 200, 200),
    f"/tenants/{TENANT}/audit": (403, 200, 200),
    f"/tenants/{TENANT}/audit/export.csv": (403, 200, 200),
    "/tenants/globex": (200, 404, 200),
    "/tenants/globex/edit": (403, 404, 200),
    "/tenants/globex/keys": (403, 404, 200),
    "/tenants/globex/audit": (403, 404, 200),
    "/tenants/nobody": (404, 404, 404),
    "/tenants/a%00b": (404, 404, 404),
    "/new/tenant": (403, 404, 200),
    "/keys": (403, 404, 200),
    "/new/key": (403, 404, 200),
    "/users": (403, 404, 200),
    "/new/user": (403, 404, 200),
    "/users/usr_x": (403, 404, 404),
    "/audit": (403, 404, 200),
    "/audit/export.jsonl": (403, 404, 200),
    "/account": (200, 200, 200),
    "/nowhere": (404, 404, 404),
}


def test_each_role_sees_what_it_may_and_nothing_else(pipeline, browser, subtests):
    pipeline.services.tenants.create("globex")
    visitors = (browser(Role.VIEWER), browser(Role.ADMIN, TENANT), browser(Role.ADMIN))
    for path, statuses in SEEN.items():
        for visitor, status in zip(visitors, statuses, strict=True):
            with subtests.test(path):
                assert visitor.get(path).status_code == status


def test_another_tenant_is_the_same_as_none(pipeline, browser):
    """Word for word, and nothing on any page of one's own tells of it."""
    pipeline.services.tenants.create("globex", name="Globex Corporation")
    somebody = browser(Role.ADMIN, TENANT)
    there, nowhere = somebody.get("/tenants/globex"), somebody.get("/tenants/nobody")
    same = re.compile(r"globex|nobody|[0-9a-f]{32}")
    assert same.sub("", there.text) == same.sub("", nowhere.text)
    for path in ("/tenants", f"/tenants/{TENANT}", f"/tenants/{TENANT}/audit"):
        assert "globex" not in somebody.get(path).text.lower()


def test_a_change_is_not_lost_to_a_form_that_was_opened_before_it(pipeline, browser):
    somebody = browser(Role.ADMIN)
    page = somebody.get(f"/tenants/{TENANT}/edit").text
    seen = re.search(r'name="seen" value="([^"]+)"', page)[1]
    pipeline.services.tenants.change(TENANT, {"name": "Changed meanwhile"})
    form = {"name": "Mine", "home_region": "default", "allowed_regions": "default"}
    stale = somebody.post(f"/tenants/{TENANT}/edit", {**form, "seen": seen})
    assert stale.status_code == 412
    assert "somebody changed this tenant" in stale.text.lower()
    assert pipeline.services.tenants.get(TENANT).name == "Changed meanwhile"


def test_a_tenant_is_deleted_only_when_its_id_was_typed(pipeline, browser):
    somebody = browser(Role.ADMIN)
    wrong = somebody.post(f"/tenants/{TENANT}/delete", {"typed": "acm"})
    assert wrong.status_code == 422
    assert somebody.get(f"/tenants/{TENANT}").status_code == 200
    gone = somebody.post(f"/tenants/{TENANT}/delete", {"typed": TENANT})
    assert gone.status_code == 303
    assert somebody.get(f"/tenants/{TENANT}").status_code == 404


def test_what_is_wrong_stands_next_to_its_field_and_what_was_typed_stays(browser):
    somebody = browser(Role.ADMIN)
    form = {"id": "not an id", "name": "<script>alert(1)</script>"}
    answer = somebody.post("/new/tenant", form)
    assert answer.status_code == 422
    assert 'id="id-error"' in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    taken = somebody.post("/new/tenant", {"id": TENANT})
    assert taken.status_code == 409
    assert "exists already" in taken.text


def test_a_key_is_shown_once_and_a_tenants_admin_makes_their_tenants_alone(
    pipeline, browser
):
    somebody = browser(Role.ADMIN, TENANT)
    path = f"/tenants/{TENANT}/new/key"
    page = somebody.post(path, {"name": "gateway", "role": "publisher", "days": "30"})
    secret = re.search(r">(ascw_[^<]+)</textarea>", page.text)[1]
    row = pipeline.services.keys.recognise(secret)
    assert (row.tenant_id, row.role, row.name) == (TENANT, "publisher", "gateway")
    assert row.expires_at - row.created_at == timedelta(days=30)
    assert secret not in somebody.get(f"/tenants/{TENANT}/keys").text
    _, foreign = pipeline.services.keys.create(Role.VIEWER)
    theirs = ids.show(Kind.API_KEY, pipeline.services.keys.recognise(foreign).id)
    refused = somebody.post(f"/tenants/{TENANT}/keys/{theirs}/revoke")
    assert refused.status_code == 404
    assert pipeline.services.keys.recognise(foreign), "it is still in force"


def seen(somebody, path: str) -> str:
    """Return on what a form was opened."""
    found = re.search(r'name="seen" value="([^"]*)"', somebody.get(path).text)
    assert found
    return unescape(found[1])


def test_the_last_administrator_stays(browser, pipeline):
    somebody = browser(Role.ADMIN)
    (only,) = pipeline.services.people.page()
    shown = ids.show(Kind.USER, only.id)
    form = {"role": "viewer", "name": "x", "seen": seen(somebody, f"/users/{shown}")}
    kept = somebody.post(f"/users/{shown}", form)
    assert kept.status_code == 409
    assert somebody.post(f"/users/{shown}/disable").status_code == 409
    assert somebody.get("/users").status_code == 200


def test_roles_change_from_the_next_request_on(browser, pipeline):
    admin, viewer = browser(Role.ADMIN), browser(Role.VIEWER)
    person = pipeline.services.people.by_login("viewer-")
    form = {
        "role": "",
        "tenant_ids": [TENANT, ""],
        "tenant_roles": ["operator", "viewer"],
    }
    shown = ids.show(Kind.USER, person.id)
    form["seen"] = seen(admin, f"/users/{shown}")
    assert admin.post(f"/users/{shown}", form).status_code == 303
    assert viewer.get("/audit").status_code == 404
    assert viewer.get(f"/tenants/{TENANT}").status_code == 200


def test_a_stale_form_gives_no_role_back(browser, pipeline):
    """Somebody took a role away meanwhile; a new name must not restore it."""
    admin = browser(Role.ADMIN)
    browser(Role.OPERATOR)
    bob = pipeline.services.people.by_login("operator-")
    path = f"/users/{ids.show(Kind.USER, bob.id)}"
    stale = {"role": "operator", "name": "Bob", "seen": seen(admin, path)}
    taken = {"role": "viewer", "name": "Bob", "seen": stale["seen"]}
    assert admin.post(path, taken).status_code == 303
    assert admin.post(path, stale).status_code == 412
    roles = pipeline.services.people.by_login("operator-").roles
    assert [each.role for each in roles] == ["viewer"]


def test_no_span_but_those_offered_is_taken(browser):
    somebody = browser(Role.ADMIN)
    for asked in ("24h by hour", "1y", ""):
        assert somebody.get(f"/overview?span={asked}").status_code == 200


def test_whoever_changes_their_password_stays_in_and_their_others_are_out(app, person):
    person("ann", Role.ADMIN)
    here, elsewhere = Browser(app), Browser(app)
    here.log_in("ann")
    elsewhere.log_in("ann")
    new = {"password": "another good sentence", "again": "another good sentence"}
    assert here.post("/account", {"current": "wrong", **new}).status_code == 422
    assert here.post("/account", {"current": PASSWORD, **new}).status_code == 303
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303


def test_ones_own_password_is_guessed_no_faster_than_at_the_login(
    pipeline, app, person
):
    """Tries at both doors count together, and each wrong one is written down."""
    person("ann", Role.ADMIN)
    here = Browser(app)
    here.log_in("ann")
    new = {"password": "another good sentence", "again": "another good sentence"}
    for _ in range(4):
        wrong = here.post("/account", {"current": "wrong", **new})
        assert wrong.status_code == 422
        assert "not your present password" in wrong.text
    assert Browser(app).log_in("ann", "wrong").status_code == 401
    refused = here.post("/account", {"current": PASSWORD, **new})
    assert refused.status_code == 429
    assert "Too many tries failed" in refused.text
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert Browser(app).log_in("ann").status_code == 429
    pipeline.do("UPDATE login_throttle SET blocked_until = now() - interval '1 s'")
    assert here.post("/account", {"current": PASSWORD, **new}).status_code == 303
    assert here.post("/account", {"current": "wrong", **new}).status_code == 422
    entries = [
        (each.action, each.actor_name, each.address)
        for each in pipeline.services.audit.page()
        if each.action.startswith("user.password")
    ]
    at = ("ann", "127.0.0.1")
    refusal = ("user.password_refused", *at)
    assert entries == [refusal, ("user.password_set", *at), *[refusal] * 4]


def test_pages_run_nothing_inline_and_are_framed_by_nobody(browser, subtests):
    somebody = browser(Role.ADMIN)
    for path in (each for each, statuses in SEEN.items() if statuses[2] == 200):
        with subtests.test(path):
            page = somebody.get(path)
            policy = page.headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<style|style=| on\w+=|<script(?! src)", page.text)


def test_files_are_kept_for_as_long_as_they_are_the_same(app):
    page = Browser(app).get("/login").text
    url = re.search(r'href="([^"]+app\.css[^"]*)"', page)[1]
    answer = app.test_client().get(url, buffered=True)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]


def test_the_root_leads_to_the_pages_and_the_api_stays_what_it_is(app):
    client = app.test_client()
    assert client.get("/").location == "/admin"
    assert client.get("/nowhere").content_type == "application/problem+json"
    assert client.get("/api/v1/tenants").status_code == 401
    assert client.get("/healthz").status_code == 200
