"""A session that ends while somebody fills a form in."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant

TENANT = "acme"
RESTORED = "Your session had ended, so nothing was sent"
SECRET = "Bearer planted-secret"


def end_sessions(site):
    site.pipeline.do("DELETE FROM session")


def come_back(page, login, password):
    expect(page.get_by_text("What you typed waits in this tab")).to_be_visible()
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill("wrong first")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("password is wrong")).to_be_visible()
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_what_was_typed_stands_in_the_form_after_the_login(page, site, log_in):
    """Secrets excepted, which are not even kept; then it is sent as if nothing was."""
    log_in(page, site)
    page.goto(site.admin(f"/tenants/{TENANT}/new/endpoint"))
    page.get_by_label("URL").fill("http://127.0.0.1:9009/hook")
    page.get_by_label("Description").fill("Pages the night shift")
    page.get_by_label("All of budget").check()
    page.get_by_text("CloudEvents, structured").click()
    page.get_by_text("Headers, retries, pace").click()
    page.get_by_label("Name of header 1").fill("Authorization")
    page.get_by_label("Value of header 1").fill(SECRET)
    page.get_by_role("button", name="Another header").click()
    page.get_by_label("Name of header 2").fill("X-Team")
    expect(page.get_by_text("Deliveries may go there")).to_be_visible()
    end_sessions(site)
    page.get_by_role("button", name="Create endpoint").click()

    come_back(page, "admin", site.password)
    page.wait_for_url(f"**/tenants/{TENANT}/new/endpoint")
    expect(page.get_by_text(RESTORED)).to_contain_text("type those again")
    expect(page.get_by_label("Description")).to_have_value("Pages the night shift")
    expect(page.get_by_label("All of budget")).to_be_checked()
    expect(page.get_by_label("CloudEvents, structured")).to_be_checked()
    expect(page.get_by_label("Name of header 2")).to_have_value("X-Team")
    expect(page.get_by_label("Value of header 1")).to_have_value("")
    kept = page.evaluate("JSON.stringify({...sessionStorage})")
    assert SECRET not in kept

    page.get_by_label("Value of header 1").fill(SECRET)
    page.get_by_label("Value of header 2").fill("night")
    page.get_by_role("button", name="Create endpoint").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The endpoint was created"
    )
    assert "draft" not in page.evaluate("Object.keys(sessionStorage).join()")
    (found,) = site.services.endpoints.page(TENANT, after=None, limit=2)
    assert found.endpoint.description == "Pages the night shift"
    assert set(found.header_names) == {"Authorization", "X-Team"}


def test_a_live_part_that_finds_the_session_over_loses_nothing(page, site, log_in):
    """Not the form is sent but what is checked while typing; and more lines than one
    begins with come back.
    """
    site.services.people.create("bob", grants=[Grant(Role.VIEWER)])
    log_in(page, site)
    page.goto(site.admin(f"/tenants/{TENANT}/new/endpoint"))
    end_sessions(site)
    page.get_by_label("URL").fill("http://127.0.0.1:9009/other")
    come_back(page, "admin", site.password)
    expect(page.get_by_text(RESTORED)).to_be_visible()
    expect(page.get_by_label("URL")).to_have_value("http://127.0.0.1:9009/other")


@pytest.mark.parametrize("again", [False, True], ids=["out", "out and in"])
def test_logging_out_in_another_tab_loses_nothing(page, site, log_in, again):
    """And logged in again there, the form is one of a session that is over."""
    log_in(page, site)
    page.goto(site.admin(f"/tenants/{TENANT}/edit"))
    page.get_by_label("Name").fill("Typed before")
    other = page.context.new_page()
    other.goto(site.admin("/tenants"))
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_label("Password")).to_be_visible()
    if again:
        log_in(other, site)
    page.get_by_role("button", name="Save").click()
    if again:
        expect(page.get_by_text("What you typed waits in this tab")).to_be_visible()
        page.get_by_role("button", name="Go back").click()
    else:
        come_back(page, "admin", site.password)
    expect(page.get_by_text(RESTORED)).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Typed before")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Typed before")


def test_somebody_elses_change_still_shows(page, site, log_in):
    """The form is as it was opened, also behind the login: no change is undone."""
    log_in(page, site)
    page.goto(site.admin(f"/tenants/{TENANT}/edit"))
    page.get_by_label("Name").fill("Mine")
    site.services.tenants.change(TENANT, {"name": "Changed meanwhile"})
    end_sessions(site)
    page.get_by_role("button", name="Save").click()
    come_back(page, "admin", site.password)
    expect(page.get_by_label("Name")).to_have_value("Mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody changed this tenant")).to_be_visible()
    assert site.services.tenants.get(TENANT).name == "Changed meanwhile"


def test_nobody_else_finds_what_was_typed(page, site, log_in):
    """Nor does anybody after logging out, or on the page of another form."""
    person = "correct horse battery"
    site.services.people.create("eve", grants=[Grant(Role.ADMIN)], password=person)
    log_in(page, site)
    page.goto(site.admin("/new/tenant"))
    page.get_by_label("Id").fill("globex")
    end_sessions(site)
    page.get_by_role("button", name="Create tenant").click()
    come_back(page, "eve", person)
    page.wait_for_url("**/new/tenant")
    expect(page.get_by_label("Id")).to_have_value("")
    expect(page.get_by_text(RESTORED)).to_have_count(0)

    page.get_by_label("Id").fill("initech")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("out=1"))
    assert "initech" not in page.evaluate("JSON.stringify({...sessionStorage})")
