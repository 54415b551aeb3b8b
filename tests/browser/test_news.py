"""Lists that follow what happens, and leave alone whoever is at work in them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from tests.integration.dead import plant
from tests.integration.pipeline import event

INSIDE = "/tenants/acme"
REOPEN = (
    "UPDATE delivery SET status = 'pending', dead_reason = NULL, completed_at = NULL"
    " WHERE id = ANY(:ids)"
)
NEWS = re.compile(r"[?&]news=1")


@pytest.fixture
def rows(page):
    return page.locator("[data-list] tbody > tr")


@pytest.fixture
def line(page):
    return page.locator("#news")


def die(site, endpoint_id, count=1, **options):
    return plant(site.pipeline, endpoint_id, count, **options)


def offer(what):
    return re.compile(f"^{what} . show$")


def looked(page):
    """Wait for a look that begins within."""
    return page.expect_response(NEWS)


def shown(delivery_id):
    return ids.show(Kind.DELIVERY, delivery_id)


def test_events_come_in_while_one_watches(page, site, log_in, rows):
    """From none to the first, from the first on in place; paused, it stands still."""
    site.pipeline.endpoint()
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/events"))
    expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
    page.evaluate("document.body.dataset.same = '1'")
    for _ in range(2):
        with looked(page):
            pass
    assert page.evaluate("document.body.dataset.same") == "1", "nothing came"
    site.pipeline.accept(event(id="one"))
    expect(rows).to_have_count(1)

    page.evaluate("document.body.dataset.same = '1'")
    site.pipeline.accept(event(id="two"), event(id="three"))
    expect(rows).to_have_count(3)
    expect(rows.first).to_have_class(re.compile("fresh"))
    expect(rows.first.locator("time")).not_to_contain_text("UTC")
    expect(page.locator("#tail-told")).to_have_text("2 new events")
    assert page.evaluate("document.body.dataset.same") == "1", "without a reload"

    page.get_by_role("button", name="Pause").click()
    site.pipeline.accept(event(id="four"))
    with looked(page):
        page.get_by_role("button", name="Go on").click()
    expect(rows).to_have_count(4)


def test_what_came_late_is_put_where_it_belongs(page, site, log_in, rows):
    """Ids are in the order of acceptance, and a slow transaction commits later."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 2)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    expect(rows).to_have_count(2)
    (late,) = die(site, endpoint_id, days_ago=1)
    expect(rows).to_have_count(3)
    expect(rows.last).to_have_id(shown(late))


def test_a_selection_is_never_lost(page, site, log_in, rows, line):
    """Rows come and go around it only when asked, and what was ticked stays ticked."""
    endpoint_id = site.pipeline.endpoint()
    first, second, third = die(site, endpoint_id, 3)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    page.get_by_label(f"Select {shown(first)}").check()
    page.get_by_label(f"Select {shown(third)}").check()

    die(site, endpoint_id, 2)
    expect(line).to_have_text(offer("2 new"))
    told = "2 new: press Show at the top of the list."
    expect(page.locator("#tail-told")).to_have_text(told)
    expect(rows).to_have_count(3)
    expect(page.get_by_label(f"Select {shown(third)}")).to_be_focused()
    site.pipeline.do(REOPEN, ids=[second, third])
    expect(line).to_have_text(offer("2 new, 2 gone"))
    expect(page.locator("#tail-told")).to_have_text(told)

    line.click()
    expect(rows).to_have_count(4)
    expect(line).to_be_hidden()
    expect(page.get_by_text("2 selected")).to_be_visible()
    gone = page.locator(f"#{shown(third)}")
    expect(gone).to_contain_text("not in this list any more")
    expect(page.locator(f"#{shown(second)}")).to_have_count(0)
    ticked = page.locator("tbody input:checked")
    values = ticked.evaluate_all("found => found.map((each) => each.value)")
    assert sorted(values) == sorted([shown(first), shown(third)])

    # What was reopened goes once nobody holds it; what still is dead stays.
    page.get_by_label(f"Select {shown(third)}").uncheck()
    die(site, endpoint_id)
    expect(line).to_have_text(offer("1 new"))
    line.click()
    expect(rows).to_have_count(4)
    expect(gone).to_have_count(0)
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_what_died_again_is_shown_as_it_is_now(page, site, log_in, rows):
    """The same row, ticked as it was: with its attempts and the time of its new end."""
    endpoint_id = site.pipeline.endpoint()
    (only,) = die(site, endpoint_id)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    page.get_by_label("All on this page").check()
    row = rows.first
    expect(row).to_contain_text("HTTP 503")
    site.pipeline.do(
        "UPDATE delivery SET last_status_code = 500, attempt_count = 7 WHERE id = :id",
        id=only,
    )
    expect(row).to_contain_text("HTTP 500")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_the_last_row_leaves_what_a_page_without_any_says(page, site, log_in, rows):
    endpoint_id = site.pipeline.endpoint()
    dead = die(site, endpoint_id, 2)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    expect(rows).to_have_count(2)
    site.pipeline.do(REOPEN, ids=dead)
    expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible()


def test_a_row_with_the_focus_is_brought_up_to_date_around_it(page, site, log_in, rows):
    """And what has the focus, once it has it no longer."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    link = rows.first.get_by_role("link").first
    link.focus()
    site.pipeline.do(
        "UPDATE delivery SET last_status_code = 500, event_type = 'budget.reset'"
    )
    expect(rows.first).to_contain_text("HTTP 500")
    expect(link).to_be_focused()
    expect(link).not_to_have_text("budget.reset")
    page.get_by_role("button", name="Pause").focus()
    expect(link).to_have_text("budget.reset")


def test_whoever_scrolled_or_went_on_to_another_page_is_told(
    page, site, log_in, rows, line
):
    endpoint_id = site.pipeline.endpoint()
    old = die(site, endpoint_id, 70)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    expect(rows).to_have_count(50)
    rows.nth(40).scroll_into_view_if_needed()
    read = rows.nth(40).bounding_box()
    new = die(site, endpoint_id, 2)
    expect(line).to_have_text(offer("2 new"))
    expect(line).to_be_in_viewport()
    assert rows.nth(40).bounding_box() == read
    line.click()
    expect(rows.first).to_have_id(shown(new[-1]))
    expect(rows.first).to_be_in_viewport()
    expect(rows).to_have_count(50)

    page.get_by_role("link", name="Next page").click()
    expect(rows.first).to_have_id(shown(old[-49]))
    expect(rows).to_have_count(22)
    with looked(page):
        pass
    die(site, endpoint_id)
    expect(line).to_have_text(offer("1 new"))
    expect(rows).to_have_count(22)
    line.click()
    page.wait_for_url(lambda url: "after=" not in url)
    expect(rows).to_have_count(50)


def test_on_a_phone_neither_covers_the_other(open_page, site, log_in):
    """The bar of what is ticked stays below the page's own, and the line below both."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 20)
    page = open_page("phone")
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    page.locator("tbody input").first.check()
    page.evaluate("scrollTo(0, 1500)")
    die(site, endpoint_id)
    line = page.locator("#news")
    expect(line).to_have_text(offer("1 new"))
    lies_open = """(element) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        const over = document.elementFromPoint(left + width / 2, top + height / 2);
        return element.contains(over);
    }"""
    for each in (
        page.get_by_label("All on this page"),
        page.get_by_role("button", name="Replay selected…"),
        line,
    ):
        assert each.evaluate(lies_open), each


def test_a_focus_in_the_list_stays_where_it_is(page, site, log_in, rows, line):
    """By the keyboard one goes on from the first of what came."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 2)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters/deliveries"))
    link = rows.first.get_by_role("link").first
    link.focus()
    (new,) = die(site, endpoint_id)
    expect(line).to_have_text(offer("1 new"))
    expect(link).to_be_focused()
    line.focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(3)
    expect(page.locator(f"#{shown(new)} a").first).to_be_focused()


def test_groups_of_dead_letters_count_on(page, site, log_in, rows):
    """Numbers change in place, and whoever is about to press a button has it still."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 2)
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters"))
    expect(page.get_by_text("2 dead letters at 1 endpoint")).to_be_visible()
    die(site, endpoint_id)
    expect(page.get_by_text("3 dead letters at 1 endpoint")).to_be_visible()
    expect(page.get_by_role("link", name="Replay 3 to")).to_be_visible()
    expect(page.locator("#tail-told")).to_be_empty()
    die(site, endpoint_id, reason="gone")
    expect(rows).to_have_count(2)
    site.pipeline.do("UPDATE delivery SET status = 'cancelled', dead_reason = NULL")
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


def test_rows_change_places_when_nobody_is_about_to_press_one(page, site, log_in, rows):
    """The most come first; until then each counts on where it is."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 3)
    die(site, endpoint_id, 2, reason="gone")
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/dead-letters"))
    second = page.get_by_role("link", name="Replay 2 to")
    second.focus()
    row = rows.last.get_attribute("id")
    die(site, endpoint_id, 2, reason="gone")
    expect(rows.last.get_by_role("cell").nth(2)).to_have_text("4")
    expect(second).to_be_focused()
    assert rows.last.get_attribute("id") == row
    page.get_by_role("button", name="Pause").focus()
    expect(rows.first).to_have_id(row)
    expect(page.get_by_role("link", name="Replay 4 to")).to_be_visible()


@pytest.mark.parametrize("path", [f"{INSIDE}/rejected-events", "/rejected-events"])
def test_rejected_events_come_in(page, site, log_in, rows, path):
    log_in(page, site)
    refused = {"via": "http", "tenant_id": "acme"}
    site.pipeline.accept(b'{"id": ', **refused)
    page.goto(site.admin(path))
    expect(rows).to_have_count(1)
    site.pipeline.accept(b'{"id": "x", ', **refused)
    expect(rows).to_have_count(2)
    expect(page.locator("#tail-told")).to_have_text("1 new rejected event")


def test_a_replay_that_somebody_began_elsewhere_comes_in(page, site, log_in, rows):
    """And its progress is followed in the list."""
    endpoint_id = site.pipeline.endpoint()
    die(site, endpoint_id, 4)
    replays = site.services.replays
    replays.create("acme", filter={"event_type": "nothing.like.this"})
    site.services.walking.walk()
    log_in(page, site)
    page.goto(site.admin(f"{INSIDE}/replays"))
    expect(rows).to_have_count(1)
    replays.create("acme", filter={"endpoint_id": endpoint_id})
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("0 of 4")
    site.services.walking.walk()
    expect(rows.first).to_contain_text("4 of 4")
