"""A browser before a real server: Debian's Chromium, driven by Playwright.

``site`` is a server process on a database of the test's own.  On a machine without
Chromium these tests are skipped; where CI is set they fail.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ascwebhooks.embedded import ports
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.services.container import Services
from tests.integration.pipeline import Pipeline
from tests.waiting import wait_until

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
#: A list whose answer takes long is asked for again after 30 s at most (traffic.js).
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


Opens = Callable[..., Page]


@dataclass(frozen=True)
class Site:
    """A server process, and the services on the same database."""

    url: str
    services: Services
    pipeline: Pipeline
    password: str
    environ: Mapping[str, str]

    def admin(self, path: str = "/") -> str:
        """Return the URL of a page below /admin."""
        return f"{self.url}/admin{path}"


@pytest.fixture
def environ() -> dict[str, str]:
    """Settings of the server besides those it needs; a module may override it."""
    return {}


@pytest.fixture
def site(pipeline: Pipeline, tmp_path: Path, environ: dict[str, str]) -> Iterator[Site]:
    """A server process with the first administrator and the tenant TENANT."""
    bind = f"{ports.HOST}:{ports.choose()}"
    settings = pipeline.settings
    keys = ",".join(
        f"{name}:{base64.b64encode(key).decode()}"
        for name, key in settings.encryption_keys
    )
    whole = {
        **os.environ,
        "ASCWEBHOOKS_DATABASE_URL": settings.require_database_url(),
        "ASCWEBHOOKS_REDIS_URL": settings.require_redis_url(),
        "ASCWEBHOOKS_ENCRYPTION_KEYS": keys,
        "ASCWEBHOOKS_HOME_DIR": str(tmp_path),
        "ASCWEBHOOKS_BIND": bind,
        "ASCWEBHOOKS_ALLOW_HTTP": "1",
        "ASCWEBHOOKS_ALLOWED_NETWORKS": "127.0.0.1/32",
        **environ,
    }
    made = pipeline.services.people.first_admin()
    assert made is not None
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "web.log").open("wb"))
        argv = (sys.executable, "-m", "ascwebhooks", "web")
        process = spawn(Program(name="web", argv=argv, env=whole), log)
        stack.callback(stop, process, signal.SIGTERM, 10)
        wait_until(lambda: ports.answers(bind, "/readyz"), 30, "the server is ready")
        yield Site(f"http://{bind}", pipeline.services, pipeline, made[1], whole)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for all tests; each has a context of its own in it."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium on the PATH")
        pytest.skip("there is no Chromium on the PATH (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def browsing(chromium: Browser) -> Callable[[], AbstractContextManager[Opens]]:
    """Opens pages in contexts of their own; what a page complains of fails the test.

    To be left before the server is stopped: live parts would complain that it is gone.
    """

    @contextmanager
    def browsing() -> Iterator[Opens]:
        complaints: list[str] = []
        contexts: list[BrowserContext] = []

        def open_(size: str = "desktop", **options: Any) -> Page:
            width, height = SIZES[size]
            options = {
                "viewport": {"width": width, "height": height},
                "timezone_id": "Europe/Berlin",
                "locale": "en-GB",
                **options,
            }
            context = chromium.new_context(**options)
            contexts.append(context)
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
            page.on("console", lambda message: _note(complaints, message))
            return page

        yield open_
        for context in contexts:
            context.close()
        assert complaints == []

    return browsing


@pytest.fixture
def open_page(
    browsing: Callable[[], AbstractContextManager[Opens]], site: Site
) -> Iterator[Opens]:
    """Opens pages of ``site``; a module may have them opened of another server."""
    with browsing() as open_:
        yield open_


@pytest.fixture
def page(open_page: Opens) -> Page:
    """A page on a desktop."""
    return open_page()


@pytest.fixture
def log_in() -> Callable[..., None]:
    """Logs in on a page: ``log_in(page, site)``, by default as the first admin."""

    def log_in(
        page: Page, site: Site, login: str = "admin", password: str | None = None
    ) -> None:
        page.goto(site.admin())
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(password or site.password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)

    return log_in


def _note(complaints: list[str], message: Any) -> None:
    # A status of 4xx is told to the console too, and may be what a test is about.
    told = message.text
    # As is what a page that is being left had asked for.
    if told.startswith(("htmx:afterRequest", "htmx:sendError")):
        return
    if message.type == "error" and "Failed to load resource" not in told:
        complaints.append(told)
