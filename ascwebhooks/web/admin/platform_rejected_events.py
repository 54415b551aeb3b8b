"""Rejected events of all tenants, and those whose tenant is not known."""

from __future__ import annotations

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from ascwebhooks.domain.keys import Permission
from ascwebhooks.web.admin import rejected_events as shared
from ascwebhooks.web.admin.access import PAYLOADS, needs

blp = Blueprint("platform_rejected_events", __name__)


@blp.get("/rejected-events")
@needs(Permission.READ, platform=True)
def index() -> ResponseReturnValue:
    """List all rejected events."""
    return shared.list_of(None)


@blp.get("/rejected-events/<rejected_id>")
@needs(Permission.READ, platform=True)
def show(rejected_id: str) -> ResponseReturnValue:
    """Show any rejected event; with what came if that is asked for."""
    return shared.page_of(None, rejected_id)


@blp.post("/rejected-events/<rejected_id>")
@needs(Permission.OPERATE, platform=True)
def resubmit(rejected_id: str) -> ResponseReturnValue:
    """Publish any rejected event again; edited it may be any tenant's."""
    return shared.resubmission(None, rejected_id)


@blp.get("/rejected-events/<rejected_id>/raw")
@needs(PAYLOADS, platform=True)
def raw(rejected_id: str) -> Response:
    """Hand out what came, byte for byte."""
    return shared.bytes_of(None, rejected_id)


@blp.post("/rejected-events/<rejected_id>/delete")
@needs(Permission.ADMINISTER, platform=True)
def delete(rejected_id: str) -> ResponseReturnValue:
    """Delete any rejected event."""
    return shared.deletion(None, rejected_id)
