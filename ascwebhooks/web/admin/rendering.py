"""What templates can use besides Jinja's own: icons, times, ids, files, notices."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, current_app, request, url_for
from markupsafe import Markup

from ascwebhooks import __version__
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import Conflict
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import (
    access,
    attempts,
    csrf,
    narrowing,
    navigation,
    news,
    outcomes,
    places,
    texts,
)

_STATIC = Path(str(files("ascwebhooks.web.admin") / "static"))
_ICONS = _STATIC / "vendor" / "icons"
_DRAWING = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def install(blp: Blueprint) -> None:
    """Give the templates of ``blp`` their functions and filters."""
    blp.app_context_processor(_context)
    for function in (
        asset,
        csrf_field,
        csrf_token,
        here_with,
        icon,
        link_to,
        notices,
        now,
    ):
        blp.add_app_template_global(function)
    blp.add_app_template_global(access.may, "may")
    for shown in (made_at, moment, show_id, texts.spelled_out, texts.visible, utc_time):
        blp.add_app_template_filter(shown)
    blp.add_app_template_filter(news.digest)


def _context() -> dict[str, Any]:
    return {
        "navigation": navigation,
        "outcomes": outcomes,
        "parts_names": attempts.PARTS,
        "ranges": narrowing.RANGE_CHOICES,
        "version": __version__,
        "visitor": access.known_visitor(),
    }


def asset(name: str) -> str:
    """Return the URL of a file; it changes with the file, which may be kept forever."""
    return url_for("admin.static", filename=name, v=_digest(name))


@lru_cache(maxsize=64)
def _digest(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=128)
def icon(name: str) -> Markup:
    """Return one of the icons in static/vendor/icons; it is decoration only."""
    found = _DRAWING.search((_ICONS / f"{name}.svg").read_text())
    drawing = "" if found is None else found[1].strip()
    return Markup(  # noqa: S704 - a file of our own
        f'<svg class="icon" viewBox="0 0 16 16" fill="currentColor"'
        f' aria-hidden="true" focusable="false">{drawing}</svg>'
    )


def moment(at: datetime | None, absent: str = "never") -> Markup:
    """Return a time; a script shows it in the viewer's zone, with the UTC on hover."""
    if at is None:
        return Markup('<span class="text-body-tertiary">{}</span>').format(absent)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        utc.strftime("%Y-%m-%d %H:%M"),
    )


def utc_time(given: str) -> str:
    """Return a time of a URL as a field has it: UTC, seconds where there are any.

    What is none is left out of the field; the page says what is wrong with it.
    """
    at = narrowing.parse_time(given)
    if at is None:
        return ""
    return at.strftime("%Y-%m-%dT%H:%M" + (":%S" if at.second else ""))


def now() -> datetime:
    """Return the time by this process's clock: for what is shown, not for decisions."""
    return datetime.now(UTC)


def made_at(value: UUID) -> datetime:
    """Return the time that an id carries."""
    return ids.moment(value)


def show_id(value: UUID, kind: str) -> str:
    """Return an id as people see it.

    Args:
        value: The id.
        kind: The name of its ``domain.ids.Kind``, in lower case.
    """
    return ids.show(Kind[kind.upper()], value)


def link_to(endpoint: str, **values: Any) -> str | None:
    """Return the URL of a page, or None where this server has no such page."""
    if endpoint not in current_app.view_functions:
        return None
    return url_for(endpoint, **values)


def here_with(
    view: str = "", place: Mapping[str, str] | None = None, **changes: str | None
) -> str:
    """Return this page's URL with some of its query's arguments changed.

    What else the query has stays, whatever it is called: none of it becomes a name in
    Python.

    Args:
        view: Another page about the same.
        place: What its path has besides those of this one.
        changes: By argument; None takes it away.
    """
    query = request.args.copy()
    for name, value in changes.items():
        query.setlist(name, [] if value is None else [value])
    parts = {**(request.view_args or {}), **(place or {})}
    path = url_for(view or str(request.endpoint), **parts)
    text = urlencode(list(query.items(multi=True)))
    return f"{path}?{text}" if text else path


def csrf_token() -> str:
    """Return what proves a request of this page; empty before the login."""
    who = access.known_visitor()
    return "" if who is None else csrf.token(who.csrf)


def csrf_field() -> Markup:
    """Return what every form that changes something has in it."""
    return Markup(
        '<input type="hidden" name="{}" value="{}">'
        '<input type="hidden" name="{}" value="{}">'
    ).format(csrf.FIELD, csrf_token(), places.FROM, places.origin() or "")


def notices() -> list[tuple[str, str]]:
    """Return the messages that wait for this visitor, once."""
    who = access.known_visitor()
    if who is None or not who.has_notices:
        return []
    return services().sessions.take_notices(who.session_id)


def notify(kind: str, text: str) -> None:
    """Keep a message for the visitor's next page.

    Args:
        kind: ``success``, ``warning`` or ``danger``.
        text: A sentence.
    """
    services().sessions.notify(access.visitor().session_id, kind, text)


def notify_of(action: Callable[[], object], done: str) -> None:
    """Do something that the visitor asked for, and keep a message of what came of it.

    What is not possible any more went on while they thought it over: the page that
    they come back to says how far.

    Args:
        action: May raise Conflict, having changed nothing.
        done: What is said if it did not.
    """
    try:
        action()
    except Conflict as error:
        notify("warning", f"Nothing was changed: {error}")
    else:
        notify("success", done)
