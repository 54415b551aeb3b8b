"""Telling pages that deliveries on them have moved on since they were shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import places
from ascwebhooks.web.admin.access import needs, tenant

blp = Blueprint("moves", __name__)

#: Of how many deliveries a page asks; an event with more shows the others as they were.
_MOST = 50
#: How often, while something is on its way, and when all has ended.
_SOON_S = 3
_SELDOM_S = 20


class Watch(NamedTuple):
    """What a page asks, and how often.

    Args:
        url: Where.
        every_s: Seconds between two looks.
    """

    url: str
    every_s: int


@blp.get("/tenants/<tenant_id>/deliveries/moves")
@needs(Permission.READ)
def look(tenant_id: str) -> ResponseReturnValue:
    """Have a page shown anew if a delivery has moved on, or say so on it.

    ``kept`` pages are not shown anew by themselves: somebody reads there, and what
    they read was opened for them, which is recorded each time.
    """
    asked = request.args.getlist("of")[:_MOST]
    read = partial(ids.read, Kind.DELIVERY)
    rows = services().deliveries.named(tenant_id, list(map(read, asked)))
    if version(rows) == request.args.get("version"):
        return "", HTTPStatus.NO_CONTENT
    if "kept" not in request.args:
        return "", HTTPStatus.OK, {"HX-Refresh": "true"}
    return render_template(
        "deliveries/moved.html", rows=rows, page=places.origin(), tenant=tenant()
    )


def watch(tenant_id: str, rows: Sequence[Any], *, kept: bool = False) -> Watch | None:
    """Return how a page finds out whether these moved on; None if there are none.

    What has ended is looked at too, though seldom: a retry or a replay that somebody
    began elsewhere opens it again.

    Args:
        tenant_id: Whose they are.
        rows: The deliveries as they are on the page.
        kept: Whether the page is to stay until somebody wants it anew.
    """
    watched = sorted(rows, key=lambda each: each.status != Status.PENDING)[:_MOST]
    if not watched:
        return None
    url = url_for(
        "admin.deliveries.moves.look",
        tenant_id=tenant_id,
        of=[ids.show(Kind.DELIVERY, each.id) for each in watched],
        version=version(watched),
        kept="1" if kept else None,
    )
    waits = watched[0].status == Status.PENDING
    return Watch(url, _SOON_S if waits else _SELDOM_S)


def version(rows: Sequence[Any]) -> str:
    """Return what tells rows from the same ones after something became of them."""
    seen = sorted((str(each.id), each.status, each.attempt_count) for each in rows)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]
