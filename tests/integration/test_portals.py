"""Portal links: created, opened once, and what the visit shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.web.app import create_app

TENANT = "acme"
LINKS = f"/tenants/{TENANT}/portal-links"
SESSION, PROOF = "ascw_session", "ascw_link"


@pytest.fixture
def browser(api):
    """Somebody else's browser at the same application."""
    return api.app.test_client()


def path_of(url):
    return re.sub(r"^https?://[^/]+", "", url)


def link(api, **body):
    return path_of(api.post(LINKS, body).json["url"])


def proof(page):
    """Return what the form of a link's page carries."""
    return {"_csrf": re.search(r'name="_csrf" value="([^"]+)"', page.text)[1]}


def enter(browser, path, **options):
    """Look at a link, and press the button."""
    page = browser.get(path, **options)
    form = proof(page) if page.status_code == 200 else {}
    return browser.post(path, data=form, **options)


def visit(api, browser, **body):
    opened = enter(browser, link(api, **body))
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
        assert SESSION not in looked.headers["Set-Cookie"]
    assert "Webhooks of acme" in browser.get(path).text
    opened = enter(browser, path)
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
    """With nothing, a form of its own browser's, another link's, or from over there."""
    path, other = link(api, role="admin"), link(api)
    theirs = proof(api.app.test_client().get(path))
    nothing = hmac.new(b"", path.rpartition("/")[2].encode(), hashlib.sha256).digest()
    empty = {"_csrf": base64.urlsafe_b64encode(nothing).decode()}
    for form in ({}, theirs, empty):
        refused = browser.post(path, data=form)
        assert refused.status_code == 400
        assert "This browser did not show" in refused.text
        browser.delete_cookie(PROOF)
    of_other = proof(browser.get(other))
    mine = proof(browser.get(path))
    assert browser.post(path, data=theirs).status_code == 400
    assert browser.post(path, data=of_other).status_code == 400
    crossed = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post(path, data=mine, headers=crossed).status_code == 400
    assert browser.get_cookie(SESSION) is None
    assert browser.post(path, data=mine).status_code == 303, "it is still good"
    assert browser.get_cookie(PROOF) is None


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
    path = f"/admin/tenants/{TENANT}/new/endpoint"
    visit(api, browser, role="viewer")
    assert browser.get(path).status_code == 403
    visit(api, browser, role="admin")
    assert browser.get(path).status_code == 200


def test_where_a_tenants_data_may_go_is_not_for_its_visitors_to_say(api, browser):
    """Not even an admin's: neither offered, nor taken."""
    visit(api, browser, role="admin")
    page = browser.get(f"/admin/tenants/{TENANT}").text
    edit = f"/admin/tenants/{TENANT}/edit"
    assert edit not in page
    csrf = re.search(r'name="_csrf" value="([^"]*)"', page)[1]
    form = {"_csrf": csrf, "name": "x", "home_region": "us", "allowed_regions": "us"}
    assert browser.post(edit, data=form).status_code == 404
    assert api.get(f"/tenants/{TENANT}").json["allowed_regions"] == ["default"]


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
    enter(browser, path)
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
    opened = enter(client, f"/portal/{token}", **here)
    cookies = {
        name: next(x for x in answered.headers.getlist("Set-Cookie") if name in x)
        for name, answered in ((PROOF, looked), (SESSION, opened))
    }
    for part in ("__Host-", "Secure", "HttpOnly", "SameSite=None", "Partitioned"):
        assert part in cookies[PROOF]
        assert part in cookies[SESSION]
    inside = client.get(f"/admin/tenants/{TENANT}", **here)
    assert framed in inside.headers["Content-Security-Policy"]
    pipeline.do("DELETE FROM session")
    over = client.get(f"/admin/tenants/{TENANT}", **here)
    assert over.status_code == 401
    assert framed in over.headers["Content-Security-Policy"], "the frame can say so"
    login = client.application.test_client().get("/admin/login", **here)
    assert "frame-ancestors 'none'" in login.headers["Content-Security-Policy"]
