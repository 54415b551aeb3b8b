"""API keys: the platform's list and each tenant's; create, show once, revoke."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission, Role
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, once
from ascwebhooks.web.admin.access import needs
from ascwebhooks.web.admin.forms import Form, Line
from ascwebhooks.web.admin.rendering import notify

blp = Blueprint("keys", __name__)

ADMINISTER = Permission.ADMINISTER
_LIVES = (0, 30, 90, 365)
_ROLES = (
    (Role.PUBLISHER, "Publisher", "Posts events, and nothing else: for gateways."),
    (Role.VIEWER, "Viewer", "Reads everything, payloads too."),
    (Role.OPERATOR, "Operator", "Reads everything, retries, replays, pauses."),
    (Role.ADMIN, "Admin", "Everything, other keys included."),
)


class NewKey(Schema):
    """A key to create."""

    name = Line(load_default="", validate=validate.Length(max=200))
    role = fields.Enum(Role, by_value=True, required=True)
    days = fields.Integer(load_default=0, validate=validate.OneOf(_LIVES))


@blp.get("/keys")
@needs(ADMINISTER, platform=True)
def index() -> ResponseReturnValue:
    """List all keys."""
    return _index(None)


@blp.get("/tenants/<tenant_id>/keys")
@needs(ADMINISTER)
def of_tenant(tenant_id: str) -> ResponseReturnValue:
    """List a tenant's keys."""
    return _index(tenant_id)


@blp.get("/new/key")
@needs(ADMINISTER, platform=True)
def new() -> ResponseReturnValue:
    """Show the form of a key for all tenants."""
    return _form(Form(NewKey, role=Role.PUBLISHER))


@blp.get("/tenants/<tenant_id>/new/key")
@needs(ADMINISTER)
def new_of_tenant(tenant_id: str) -> ResponseReturnValue:
    """Show the form of a key for one tenant."""
    return _form(Form(NewKey, role=Role.PUBLISHER))


@blp.post("/new/key")
@needs(ADMINISTER, platform=True)
def create() -> ResponseReturnValue:
    """Create a key for all tenants."""
    return _create(None)


@blp.post("/tenants/<tenant_id>/new/key")
@needs(ADMINISTER)
def create_of_tenant(tenant_id: str) -> ResponseReturnValue:
    """Create a key for one tenant."""
    return _create(tenant_id)


@blp.post("/keys/<key_id>/revoke")
@needs(ADMINISTER, platform=True)
def revoke(key_id: str) -> ResponseReturnValue:
    """Revoke any key."""
    return _revoke(key_id, None)


@blp.post("/tenants/<tenant_id>/keys/<key_id>/revoke")
@needs(ADMINISTER)
def revoke_of_tenant(tenant_id: str, key_id: str) -> ResponseReturnValue:
    """Revoke one of a tenant's keys."""
    return _revoke(key_id, tenant_id)


def _index(tenant_id: str | None) -> ResponseReturnValue:
    page = lists.page(
        partial(services().keys.page, tenant_id),
        read=partial(ids.read, Kind.API_KEY),
        cursor=lambda each: ids.show(Kind.API_KEY, each.id),
    )
    return render_template("keys/index.html", page=page)


def _form(form: Form) -> str:
    return render_template("keys/new.html", form=form, roles=_ROLES, lives=_LIVES)


def _create(tenant_id: str | None) -> ResponseReturnValue:
    form = Form(NewKey, request.form)

    def create(read: dict[str, Any]) -> dict[str, str]:
        days = read.pop("days")
        life = timedelta(days=days) if days else None
        keys = services().keys
        row, secret = keys.create(tenant_id=tenant_id, expires_in=life, **read)
        return {"name": row.name, "role": row.role, "secret": secret}

    made = form.submit(lambda read: once.made(lambda: create(read)))
    if made is None:
        return _form(form), form.status
    return render_template("keys/created.html", made=made)


def _revoke(key_id: str, tenant_id: str | None) -> ResponseReturnValue:
    row = services().keys.revoke(ids.read(Kind.API_KEY, key_id), tenant_id)
    notify("success", f"The key {row.shown}… was revoked.")
    back = (
        url_for(".index")
        if tenant_id is None
        else url_for(".of_tenant", tenant_id=tenant_id)
    )
    return redirect(back, HTTPStatus.SEE_OTHER)
