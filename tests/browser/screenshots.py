"""``make screenshots``: every page with data, light and dark, on a phone and a desktop.

Written to var/screenshots; what was there before is removed.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from playwright.sync_api import Browser, Page, sync_playwright

from ascwebhooks.cli import output
from tests.browser.conftest import CHROMIUM, SIZES
from tests.browser.installation import TENANT, Installation, installed
from tests.browser.secrets_shown import each_shown
from tests.browser.tours import Stop, tour
from tests.integration.engines import engines_of_ones_own

FOLDER = Path("var/screenshots")
#: What is shown to whoever has not logged in.
OUTSIDE = (
    Stop("/admin/login", "login"),
    Stop("/admin/login?ended=1", "login-again"),
    Stop("/portal/forged", "portal-over"),
    Stop("/admin/nowhere", "not-found"),
)


def main() -> int:
    """Take them all; return 0."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        click.echo("There is no Chromium on the PATH (Debian: chromium).", err=True)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    click.echo("Starting an installation and waiting until its receivers have failed …")
    with _installation() as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        count = _take_all(browser, made)
        browser.close()
    click.echo(f"{count} screenshots in {FOLDER}")
    return 0


@contextmanager
def _installation() -> Iterator[Installation]:
    with (
        engines_of_ones_own(durable=False) as engines,
        tempfile.TemporaryDirectory(prefix="asc-screenshots-") as folder,
    ):
        assert engines.postgres is not None
        assert engines.valkey is not None
        engines.postgres.create_database("screenshots")
        urls = engines.postgres.url("screenshots"), engines.valkey.url(0)
        with installed(*urls, Path(folder)) as made:
            yield made


def _take_all(browser: Browser, made: Installation) -> int:
    looks = list(itertools.product(SIZES, ("light", "dark")))
    page = _open(browser, made, *looks[0])
    stops = [*OUTSIDE, *tour(page, made.url, TENANT), *_links(made)]
    page.context.close()
    numbers = itertools.count(1)
    total = len(stops) * len(looks)
    with output.progress("screenshots", total, click.echo) as told:
        for size, scheme in looks:
            page = _open(browser, made, size, scheme)
            for stop in stops:
                page.goto(made.url + stop.path)
                _settle(page)
                _take(page, f"{stop.name}-{size}-{scheme}")
                told(next(numbers))
            page.context.close()
    return total + _take_secrets(browser, made)


def _take_secrets(browser: Browser, made: Installation) -> int:
    """Take what is shown once, in the end: it makes rows that lists would show."""
    count = 0
    for size, scheme in itertools.product(SIZES, ("light", "dark")):
        page = _open(browser, made, size, scheme)
        for name in each_shown(page, made, f"{size}-{scheme}"):
            _settle(page)
            _take(page, f"{name}-{size}-{scheme}")
            count += 1
        page.context.close()
    return count


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True)


def _links(made: Installation) -> list[Stop]:
    _, token = made.services.portals.create_link(TENANT)
    return [Stop(f"/portal/{token}", "portal-link"), Stop(made.test, "test-answer")]


def _open(browser: Browser, made: Installation, size: str, scheme: str) -> Page:
    """Return a page of the first administrator's."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(f"{made.url}/admin/login")
    page.get_by_label("Login").fill("admin")
    page.get_by_label("Password").fill(made.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    return page


def _settle(page: Page) -> None:
    """Wait until fonts, charts and live parts have come, or no longer than a moment."""
    page.wait_for_load_state("load")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")


if __name__ == "__main__":
    sys.exit(main())
