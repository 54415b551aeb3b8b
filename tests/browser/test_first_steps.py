"""What somebody does first, in a browser."""

from __future__ import annotations

from playwright.sync_api import expect


def test_the_first_administrator_logs_in_and_creates_a_tenant(page, site, log_in):
    """From the login that the first start prints to a tenant in the list."""
    log_in(page, site)
    expect(page.get_by_text("Nothing is sent anywhere yet")).to_be_visible()
    page.get_by_role("link", name="Go to the tenants").click()
    page.get_by_role("link", name="New tenant").click()
    page.get_by_label("Id").fill("globex")
    page.get_by_label("Name").fill("Globex Corporation")
    page.get_by_role("button", name="Create tenant").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Globex Corporation")
    expect(page.get_by_text("Tenant globex was created.")).to_be_visible()
    page.get_by_role("link", name="Tenants", exact=True).click()
    expect(page.get_by_role("link", name="Globex Corporation")).to_be_visible()
