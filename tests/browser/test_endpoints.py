"""An endpoint's first minutes, in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from ascwebhooks.embedded.receiver import Failure, Receiver
from tests.waiting import wait_until


def test_what_is_typed_before_the_page_listens_is_checked_too(page, site, log_in):
    """On a slow line the form is there before what makes it answer."""
    log_in(page, site)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/htmx.min.js*", hold)
    with page.expect_request("**/htmx.min.js*"):
        page.goto(site.admin("/tenants/acme/new/endpoint"), wait_until="commit")
    page.get_by_label("URL").fill("https://10.0.0.1/")
    expect(page.get_by_text("deliveries may not reach")).to_have_count(0)
    (script,) = held
    script.continue_()
    expect(page.get_by_text("deliveries may not reach")).to_be_visible()


def test_from_nothing_to_the_answer_of_a_test_event(page, site, log_in, event):
    """Create with the live checks, take the secret, send a test, read the answer."""
    pipeline = site.pipeline
    pipeline.accept(event('{"percent_used": 95}'))
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/endpoints"))
    page.get_by_role("link", name="Create the first endpoint").click()

    page.get_by_label("URL").fill("https://10.0.0.1/")
    expect(page.get_by_text("deliveries may not reach")).to_be_visible()
    with Receiver(failure=Failure(503)) as receiver:
        page.get_by_label("URL").fill(receiver.url)
        expect(page.get_by_text("Deliveries may go there")).to_be_visible()
        page.get_by_label("All of budget").check()
        page.get_by_label("Filter").fill("data.percent_used >= 90")
        page.get_by_role("button", name="Try it on recent events").click()
        expect(page.get_by_text("1 of the last 1 events")).to_be_visible()
        page.get_by_text("Headers, retries, pace").click()
        page.get_by_label("Retry after").fill("5 s, 1 h")
        expect(page.get_by_text("3 attempts; the last one 1 h 5 s")).to_be_visible()
        page.get_by_role("button", name="Create endpoint").click()

        secret = page.get_by_label("Signing secret").input_value()
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]{40,}", secret)
        page.get_by_role("button", name="Send a test event").click()
        expect(page.get_by_text("Waiting for the answer")).to_be_visible()
        (found,) = pipeline.services.endpoints.page("acme", after=None, limit=2)
        pipeline.turns().take([found.endpoint.id])
        expect(page.get_by_text("Not taken: 503")).to_be_visible()
        (sent,) = pipeline.rows("SELECT id FROM delivery")
        pipeline.services.deliveries.cancel("acme", sent.id)
        expect(page.get_by_text("It has moved on meanwhile: cancelled")).to_be_visible()

    page.get_by_role("link", name="Endpoint", exact=True).click()
    expect(page.get_by_text("1 failure in a row")).to_be_visible()
    assert secret not in page.content()
    chart = page.get_by_role("img", name="Attempts by outcome")
    chart.focus()
    chart.press("End")
    readout = page.locator(".chart-readout").first
    expect(readout).to_contain_text(re.compile("Failed, tried again1"))


def test_a_phone_shows_the_list_without_scrolling_sideways(open_page, site, log_in):
    """Every state's card fits, with the longest URL there may be."""
    url = "http://127.0.0.1:9009/" + "a-long-path/" * 100
    endpoint_id = site.pipeline.endpoint(url, description="x" * 300)
    page = open_page("phone")
    log_in(page, site)
    for path in ("endpoints", "subscriptions", "new/endpoint"):
        page.goto(site.admin(f"/tenants/acme/{path}"))
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path
    page.goto(site.admin("/tenants/acme/endpoints"))
    page.get_by_role("link", name=re.compile("a-long-path")).click()
    expect(page.locator(".standing")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    site.services.endpoint_states.pause("acme", endpoint_id)
    state = page.locator(".standing")
    wait_until(lambda: "Paused" in state.inner_text(), 10, "the state is live")
