"""Tenants: the list, and creating, changing and deleting one.

The module to follow for other nouns: a view reads, calls one service, and shows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput, PreconditionFailed
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, once, overview
from ascwebhooks.web.admin.access import needs, tenant, visitor
from ascwebhooks.web.admin.forms import Form, Line, Words
from ascwebhooks.web.admin.rendering import notify

blp = Blueprint("tenants", __name__)

_MAX_REGIONS = 50


class TenantChanges(Schema):
    """What can be changed of a tenant."""

    name = Line(required=True, validate=validate.Length(1, 200))
    home_region = Line(required=True)
    allowed_regions = Words(validate=validate.Length(1, _MAX_REGIONS))
    strict = fields.Boolean(load_default=False)


class ChangedTenant(TenantChanges):
    """A form that was opened on a tenant as it was at ``seen``."""

    seen = fields.String(required=True)


class NewTenant(TenantChanges):
    """A tenant to create."""

    id = Line(required=True)
    name = Line(validate=validate.Length(1, 200))
    home_region = Line()


@blp.get("/tenants")
@needs(Permission.READ)
def index() -> ResponseReturnValue:
    """List the tenants that the visitor may open."""
    search = request.args.get("search", "").strip()
    fetch = partial(
        services().tenants.page, only=visitor().grants.tenants(), search=search or None
    )
    page = lists.page(fetch, read=str, cursor=lambda each: each.id)
    return render_template("tenants/index.html", page=page, search=search)


@blp.get("/new/tenant")
@needs(Permission.ADMINISTER, platform=True)
def new() -> ResponseReturnValue:
    """Show the form of a new tenant."""
    form = Form(
        NewTenant,
        id=request.args.get("id", ""),
        home_region="default",
        allowed_regions="default",
    )
    return render_template("tenants/new.html", form=form)


@blp.post("/new/tenant")
@needs(Permission.ADMINISTER, platform=True)
def create() -> ResponseReturnValue:
    """Create a tenant."""
    form = Form(NewTenant, request.form)

    def create(read: dict[str, Any]) -> str:
        made = services().tenants.create(read.pop("id"), **read)
        notify("success", f"Tenant {made.id} was created.")
        return url_for(".show", tenant_id=made.id)

    answer = form.submit(lambda read: once.answer(lambda: create(read)))
    return answer or (render_template("tenants/new.html", form=form), form.status)


@blp.get("/tenants/<tenant_id>")
@needs(Permission.READ)
def show(tenant_id: str) -> ResponseReturnValue:
    """Show a tenant, and how it is going with it."""
    found = services().overviews.tenant(tenant_id, overview.asked_span())
    return render_template("tenants/show.html", **overview.shown(found, tenant()))


@blp.get("/tenants/<tenant_id>/edit")
@needs(Permission.ADMINISTER)
def edit(tenant_id: str) -> ResponseReturnValue:
    """Show the form of a tenant."""
    form = Form(
        ChangedTenant,
        name=tenant().name,
        home_region=tenant().home_region,
        allowed_regions=", ".join(tenant().allowed_regions),
        strict="1" if tenant().strict else "",
        seen=_version(tenant()),
    )
    return render_template("tenants/edit.html", form=form, tenant=tenant())


@blp.post("/tenants/<tenant_id>/edit")
@needs(Permission.ADMINISTER)
def change(tenant_id: str) -> ResponseReturnValue:
    """Change a tenant, unless somebody else did so since the form was opened."""
    form = Form(ChangedTenant, request.form)
    made = form.submit(
        lambda read: services().tenants.change(
            tenant_id, read, _unchanged_since(read.pop("seen"))
        )
    )
    if made is None:
        page = render_template("tenants/edit.html", form=form, tenant=tenant())
        return page, form.status
    notify("success", f"Tenant {tenant_id} was changed.")
    return redirect(url_for(".show", tenant_id=tenant_id), HTTPStatus.SEE_OTHER)


class TypedId(Schema):
    """The id, typed to confirm."""

    typed = Line(load_default="")


@blp.get("/tenants/<tenant_id>/delete")
@needs(Permission.ADMINISTER, platform=True)
def ask(tenant_id: str) -> ResponseReturnValue:
    """Say what deleting does and have the id typed."""
    return render_template("tenants/delete.html", form=Form(TypedId), tenant=tenant())


@blp.post("/tenants/<tenant_id>/delete")
@needs(Permission.ADMINISTER, platform=True)
def delete(tenant_id: str) -> ResponseReturnValue:
    """Delete a tenant whose id was typed."""
    form = Form(TypedId, request.form)

    def confirmed(read: dict[str, Any]) -> bool:
        if read["typed"] != tenant_id:
            raise InvalidInput("this is not the tenant's id.", field="typed")
        services().tenants.delete(tenant_id)
        return True

    if not form.submit(confirmed):
        page = render_template("tenants/delete.html", form=form, tenant=tenant())
        return page, form.status
    notify("success", f"Tenant {tenant_id} was deleted.")
    return redirect(url_for(".index"), HTTPStatus.SEE_OTHER)


def _version(row: Any) -> str:
    return str(row.updated_at.isoformat())


def _unchanged_since(seen: str) -> Callable[[Any], None]:
    def check(row: Any) -> None:
        if _version(row) != seen:
            raise PreconditionFailed(
                "somebody changed this tenant since you opened the form. Open it again"
                " to see how it is now."
            )

    return check
