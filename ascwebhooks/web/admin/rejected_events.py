"""Rejected events: why each was not accepted, and mending it."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from ascwebhooks.domain import ids, rejections
from ascwebhooks.domain.events import MAX_EVENT_BYTES
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput, NotFound, Unavailable
from ascwebhooks.services.intakes import Accepted, Refused
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, news, texts
from ascwebhooks.web.admin.access import PAYLOADS, may, needs, visitor
from ascwebhooks.web.admin.events import attachment
from ascwebhooks.web.admin.forms import Form
from ascwebhooks.web.admin.rendering import notify

blp = Blueprint("rejected_events", __name__)


class EditedEvent(Schema):
    """An event as somebody has mended it; without a text it goes as it came."""

    event = fields.String()


@blp.get("/tenants/<tenant_id>/rejected-events")
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List a tenant's rejected events."""
    return list_of(tenant_id)


@blp.get("/tenants/<tenant_id>/rejected-events/<rejected_id>")
@needs(Permission.READ)
def show(tenant_id: str, rejected_id: str) -> ResponseReturnValue:
    """Show a tenant's rejected event; with what came if that is asked for."""
    return page_of(tenant_id, rejected_id)


@blp.post("/tenants/<tenant_id>/rejected-events/<rejected_id>")
@needs(Permission.OPERATE)
def resubmit(tenant_id: str, rejected_id: str) -> ResponseReturnValue:
    """Publish a tenant's rejected event again, edited or as it came."""
    return resubmission(tenant_id, rejected_id)


@blp.get("/tenants/<tenant_id>/rejected-events/<rejected_id>/raw")
@needs(PAYLOADS)
def raw(tenant_id: str, rejected_id: str) -> Response:
    """Hand out what came, byte for byte."""
    return bytes_of(tenant_id, rejected_id)


@blp.post("/tenants/<tenant_id>/rejected-events/<rejected_id>/delete")
@needs(Permission.ADMINISTER)
def delete(tenant_id: str, rejected_id: str) -> ResponseReturnValue:
    """Delete a tenant's rejected event."""
    return deletion(tenant_id, rejected_id)


# What a tenant's pages and the platform's have in common; None is the platform.


def list_of(tenant_id: str | None) -> ResponseReturnValue:
    """List rejected events."""
    page = lists.page(
        partial(services().rejected_events.page, tenant_id),
        read=_id,
        cursor=lambda each: ids.show(Kind.REJECTED_EVENT, each.id),
    )
    return news.either(
        "rejected_events/index.html",
        "rejected_events/rows.html",
        page=page,
        kept=news.live(page),
        tenant_id=tenant_id,
        advice=rejections.advice,
    )


def page_of(
    tenant_id: str | None, rejected_id: str, form: Form | None = None
) -> ResponseReturnValue:
    """Show a rejected event, and a form that was sent if it is wrong."""
    may_look = visitor().grants.may(PAYLOADS, tenant_id)
    opened = may_look and ("opened" in request.args or form is not None)
    found = services().rejected_events.get(tenant_id, _id(rejected_id), opened=opened)
    row = found.rejected
    came = None if found.raw is None else texts.show(found.raw)
    text = "" if found.raw is None else found.raw.decode(errors="replace")
    typed = text if form is None else str(form.values.get("event") or text)
    page = render_template(
        "rejected_events/show.html",
        row=row,
        came=came,
        form=form or Form(EditedEvent, event=text),
        fault=rejections.find_fault(typed) if opened else None,
        advice=rejections.advice(row.code),
        opened=opened,
        may_look=may_look,
        may_resubmit=may("operate", tenant_id),
        may_delete=may("administer", tenant_id),
        tenant_id=tenant_id,
        links=_links(tenant_id, rejected_id),
    )
    return page, HTTPStatus.OK if form is None else form.status


def resubmission(tenant_id: str | None, rejected_id: str) -> ResponseReturnValue:
    """Publish a rejected event again; refused, its page says why and where."""
    form = Form(EditedEvent, request.form)

    def send(read: dict[str, Any]) -> Accepted:
        edited = read.get("event")
        verdict = services().rejected_events.resubmit(
            tenant_id, _id(rejected_id), None if edited is None else _bytes(edited)
        )
        if isinstance(verdict, Refused):
            told = rejections.advice(verdict.code)
            raise InvalidInput(f"{told.title}: {verdict.detail}", field="event")
        if not isinstance(verdict, Accepted):
            raise Unavailable("the event cannot be kept now; try again.")
        return verdict

    made = form.submit(send)
    if made is None:
        return page_of(tenant_id, rejected_id, form)
    notify("success", _said(made))
    owner = tenant_id or request.form.get("owner")
    place = _event_page(owner, made) or _links(tenant_id, rejected_id)["list"]
    return redirect(place, HTTPStatus.SEE_OTHER)


def bytes_of(tenant_id: str | None, rejected_id: str) -> Response:
    """Hand out what came."""
    found = services().rejected_events.get(tenant_id, _id(rejected_id))
    if found.raw is None:
        raise NotFound("what came cannot be opened any more.")
    return attachment(found.raw, f"{rejected_id}.bin")


def deletion(tenant_id: str | None, rejected_id: str) -> ResponseReturnValue:
    """Delete a rejected event."""
    services().rejected_events.delete(tenant_id, _id(rejected_id))
    notify("success", f"Rejected event {rejected_id} was deleted.")
    return redirect(_links(tenant_id, rejected_id)["list"], HTTPStatus.SEE_OTHER)


def _links(tenant_id: str | None, rejected_id: str) -> dict[str, str]:
    noun = "platform_rejected_events" if tenant_id is None else "rejected_events"
    place: dict[str, Any] = {} if tenant_id is None else {"tenant_id": tenant_id}
    here = {**place, "rejected_id": rejected_id}
    return {
        "list": url_for(f"admin.{noun}.index", **place),
        **{
            name: url_for(f"admin.{noun}.{name}", **here)
            for name in ("show", "resubmit", "raw", "delete")
        },
    }


def _event_page(tenant_id: str | None, made: Accepted) -> str | None:
    if tenant_id is None or not visitor().grants.sees(tenant_id):
        return None
    shown = ids.show(Kind.EVENT, made.id)
    return url_for("admin.events.show", tenant_id=tenant_id, event_id=shown)


def _said(made: Accepted) -> str:
    if made.duplicate:
        return "It was accepted before; nothing is sent again."
    count = made.deliveries
    to = "no endpoint wants it" if not count else f"it goes to {count} endpoint"
    return f"It was accepted: {to}{'s' if count > 1 else ''}."


def _bytes(text: str) -> bytes:
    """Return what was typed; browsers send line ends as CR LF."""
    try:
        edited = text.replace("\r\n", "\n").encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            "half of a surrogate pair is no character.", field="event"
        ) from error
    if len(edited) > MAX_EVENT_BYTES:
        raise InvalidInput(
            f"it has {len(edited)} bytes; at most {MAX_EVENT_BYTES}.", field="event"
        )
    return edited


def _id(text: str) -> UUID:
    return ids.read(Kind.REJECTED_EVENT, text)
