"""Single sign-on and a portal link, in a browser; the provider is a real process."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.integration.pipeline import TENANT
from tests.integration.providers import real_provider

ANN = {"sub": "ann-1", "preferred_username": "ann", "name": "Ann Example"}


@pytest.fixture
def environ(tmp_path):
    """Single sign-on at a provider that knows Ann."""
    with real_provider(tmp_path, {**ANN, "groups": ["acme-ops"]}) as issuer:
        yield {
            "ASCWEBHOOKS_OIDC_ISSUER": issuer,
            "ASCWEBHOOKS_OIDC_NAME": "Example ID",
            "ASCWEBHOOKS_OIDC_CLIENT_ID": "ascwebhooks",
            "ASCWEBHOOKS_OIDC_CLIENT_SECRET": "secret",
            "ASCWEBHOOKS_OIDC_ROLES": f"acme-ops=operator@{TENANT},asc=admin",
        }


def test_somebody_signs_in_where_they_wanted_to_be_and_out_again(page, site):
    """To the provider and back to the page that was asked for; out at both."""
    wanted = site.admin(f"/tenants/{TENANT}")
    page.goto(wanted)
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.get_by_role("button", name="ann-1").click()
    page.wait_for_url(wanted)
    expect(page.get_by_text("Ann Example")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/oauth2/end_session?**")
    page.goto(wanted)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_portal_link_opens_the_tenants_pages_once(page, site):
    _, token = site.services.portals.create_link(TENANT)
    page.goto(f"{site.url}/portal/{token}")
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(site.admin(f"/tenants/{TENANT}"))
    expect(page.get_by_text("By a portal link")).to_be_visible()
    expect(page.get_by_text("All tenants")).to_have_count(0)
    page.goto(f"{site.url}/portal/{token}")
    expect(page.get_by_text("This link has been used")).to_be_visible()
