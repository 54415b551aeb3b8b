"""The audit log: who did what; the platform's and each tenant's; as a file, too."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import exports
from ascwebhooks.domain.audit import COLUMNS, shown
from ascwebhooks.domain.exports import MEDIA_TYPES, Format
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotFound
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists
from ascwebhooks.web.admin.access import needs
from ascwebhooks.web.admin.narrowing import parse_time

blp = Blueprint("audit", __name__)

ADMINISTER = Permission.ADMINISTER
_LONGEST = 200


@blp.get("/audit")
@needs(ADMINISTER, platform=True)
def index() -> ResponseReturnValue:
    """List everything."""
    return _index(None)


@blp.get("/tenants/<tenant_id>/audit")
@needs(ADMINISTER)
def of_tenant(tenant_id: str) -> ResponseReturnValue:
    """List what concerns a tenant."""
    return _index(tenant_id)


@blp.get("/audit/export.<any(jsonl, csv):format>")
@needs(ADMINISTER, platform=True)
def export(format: str) -> ResponseReturnValue:
    """Send everything that the filter finds as a file."""
    return _export(None, Format(format))


@blp.get("/tenants/<tenant_id>/audit/export.<any(jsonl, csv):format>")
@needs(ADMINISTER)
def export_of_tenant(tenant_id: str, format: str) -> ResponseReturnValue:
    """Send what the filter finds of a tenant as a file."""
    return _export(tenant_id, Format(format))


def _index(tenant_id: str | None) -> ResponseReturnValue:
    page = lists.page(
        partial(services().audit.page, **_filters(tenant_id)),
        read=_seq,
        cursor=lambda each: str(each.seq),
        argument="before",
    )
    return render_template(
        "audit/index.html", page=page, actions=services().audit.actions()
    )


def _export(tenant_id: str | None, format: Format) -> ResponseReturnValue:
    found = services().audit.export(**_filters(tenant_id))
    response = Response(
        exports.lines(map(shown, found), COLUMNS, format), mimetype=MEDIA_TYPES[format]
    )
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{format}"'
    return response


def _filters(tenant_id: str | None) -> Any:
    asked = {
        name: text.replace("\0", "").strip()[:_LONGEST] or None
        for name, text in request.args.items()
    }
    return {
        "tenant_ids": None if tenant_id is None else [tenant_id],
        "actor": asked.get("actor"),
        "action": asked.get("action"),
        "resource": asked.get("resource"),
        # What is no time narrows nothing.
        "since": parse_time(asked.get("since") or ""),
        "until": parse_time(asked.get("until") or ""),
    }


def _seq(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise NotFound("there is no such page of the list.")
    return int(text)
