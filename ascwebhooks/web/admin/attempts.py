"""Attempts as a delivery's page shows them: times as bars, requests as commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ascwebhooks.domain import curl, timings
from ascwebhooks.domain.timings import Part
from ascwebhooks.services.deliveries import Opened
from ascwebhooks.services.targets import HIDDEN
from ascwebhooks.web.admin import texts
from ascwebhooks.web.admin.texts import Shown

PARTS = {
    "dns": "DNS",
    "connect": "Connect",
    "tls": "TLS",
    "wait": "Wait for the answer",
    "read": "Read the answer",
}


class ShownAttempt(NamedTuple):
    """An attempt; what was not opened is None or empty.

    ``url`` is where it was sent; ``is_url_known`` is false if that was not kept, and
    it is the endpoint's of today.
    """

    number: int
    attempt: Any
    parts: list[Part]
    is_lost: bool = True
    request_headers: Sequence[tuple[str, str]] | None = None
    request_body: Shown | None = None
    response_headers: Sequence[tuple[str, str]] | None = None
    response_body: Shown | None = None
    response_truncated: bool = False
    curl: str | None = None
    url: str = ""
    is_url_known: bool = False


def shown(attempts: Sequence[Opened], endpoint: Any) -> list[ShownAttempt]:
    """Return attempts as a page shows them, the newest first.

    Args:
        attempts: The oldest first.
        endpoint: The endpoint as it is now; None if it is gone.
    """
    numbered = list(enumerate(attempts, start=1))
    return [_shown(number, each, endpoint) for number, each in reversed(numbered)]


def _shown(number: int, opened: Opened, endpoint: Any) -> ShownAttempt:
    detail, body = opened.detail, opened.body
    today = "" if endpoint is None else endpoint.url
    url = (detail.url if detail else "") or today
    secure = url.startswith("https:") or opened.attempt.tls_ms is not None
    bare = ShownAttempt(
        number, opened.attempt, timings.parts(opened.attempt, secure=secure)
    )
    if detail is None:
        return bare
    headers = detail.request_headers
    return bare._replace(
        is_lost=False,
        request_headers=headers,
        request_body=None if body is None else texts.show(body),
        response_headers=detail.response_headers,
        response_body=texts.show(detail.response_body),
        response_truncated=detail.response_truncated,
        curl=None
        if body is None or not url
        else curl.command(url, headers, body, hidden=HIDDEN),
        url=url,
        is_url_known=bool(detail.url),
    )
