"""The audit log: who did what; the platform's and each tenant's; as a file, too."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue
from marshmallow import validate

from ascwebhooks.domain import exports
from ascwebhooks.domain.audit import COLUMNS, shown
from ascwebhooks.domain.exports import MEDIA_TYPES, Format
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput, NotFound
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, narrowing
from ascwebhooks.web.admin.access import needs
from ascwebhooks.web.admin.forms import Line
from ascwebhooks.web.admin.narrowing import Times

blp = Blueprint("audit", __name__)

ADMINISTER = Permission.ADMINISTER


class AuditFilters(Times):
    """Which entries."""

    actor = Line(validate=validate.Length(max=200))
    action = Line(validate=validate.Length(max=200))
    resource = Line(validate=validate.Length(max=200))


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
    def fetch(wanted: dict[str, Any]) -> lists.Page:
        return lists.page(
            partial(services().audit.page, tenant_ids=_whose(tenant_id), **wanted),
            read=_seq,
            cursor=lambda each: str(each.seq),
            argument="before",
        )

    found = narrowing.find(AuditFilters, fetch)
    page = render_template(
        "audit/index.html", found=found, actions=services().audit.actions()
    )
    return page, found.status


def _export(tenant_id: str | None, format: Format) -> ResponseReturnValue:
    wanted, errors = narrowing.read(AuditFilters)
    if errors:
        # A file does not show that a filter was left out.
        raise InvalidInput(" ".join(errors))
    found = services().audit.export(tenant_ids=_whose(tenant_id), **wanted)
    response = Response(
        exports.lines(map(shown, found), COLUMNS, format), mimetype=MEDIA_TYPES[format]
    )
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{format}"'
    return response


def _whose(tenant_id: str | None) -> list[str] | None:
    return None if tenant_id is None else [tenant_id]


def _seq(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise NotFound("there is no such page of the list.")
    return int(text)
