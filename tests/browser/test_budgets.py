"""A budget from its form to an alert, on its page and on the timeline."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.integration.budgets import spend


def test_a_budget_is_created_and_crossed_and_seen_on_the_timeline(page, site, log_in):
    site.pipeline.endpoint(description="The pager", event_types=["budget.*"])
    log_in(page, site)
    page.goto(site.admin("/tenants/acme"))
    page.get_by_role("link", name="Budgets", exact=True).click()
    page.get_by_role("link", name="Create the first budget").click()
    page.get_by_label("Name").fill("Search team")
    page.get_by_label("Which").fill("search")
    page.get_by_label("Limit", exact=True).fill("ten")
    page.get_by_label("Period", exact=True).select_option("rolling")
    expect(page.get_by_label("Time zone")).to_be_hidden()
    page.get_by_role("button", name="Create budget").click()
    expect(page.locator("#limit-error")).to_have_text("A number, as in 100.50.")
    expect(page.get_by_label("How many")).to_have_value("30")
    page.get_by_label("Limit", exact=True).fill("10")
    page.get_by_role("button", name="Create budget").dblclick()
    expect(page.get_by_role("heading", name="Search team")).to_be_visible()
    expect(page.get_by_text("No line was crossed")).to_be_visible()
    assert len(site.services.budgets.all("acme")) == 1, "a double click makes one"

    spend(site.pipeline, "8.5", "2.25")
    page.reload()
    expect(page.get_by_text("Exceeded", exact=True).first).to_be_visible()
    expect(page.get_by_text("10.75\u00a0USD", exact=True)).to_be_visible()
    told = page.get_by_role("region", name="What was told")
    expect(told.get_by_text("80 % of the limit")).to_be_visible()
    expect(told.get_by_text("The pager").first).to_be_visible()

    page.get_by_role("link", name="Timeline", exact=True).click()
    plot = page.locator(".lanes .chart-plot")
    plot.focus()
    page.keyboard.press("End")
    readout = page.locator(".lanes .chart-readout")
    expect(readout).to_contain_text(re.compile(r"Spend in USD\s*10.75"))
    page.keyboard.press("Enter")
    page.wait_for_url("**at=**")
    behind = page.get_by_role("region", name=re.compile(" to "))
    behind.get_by_role("link", name="Search team").first.click()
    expect(page.get_by_role("heading", name="Search team")).to_be_visible()


def test_a_timeline_is_read_on_a_phone(open_page, site, log_in):
    page = open_page("phone", color_scheme="dark")
    log_in(page, site)
    spend(site.pipeline, "8.5")
    page.goto(site.admin("/tenants/acme/timeline?span=1h"))
    expect(page.get_by_text("Spend in USD").first).to_be_visible()
    expect(page.locator(".lanes-legend")).to_contain_text("Failed, tried again")
    expect(page.locator(".lanes-legend")).to_be_visible()
    wide = "() => document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(wide) <= 0, "nothing is to be scrolled aside"
    page.get_by_text("Show as a table").click()
    page.locator(".lanes .rows-plain a").last.click()
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
