"""Portal links: created, opened once, and what the visit shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.web.app import create_app

TENANT = "acme"
LINKS = f"/tenants/{TENANT}/portal-links"
SESSION = "ascw_session"


@pytest.fixture
def browser(api):
    """Somebody else's browser at the same application."""
    return api.app.test_client()


def path_of(url):
    return re.sub(r"^https?://[^/]+", "", url)


def link(api, **body):
    return path_of(api.post(LINKS, body).json["url"])


def visit(api, browser, **body):
    opened = browser.post(link(api, **body))
    assert opened.status_code == 303, opened.text
    return opened


def actions(api, kind="portal_link"):
    entries = api.pipeline.services.audit.page(tenant_ids=[TENANT])
    return [each.action for each in entries if each.resource_kind == kind]


def test_a_link_is_shown_once_and_lives_for_five_minutes(api):
    made = api.post(LINKS)
    assert made.status_code == 201
    assert made.json["role"] == "viewer"
    assert made.json["id"].startswith("lnk_")
    assert re.fullmatch(r"http://localhost/portal/[\w-]{43}", made.json["url"])
    until = datetime.fromisoformat(made.json["expires_at"])
    assert timedelta(minutes=4) < until - datetime.now(UTC) <= timedelta(minutes=5)
    token = made.json["url"].rpartition("/")[2].encode()
    (row,) = api.pipeline.rows("SELECT * FROM portal_link")
    assert token not in bytes(row.digest)
    assert actions(api) == ["portal_link.created"]


@pytest.mark.parametrize(
    "body",
    [
        {"role": "publisher"},
        {"role": "owner"},
        {"role": None},
        {"expires_in_s": 0},
        {"expires_in_s": 3601},
        {"expires_in_s": "soon"},
        {"tenant_id": "globex"},
    ],
)
def test_a_bad_wish_is_refused(api, body):
    refused = api.post(LINKS, body)
    assert refused.status_code == 422
    assert api.pipeline.rows("SELECT * FROM portal_link") == []


def test_the_same_idempotency_key_is_the_same_link(api):
    headers = {"Idempotency-Key": "one"}
    first = api.post(LINKS, {}, headers=headers)
    again = api.post(LINKS, {}, headers=headers)
    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.post(LINKS, {"role": "admin"}, headers=headers).status_code == 422


def test_looking_at_a_link_does_not_use_it_up_and_opening_does(api, browser):
    """What previews links asks with GET or HEAD, and gets no session."""
    path = link(api, role="operator")
    for method in ("GET", "HEAD", "GET"):
        looked = browser.open(path, method=method)
        assert looked.status_code == 200
        assert "Set-Cookie" not in looked.headers
    assert "Webhooks of acme" in browser.get(path).text
    opened = browser.post(path)
    assert (opened.status_code, opened.location) == (303, f"/admin/tenants/{TENANT}")
    assert browser.get(opened.location).status_code == 200
    for again in (browser.get(path), browser.post(path)):
        assert again.status_code == 410
        assert "This link has been used; each opens once." in again.text
    assert actions(api) == ["session.opened", "portal_link.created"]


def test_forged_and_late_links_say_so(api, browser):
    assert "not one of ours" in browser.get("/portal/" + "x" * 43).text
    assert browser.post("/portal/%00%ff").status_code == 410
    path = link(api)
    api.pipeline.do("UPDATE portal_link SET expires_at = clock_timestamp()")
    for late in (browser.get(path), browser.post(path)):
        assert late.status_code == 410
        assert "This link has expired." in late.text
    assert browser.get_cookie(SESSION) is None


def test_another_site_cannot_open_a_link_for_somebody(api, browser):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post(link(api), headers=headers).status_code == 400


def test_a_visit_shows_the_tenant_and_nothing_beside(api, browser):
    """Not even to an admin's link: no key may outlive the visit."""
    api.post("/tenants", {"id": "globex", "name": "Globex Corporation"})
    visit(api, browser, role="admin")
    page = browser.get(f"/admin/tenants/{TENANT}").text
    assert "Globex" not in page
    assert "Find a tenant" not in page
    hrefs = set(re.findall(r'href="(/admin/[^"]*)"', page))
    inside = ("/admin/static/", f"/admin/tenants/{TENANT}")
    beside = {each for each in hrefs if not each.startswith(inside)}
    assert beside <= {"/admin/"}, "the brand leads to the start"
    assert browser.get("/admin/").location == f"/admin/tenants/{TENANT}"
    closed = ["/tenants", "/users", "/audit", "/keys", "/account", "/new/tenant"]
    closed += ["/tenants/globex", f"/tenants/{TENANT}/keys", f"/tenants/{TENANT}/audit"]
    closed += [f"/tenants/{TENANT}/new/key", f"/tenants/{TENANT}/delete"]
    for path in closed:
        assert browser.get(f"/admin{path}").status_code == 404, path


def test_a_visit_is_of_the_links_role(api, browser):
    visit(api, browser, role="viewer")
    assert browser.get(f"/admin/tenants/{TENANT}/edit").status_code == 403
    visit(api, browser, role="admin")
    assert browser.get(f"/admin/tenants/{TENANT}/edit").status_code == 200


def test_a_visit_ends_after_its_time_and_says_so(api, browser):
    visit(api, browser)
    until = api.pipeline.one("SELECT expires_at - created_at FROM session")
    assert until == timedelta(hours=1)
    api.pipeline.do("UPDATE session SET expires_at = clock_timestamp()")
    over = browser.get(f"/admin/tenants/{TENANT}")
    assert over.status_code == 401
    assert "Your visit is over" in over.text
    assert "password" not in over.text, "there is no login to offer"
    api.pipeline.services.maintenance.forget()
    assert browser.get(f"/admin/tenants/{TENANT}").status_code == 401


def test_a_visit_ends_with_its_tenant(api, browser):
    visit(api, browser)
    api.delete(f"/tenants/{TENANT}")
    assert browser.get(f"/admin/tenants/{TENANT}").status_code == 401


def test_links_that_are_over_are_forgotten_in_the_end(api, browser):
    """One whose visit goes on is kept; the others go a week after."""
    visit(api, browser)
    link(api)
    api.pipeline.do(
        "UPDATE portal_link SET expires_at = clock_timestamp() - interval '8 days'"
    )
    api.pipeline.services.maintenance.forget()
    assert api.pipeline.one("SELECT count(*) FROM portal_link") == 1
    assert browser.get(f"/admin/tenants/{TENANT}").status_code == 200


def test_leaving_ends_the_visit(api, browser):
    visit(api, browser)
    page = browser.get(f"/admin/tenants/{TENANT}").text
    csrf = re.search(r'name="_csrf" value="([^"]*)"', page)[1]
    assert browser.post("/admin/logout", data={"_csrf": csrf}).status_code == 200
    assert api.pipeline.rows("SELECT * FROM session") == []
    assert actions(api)[0] == "session.closed"


def test_opening_a_link_ends_ones_own_session(api, browser):
    api.pipeline.services.people.create(
        "ann", grants=[Grant(Role.ADMIN)], password="correct horse battery"
    )
    page = browser.get("/admin/login").text
    proof = re.search(r'name="_csrf" value="([^"]+)"', page)[1]
    given = {"_csrf": proof, "login": "ann", "password": "correct horse battery"}
    browser.post("/admin/login", data=given)
    path = link(api)
    assert "You are logged in already" in browser.get(path).text
    browser.post(path)
    assert api.pipeline.one("SELECT count(*) FROM session") == 1
    assert browser.get("/admin/users").status_code == 404


def test_nobody_frames_a_portal_unless_that_is_set(api, browser):
    path = link(api)
    for answered in (browser.get(path), browser.post(path)):
        assert "frame-ancestors 'none'" in answered.headers["Content-Security-Policy"]
        assert answered.headers["X-Frame-Options"] == "DENY"


def test_whom_the_setting_names_may_frame_the_portal_and_nothing_else(make_pipeline):
    """In a frame the cookie is a third party's: partitioned, and for TLS alone."""
    pipeline = make_pipeline(
        public_url="https://hooks.example.com",
        portal_frame_ancestors=("https://console.example.com",),
    )
    pipeline.services.tenants.create(TENANT)
    client = create_app(pipeline.services, pipeline.settings).test_client()
    _, token = pipeline.services.portals.create_link(TENANT)
    here = {"base_url": "https://hooks.example.com"}
    framed = "frame-ancestors https://console.example.com"

    looked = client.get(f"/portal/{token}", **here)
    assert framed in looked.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in looked.headers
    opened = client.post(f"/portal/{token}", **here)
    cookie = next(
        each for each in opened.headers.getlist("Set-Cookie") if SESSION in each
    )
    for part in ("__Host-", "Secure", "HttpOnly", "SameSite=None", "Partitioned"):
        assert part in cookie
    inside = client.get(f"/admin/tenants/{TENANT}", **here)
    assert framed in inside.headers["Content-Security-Policy"]
    pipeline.do("DELETE FROM session")
    over = client.get(f"/admin/tenants/{TENANT}", **here)
    assert over.status_code == 401
    assert framed in over.headers["Content-Security-Policy"], "the frame can say so"
    login = client.application.test_client().get("/admin/login", **here)
    assert "frame-ancestors 'none'" in login.headers["Content-Security-Policy"]
