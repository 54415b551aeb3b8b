"""Telling pages that deliveries on them have moved on since they were shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

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


def url(tenant_id: str, rows: Sequence[Any], *, kept: bool = False) -> str | None:
    """Return where a page asks whether these moved on; None if none of them will.

    Args:
        tenant_id: Whose they are.
        rows: The deliveries as they are on the page.
        kept: Whether the page is to stay until somebody wants it anew.
    """
    waiting = [each for each in rows if each.status == Status.PENDING][:_MOST]
    if not waiting:
        return None
    return url_for(
        "admin.deliveries.moves.look",
        tenant_id=tenant_id,
        of=[ids.show(Kind.DELIVERY, each.id) for each in waiting],
        version=version(waiting),
        kept="1" if kept else None,
    )


def version(rows: Sequence[Any]) -> str:
    """Return what tells rows from the same ones after something became of them."""
    seen = sorted((str(each.id), each.status, each.attempt_count) for each in rows)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]
