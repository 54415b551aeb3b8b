"""News of lists: their first page as it is now, for pages that show it as it was."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from ascwebhooks.web.admin.lists import Page
from ascwebhooks.web.admin.narrowing import Narrowed

#: What asks for news in a query, and by what it says what it has.
ASKED = "news"
VERSION = "version"


def page(folder: str, found: Narrowed, **shown: Any) -> ResponseReturnValue:
    """Show a list, or hand out its news to a page that has it open.

    Args:
        folder: Where its templates ``index.html`` and ``rows.html`` are.
        found: What the query asks for.
        shown: What both are given besides.
    """
    # What an end of one's own leaves out stays out.
    kept = None if request.args.get("until") else live(found.page)
    shown |= {"found": found, "kept": kept}
    whole, part = f"{folder}/index.html", f"{folder}/rows.html"
    if found.page is None:
        return render_template(whole, **shown), found.status
    return either(whole, part, found.status, **shown)


def either(
    whole: str, part: str, status: HTTPStatus = HTTPStatus.OK, **shown: Any
) -> ResponseReturnValue:
    """Show a page with a list, or hand out the list's news if a page asks for them.

    Args:
        whole: The page's template.
        part: That of all that can change: rows, ways to other pages.
        status: The page's.
        shown: What the template is given.
    """
    if ASKED not in request.args:
        return render_template(whole, **shown), status
    text = render_template(part, **shown)
    version = digest(text)
    if version == request.args.get(VERSION):
        return "", HTTPStatus.NO_CONTENT
    return render_template("news.html", part=text, version=version)


def live(page: Page | None) -> str | None:
    """Return how a page of a list is kept: ``first``, ``later``, or not at all.

    To the first one new rows come by themselves; on others, and on the first one of
    whoever is at work there, it is said that there are some.
    """
    if page is None:
        return None
    return "first" if page.is_first else "later"


def digest(part: str) -> str:
    """Return what tells a part from the same one after it has changed."""
    return hashlib.sha256(part.encode()).hexdigest()[:16]
