"""Has pages made that show a secret this once; a form leads to each, no link does."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page, expect

from tests.browser.installation import TENANT, Installation

_ONCE = "shown this once"


def each_shown(page: Page, made: Installation, mark: str) -> Iterator[str]:
    """Leave ``page`` on one after the other; yield the name of each.

    Args:
        page: Where an administrator has logged in.
        made: Where.
        mark: What tells what this makes from what was made before.
    """
    page.goto(made.admin("/new/user"))
    page.get_by_label("Login", exact=True).fill(f"new-{mark}@example.com")
    yield _send(page, "Create user", "new-password")
    page.goto(made.admin("/new/key"))
    page.get_by_label("Name", exact=False).first.fill(f"Gateway, {mark}")
    yield _send(page, "Create key", "new-key")
    page.goto(made.admin(f"/tenants/{TENANT}/new/endpoint"))
    page.get_by_label("URL", exact=True).fill(f"http://127.0.0.1:9009/hooks/{mark}")
    yield _send(page, "Create endpoint", "new-endpoint")
    page.get_by_role("link", name="Go to the endpoint").click()
    page.get_by_role("link", name="Rotate").click()
    yield _send(page, "Rotate now", "rotated-secret")


def _send(page: Page, button: str, name: str) -> str:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text(_ONCE).first).to_be_visible()
    return name
