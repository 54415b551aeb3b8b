"""Following what is delivered, and finding out why something was not, in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from tests.integration.dead import plant
from tests.integration.receivers import Receiver, keep_alive

NO = b'HTTP/1.1 503 X\r\nContent-Length: 21\r\n\r\n{"why": "overloaded"} '


def test_deliveries_come_in_while_one_watches(page, site, log_in):
    """New rows on top, rows that move on in place; paused, the list stands still."""
    pipeline = site.pipeline
    pipeline.endpoint()
    first = pipeline.deliver_one(id="one")
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/deliveries"))
    rows = page.locator("#delivery-rows > tr")
    expect(rows).to_have_count(1)

    pipeline.deliver_one(id="two")
    pipeline.services.deliveries.cancel("acme", first)
    pipeline.do("UPDATE delivery SET attempt_count = 1 WHERE id = :id", id=first)
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("Cancelled")
    expect(rows.nth(0)).to_contain_text("Pending")
    expect(page.locator("#tail-told")).to_have_text("1 new delivery")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#tail-word")).to_have_text("Paused")
    pipeline.deliver_one(id="three")
    with page.expect_response(re.compile("/news")):
        page.get_by_role("button", name="Go on").click()
    expect(rows).to_have_count(3)


def test_what_dies_comes_into_a_list_of_what_died(page, site, log_in):
    """Wherever it belongs, and goes when it is no longer so; the focus stays."""
    pipeline = site.pipeline
    endpoint_id = pipeline.endpoint()
    waits = pipeline.deliver_one(id="long ago")
    plant(pipeline, endpoint_id, 2)
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/deliveries?status=dead_lettered"))
    rows = page.locator("#delivery-rows > tr")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("link").first.focus()
    first = rows.first.get_attribute("id")

    end = "UPDATE delivery SET status = :status, dead_reason = :reason WHERE id = :id"
    pipeline.do(end, status="dead_lettered", reason="gone", id=waits)
    expect(rows).to_have_count(3)
    expect(page.locator("#tail-told")).to_have_text("1 new delivery")
    assert page.evaluate("document.activeElement.closest('tr').id") == first
    pipeline.do(end, status="pending", reason=None, id=waits)
    expect(rows).to_have_count(2)


def test_times_are_typed_here_and_shared_as_utc(open_page, site, log_in):
    """Berlin in November is an hour ahead of UTC, New York five behind."""
    plant(site.pipeline, site.pipeline.endpoint(), 2)
    page = open_page()
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/deliveries"))
    page.get_by_label("Time").select_option("own")
    page.get_by_label("From").fill("2026-11-20T09:30")
    expect(page.get_by_text("From (CET)")).to_be_visible()
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(lambda url: "since=2026-11-20T08%3A30Z" in url)
    assert "until" not in page.url
    expect(page.get_by_label("From")).to_have_value("2026-11-20T09:30")

    other = open_page(timezone_id="America/New_York", locale="en-US")
    log_in(other, site)
    other.goto(page.url)
    expect(other.get_by_label("From")).to_have_value("2026-11-20T03:30")
    other.get_by_role("button", name="Filter").click()
    other.wait_for_url(lambda url: "since=2026-11-20T08%3A30Z" in url)

    # The hour that is there twice: half past two, the second time.
    second = "2026-10-25T01%3A30%3A07Z"
    page.goto(site.admin(f"/tenants/acme/dead-letters?since={second}"))
    expect(page.get_by_label("Accepted since")).to_have_value("2026-10-25T02:30:07")
    page.get_by_label("Reason", exact=True).select_option("gone")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(lambda url: "reason=gone" in url)
    assert f"since={second}" in page.url


def test_times_without_scripts_are_utc_and_say_so(open_page, site, log_in):
    page = open_page(java_script_enabled=False)
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/deliveries?range=own&since=2026-11-20T08:30Z"))
    expect(page.get_by_label("From (UTC)")).to_have_value("2026-11-20T08:30")


def test_filters_are_in_the_url_and_stay_through_the_pages(page, site, log_in):
    endpoint_id = site.pipeline.endpoint(description="Billing")
    plant(site.pipeline, endpoint_id, 70)
    plant(site.pipeline, endpoint_id, 2, status="delivered")
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/deliveries"))
    page.get_by_label("Status", exact=True).select_option("dead_lettered")
    page.get_by_label("Endpoint").select_option("Billing")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(lambda url: "status=dead_lettered&endpoint_id=ep_" in url)
    assert "error=" not in page.url and "since=" not in page.url

    rows = page.locator("#delivery-rows > tr")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(rows).to_have_count(20)
    assert "status=dead_lettered" in page.url
    page.get_by_role("link", name="Previous page").click()
    expect(rows).to_have_count(50)


def test_from_an_event_to_why_it_failed_and_again(page, site, log_in):
    """The event, its fan-out, the attempt with its answer, its signature, retry."""
    pipeline = site.pipeline
    with Receiver(keep_alive(NO)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), description="Billing")
        delivery_id = pipeline.deliver_one(id="order-7")
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        pipeline.idle(endpoint_id)
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/events"))
    page.get_by_label("Find").fill(
        ids.show(Kind.EVENT, pipeline.delivery(delivery_id).event_id)
    )
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 attempt failed.")).to_be_visible()
    page.get_by_role("link", name="Attempts").click()

    page.get_by_role("link", name="Show requests and answers").click()
    expect(page.get_by_label("Body of the answer", exact=True)).to_contain_text(
        "overloaded"
    )
    curl = page.get_by_role("button", name="Copy as curl").get_attribute("data-copy")
    assert curl is not None and curl.startswith("curl --globoff --request POST 'http:")
    page.get_by_role("link", name="Verify this signature").click()
    expect(page.get_by_text("It is the same as signature 1 of 1")).to_be_visible()

    page.get_by_role("link", name="Delivery", exact=True).click()
    page.get_by_role("button", name="Retry now").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Retry now").click()
    expect(page.get_by_text("The delivery is due now")).to_be_visible()


def test_what_becomes_of_a_delivery_is_seen_while_one_watches(page, site, log_in):
    """Its page and its event's are shown anew; not while somebody is being asked."""
    pipeline = site.pipeline
    with Receiver(keep_alive(NO)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[3600])
        delivery_id = pipeline.deliver_one(id="watched")
        log_in(page, site)
        shown = ids.show(Kind.DELIVERY, delivery_id)
        page.goto(site.admin(f"/tenants/acme/deliveries/{shown}"))
        page.get_by_role("button", name="Retry now").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        # Each refused look would have closed it.
        page.evaluate(
            """() => new Promise((done) => {
                let left = 2;
                document.addEventListener("htmx:beforeRequest", (event) => {
                    if (event.defaultPrevented && --left === 0) done();
                });
            })"""
        )
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Keep").or_(
            dialog.get_by_role("button", name="Cancel")
        ).first.click()
        expect(page.locator("#attempt-1")).to_contain_text("503")
        seconds = re.compile(r", \d\d:\d\d:\d\d")
        expect(page.locator("#attempt-1 time")).to_have_text(seconds)

        event_id = ids.show(Kind.EVENT, pipeline.delivery(delivery_id).event_id)
        page.goto(site.admin(f"/tenants/acme/events/{event_id}"))
        expect(page.get_by_text("1 attempt failed.")).to_be_visible()
        pipeline.services.deliveries.cancel("acme", delivery_id)
        expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()


def test_what_had_ended_and_goes_on_again_is_seen_by_whoever_comes_back(
    page, site, log_in
):
    """A replay elsewhere reopens it; a tab that nobody looks at asks for nothing."""
    pipeline = site.pipeline
    (delivery_id,) = plant(pipeline, pipeline.endpoint())
    log_in(page, site)
    page.goto(
        site.admin(f"/tenants/acme/deliveries/{ids.show(Kind.DELIVERY, delivery_id)}")
    )
    expect(page.get_by_label("State")).to_contain_text("Dead letter")
    asked = []
    page.on("request", lambda each: "/moves" in each.url and asked.append(each.url))
    turn = """(hidden) => {
        const told = { value: hidden, configurable: true };
        Object.defineProperty(document, "hidden", told);
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(turn, True)
    site.services.replays.create("acme", filter={"status": "dead_lettered"})
    site.services.walking.walk()
    assert asked == []
    page.evaluate(turn, False)
    expect(page.get_by_label("State")).to_contain_text("Next attempt:")


def test_who_reads_what_was_opened_is_told_and_not_interrupted(page, site, log_in):
    """Opening it again would be one more look at a payload, which nobody took."""
    pipeline = site.pipeline
    with Receiver(keep_alive(NO)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[1, 3600])
        delivery_id = pipeline.deliver_one(id="read")
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        log_in(page, site)
        shown = ids.show(Kind.DELIVERY, delivery_id)
        page.goto(site.admin(f"/tenants/acme/deliveries/{shown}?opened=1"))
        pipeline.services.deliveries.cancel("acme", delivery_id)
        told = page.get_by_text("It has moved on meanwhile: cancelled after 1 attempt.")
        expect(told).to_be_visible()
        expect(page.get_by_text("Next attempt:")).to_be_visible()
    looks = "SELECT count(*) FROM audit_entry WHERE action = 'delivery.viewed'"
    assert pipeline.one(looks) == 1
    page.get_by_role("link", name="Show it as it is now").click()
    expect(page.get_by_text("Next attempt:")).to_have_count(0)
    assert page.url.endswith("opened=1")
    assert pipeline.one(looks) == 2


def test_a_rejected_event_is_mended(page, site, log_in, event):
    site.pipeline.endpoint()
    site.pipeline.accept(event('{"a": 1,,}'), via="http", tenant_id="acme")
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/rejected-events"))
    page.get_by_role("link", name="It is not JSON").click()
    page.get_by_role("link", name="Show and mend it").click()
    editor = page.get_by_label("Event", exact=False).and_(page.locator("textarea"))
    expect(page.locator(".fault mark")).to_have_text(",")
    editor.fill(event('{"a": 1').decode())
    page.get_by_role("button", name="Resubmit edited").click()
    expect(page.get_by_role("alert").first).to_contain_text("It is not JSON")
    editor.fill(event('{"a": 1}').decode())
    page.get_by_role("button", name="Resubmit edited").click()
    expect(page.get_by_text("it goes to 1 endpoint")).to_be_visible()
