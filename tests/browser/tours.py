"""Finds the pages there are: from the navigation on, one of each shape."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Page

_ID = re.compile(r"(?<=/)[a-z]{2,3}_[0-9a-z]{26}(?=/|$)")
_LINK = re.compile(r'href="(/admin/[^"#]*)["#]')
#: Nobody needs to see these; a path that ends the session would end the tour.
_PASSED = re.compile(r"/admin/(static/|log|sso)|export|\.(csv|jsonl)")
#: What such a query adds to a page is as good as a page: payloads, requests, answers.
_OPENED = re.compile(r"(?:^|&)(?:opened|payload)=")
#: One of these has more to show than whichever is the newest: it was attempted.
_FAILED = "/admin/tenants/{}/deliveries?error=http_status"
_DELIVERY = re.compile(r'href="(/admin/tenants/[^"/]+/deliveries/dlv_[^"?#]+)"')
_MOST = 200


class Stop(NamedTuple):
    """A page to look at: its path, and a name for it."""

    path: str
    name: str


def tour(
    page: Page,
    url: str,
    tenant_id: str,
    look: Callable[[str, str], None] = lambda path, text: None,
) -> list[Stop]:
    """Return the pages that a visitor reaches, one of each shape.

    Of pages that differ by an id or a query the first one counts, but for what is
    opened by one; of tenants this one, of deliveries one that failed if there is any.
    A link that leads nowhere, or to what the visitor may not see, fails.

    Args:
        page: Where somebody has logged in.
        url: The server.
        tenant_id: Whose pages are looked at.
        look: Is given each page: its path and its HTML.
    """
    waiting = deque(["/admin/", f"/admin/tenants/{tenant_id}"])
    failed = page.request.get(url + _FAILED.format(tenant_id))
    waiting.extendleft(_DELIVERY.findall(failed.text())[:1])
    seen, found = set[str](), list[Stop]()
    while waiting and len(found) < _MOST:
        path = waiting.popleft()
        shape = _shape(path, tenant_id)
        if shape is None or shape in seen:
            continue
        seen.add(shape)
        answered = page.request.get(url + path)
        if not answered.headers.get("content-type", "").startswith("text/html"):
            continue
        assert answered.ok, f"{path}: {answered.status}"
        ended = urlsplit(answered.url).path
        if ended == urlsplit(path).path:
            found.append(Stop(path, _name(shape)))
            look(path, answered.text())
        else:
            waiting.append(ended)
        text = answered.text().replace("&amp;", "&")
        waiting.extend(_LINK.findall(text))
    return found


def _shape(path: str, tenant_id: str) -> str | None:
    parts = urlsplit(path)
    if _PASSED.search(path):
        return None
    inside = re.match(r"/admin/tenants/([^/]+)", parts.path)
    if inside is not None and inside[1] != tenant_id:
        return None
    opened = "/opened" if _OPENED.search(parts.query) else ""
    return _ID.sub("one", parts.path) + opened


def _name(shape: str) -> str:
    name = shape.removeprefix("/admin").strip("/").replace("/", "-")
    return name or "start"
