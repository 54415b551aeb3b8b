"""From a failing receiver to delivered, in a browser, with real workers."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.embedded.receiver import Failure, Receiver
from tests.acceptance.cluster import WORKERS
from tests.integration.dead import plant
from tests.integration.pipeline import event
from tests.waiting import wait_until

EVENTS = 3


@pytest.fixture
def workers(site, tmp_path):
    """Processes that deliver, keep house and ring, beside the server."""
    with ExitStack() as stack:
        for name in ("deliver", "slow", "maintenance", "beat"):
            log = tmp_path / f"{name}.log"
            argv = (sys.executable, "-m", "ascwebhooks", *WORKERS[name])
            output = stack.enter_context(log.open("wb"))
            process = spawn(Program(name=name, argv=argv, env=site.environ), output)
            stack.callback(stop, process, signal.SIGTERM, 40)
        for name in ("deliver", "slow", "maintenance", "beat"):
            log = tmp_path / f"{name}.log"
            wait_until(lambda log=log: '_started"' in log.read_text(), 30, name)
        yield


def test_what_a_receiver_failed_to_take_is_replayed_and_delivered(
    page, site, log_in, workers
):
    """The receiver fails each event twice, which uses up its schedule."""
    got = []
    failure = Failure(503, times=2 * EVENTS)
    with Receiver(on_delivery=got.append, failure=failure) as receiver:
        # Not of all types: of each that dies the service tells in an event of its own.
        site.pipeline.endpoint(
            f"{receiver.url}/in", retry_schedule_s=[1], event_types=["budget.*"]
        )
        site.pipeline.accept(*(event(id=f"event-{n}") for n in range(EVENTS)))
        wait_until(lambda: dead(site) == EVENTS, 30, "all are dead letters")

        log_in(page, site)
        page.goto(site.admin("/tenants/acme"))
        page.get_by_role("link", name="Dead letters").first.click()
        expect(page.get_by_text(f"{EVENTS} dead letters at 1 endpoint")).to_be_visible()
        expect(page.get_by_text("HTTP 503")).to_be_visible()
        page.get_by_role("link", name="All attempts failed", exact=True).click()
        page.get_by_label("All on this page").check()
        expect(page.get_by_text(f"{EVENTS} selected")).to_be_visible()
        page.get_by_role("button", name="Replay selected…").click()
        expect(page.get_by_text("They are sent")).to_be_visible()
        page.get_by_role("button", name=f"Replay {EVENTS} deliveries").dblclick()

        expect(page.get_by_text(f"{EVENTS} of {EVENTS}")).to_be_visible()
        delivered = page.locator("#n-delivered")
        expect(delivered).to_have_text(str(EVENTS))
        expect(page.get_by_text("Finished", exact=True)).to_be_visible()
        page.get_by_role("link", name="Delivered", exact=True).click()
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(EVENTS)
    assert [each.answered_status for each in got].count(200) == EVENTS
    assert len(site.services.replays.page("acme")) == 1, "a double click makes one"
    page.get_by_role("link", name="Dead letters").first.click()
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


def test_a_replay_is_steered_while_it_runs_on_a_phone(open_page, site, log_in):
    """Without workers: the test walks, so it stands where it is looked at."""
    plant(site.pipeline, site.pipeline.endpoint(), 12)
    page = open_page("phone")
    log_in(page, site)
    page.goto(site.admin("/tenants/acme/dead-letters"))
    page.get_by_role("link", name="Replay all of these…").click()
    page.get_by_text("At a rate").click()
    page.get_by_label("Deliveries a second").fill("2")
    page.get_by_role("button", name="Replay 12 deliveries").click()

    expect(page.get_by_text("0 of 12")).to_be_visible()
    site.services.walking.walk()
    expect(page.get_by_text("4 of 12")).to_be_visible()
    expect(page.get_by_text("About 4 s to go.")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The replay is paused")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the replay").click()
    expect(page.get_by_text("The replay is cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def dead(site) -> int:
    return site.pipeline.one(
        "SELECT count(*) FROM delivery WHERE status = 'dead_lettered'"
    )
