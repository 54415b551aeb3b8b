"""Forms and htmx requests prove that they come from a page of the same session."""

from __future__ import annotations

import base64
import hmac

from flask import request

from ascwebhooks.errors import StaleForm

FIELD = "_csrf"
HEADER = "X-CSRF-Token"


def token(secret: bytes) -> str:
    """Return what a session's forms carry."""
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def check(secret: bytes) -> None:
    """Raise StaleForm unless the request carries the session's token."""
    check_equal(token(secret))


def check_equal(expected: str) -> None:
    """Raise StaleForm unless the request carries this token, from this site."""
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if foreign or not hmac.compare_digest(given.encode(), expected.encode()):
        raise StaleForm("this form is out of date; nothing was changed.")
