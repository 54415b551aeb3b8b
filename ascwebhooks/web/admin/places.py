"""Where to go back to after logging in: a page of ours and nothing else."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

from flask import current_app, request

ROOT = "/admin"
PUBLIC_URL = "ASCWEBHOOKS_PUBLIC_URL"
#: Escaped once more in the login's own URL, it has to fit into a request line.
_LONGEST = 4_000
#: The form field that says which page a form is on.
FROM = "_from"


def safe(target: str | None) -> str | None:
    """Return a target if it is a path of these pages, else None.

    A longer one than a login's URL can carry is given up.  Browsers read a backslash as
    a slash and drop control characters, so nothing with
    either is taken.
    """
    if not target or len(target) > _LONGEST:
        return None
    if any(each <= " " or each in "\\\x7f" for each in target):
        return None
    parts = _parts(target)
    if parts is None or parts.scheme or parts.netloc or target.startswith("//"):
        return None
    path = unquote(parts.path)
    inside = path == ROOT or path.startswith(ROOT + "/")
    away = path.startswith((f"{ROOT}/log", f"{ROOT}/sso"))
    return target if inside and not away and ".." not in path else None


def _parts(target: str) -> SplitResult | None:
    try:
        return urlsplit(target)
    except ValueError:  # half an IPv6 address, for one
        return None


def absolute(path: str) -> str:
    """Return the URL by which browsers reach a path of ours."""
    base = current_app.config.get(PUBLIC_URL) or request.host_url
    return str(base).rstrip("/") + path


def here() -> str:
    """Return the path and query of the page that is asked for."""
    return request.full_path.rstrip("?")


def origin() -> str | None:
    """Return the page that a request came from, as far as it says so."""
    if request.method in {"GET", "HEAD"} and not is_part():
        return safe(here())
    shown = request.headers.get("HX-Current-URL")
    if shown is not None:
        parts = _parts(shown)
        if parts is None:
            return None
        return safe(parts.path + (f"?{parts.query}" if parts.query else ""))
    return safe(request.form.get(FROM))


def is_part() -> bool:
    """Return whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"
