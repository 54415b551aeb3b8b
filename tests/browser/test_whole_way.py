"""The whole way of somebody new, with nothing but what the commands print.

``ascwebhooks up`` and ``ascwebhooks listen`` are the real ones, as is the browser.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from playwright.sync_api import expect

from ascwebhooks.embedded import ports
from tests.acceptance.ups import Up, make_home
from tests.waiting import wait_until

TENANT = "globex"


@pytest.fixture
def up():
    """A first start, without the demonstration's events."""
    for home in make_home():
        with closing(Up(home, "--no-proof")) as started:
            yield started.ready()
            assert started.ctrl_c() == 0


@pytest.fixture
def page(browsing, up):
    """A browser that is closed before the installation is."""
    with browsing() as open_:
        yield open_()


@contextmanager
def listening(folder, port, *options):
    """Run ``ascwebhooks listen``; yield what it has printed so far, when asked."""
    printed, said = folder / "listen.jsonl", folder / "listen.log"
    argv = [sys.executable, "-m", "ascwebhooks", "listen", "--json"]
    with printed.open("wb") as output, said.open("wb") as errors:
        process = subprocess.Popen(
            [*argv, "--port", str(port), *options], stdout=output, stderr=errors
        )
        try:
            wait_until(lambda: "Listening on" in said.read_text(), 20, "it listens")
            yield lambda: [json.loads(x) for x in printed.read_text().splitlines()]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def test_from_the_first_start_to_delivered_after_all(up, page, tmp_path):
    """Log in, tenant, endpoint, test event, dead letters, replay, delivered."""
    where = up.said(r"pages: (\S+)   log in as '(\w+)'")
    password = up.said(r"shown once: +(\S+)\n")[1]
    page.goto(where[1])
    page.get_by_label("Login").fill(where[2])
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    create_tenant(page)
    port = ports.choose()
    secret = create_endpoint(page, f"http://127.0.0.1:{port}/hook")

    failing = ("--secret", secret, "--fail", "503:2")
    with listening(tmp_path, port, *failing) as received:
        page.get_by_role("button", name="Send a test event").dblclick()
        expect(page.get_by_text("Not taken: 503")).to_be_visible()
        die_and_replay(page)
        answers = received()
    assert [each["answered_status"] for each in answers] == [503, 503, 200]
    assert {each["type"] for each in answers} == {"endpoint.test"}
    assert all(each["verified"] for each in answers)
    assert len({each["webhook_id"] for each in answers}) == 1
    look_back(page)


def create_tenant(page):
    expect(page.get_by_text("Nothing is sent anywhere yet")).to_be_visible()
    page.get_by_role("link", name="Go to the tenants").click()
    page.get_by_role("link", name="Create the first tenant").click()
    page.get_by_label("Id").fill(TENANT)
    page.get_by_label("Name").fill("Globex Corporation")
    page.get_by_role("button", name="Create tenant").click()
    expect(page.get_by_text(f"Tenant {TENANT} was created.")).to_be_visible()


def create_endpoint(page, url):
    """Create one that gives up after two attempts; return its secret."""
    page.get_by_role("link", name="Endpoints", exact=True).first.click()
    page.get_by_role("link", name="Create the first endpoint").click()
    page.get_by_label("URL").fill(url)
    page.get_by_label("All of budget").check()
    page.get_by_text("Headers, retries, pace").click()
    page.get_by_label("Retry after").fill("1 s")
    expect(page.get_by_text("2 attempts")).to_be_visible()
    page.get_by_role("button", name="Create endpoint").click()
    return page.get_by_label("Signing secret").input_value()


def die_and_replay(page):
    page.get_by_role("link", name="Dead letters", exact=True).click()

    def died():
        page.reload()
        return page.get_by_text("1 dead letter at 1 endpoint").count()

    wait_until(died, 30, "its attempts are used up")
    page.get_by_role("link", name="Replay all of these…").click()
    expect(page.get_by_text("They are sent")).to_be_visible()
    page.get_by_role("button", name="Replay 1 delivery").click()
    delivered = page.locator("#n-delivered")
    expect(delivered).to_have_text("1")
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()


def look_back(page):
    """It is no dead letter any more, and the audit log knows who did all that."""
    page.get_by_role("link", name="Dead letters", exact=True).first.click()
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    page.get_by_role("link", name="Audit log", exact=True).first.click()
    log = page.get_by_role("table", name="Audit log")
    for action in ("replay.created", "endpoint.created", "tenant.created"):
        expect(log.get_by_role("row").filter(has_text=action)).to_have_count(1)
