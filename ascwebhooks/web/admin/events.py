"""Events: the list, and an event with what became of it at each endpoint."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from marshmallow import validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.derived import SOURCE
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotFound
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, moves, narrowing, news, outcomes, texts
from ascwebhooks.web.admin.access import PAYLOADS, needs, tenant, visitor
from ascwebhooks.web.admin.forms import Line
from ascwebhooks.web.admin.narrowing import Times

blp = Blueprint("events", __name__)

#: Where an id that somebody pastes is to be found.
_PLACES = {
    Kind.EVENT: ("admin.events.show", "event_id"),
    Kind.DELIVERY: ("admin.deliveries.show", "delivery_id"),
    Kind.REJECTED_EVENT: ("admin.rejected_events.show", "rejected_id"),
    Kind.BUDGET: ("admin.budgets.show", "budget_id"),
    Kind.INCIDENT: ("admin.incidents.show", "incident_id"),
}


class EventFilters(Times):
    """Which events."""

    type = Line(validate=validate.Length(max=128))
    source_id = Line(data_key="find", validate=validate.Length(max=256))


@blp.get("/tenants/<tenant_id>/events")
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List a tenant's events; an id that was pasted leads to its page."""
    place = place_of(tenant_id, request.args.get("find", ""))
    if place is not None:
        return redirect(place, HTTPStatus.SEE_OTHER)

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        found = partial(services().events.page, tenant_id, **wanted)
        return lists.both_ways(found, read=_id, cursor=_shown)

    found = narrowing.find(EventFilters, fetch)
    return news.page("events", found, tenant=tenant())


@blp.get("/tenants/<tenant_id>/events/<event_id>")
@needs(Permission.READ)
def show(tenant_id: str, event_id: str) -> ResponseReturnValue:
    """Show an event; with what it carries if that is asked for and allowed."""
    may_look = visitor().grants.may(PAYLOADS, tenant_id)
    opened = may_look and "payload" in request.args
    found = services().events.get(tenant_id, _id(event_id), opened=opened)
    sent, others = outcomes.split(found.explained.items)
    endpoints = services().endpoints.named(
        tenant_id, [each.endpoint_id for each in found.explained.items]
    )
    return render_template(
        "events/show.html",
        found=found,
        event=found.event,
        data=None if found.data is None else texts.show(found.data),
        opened=opened,
        may_look=may_look,
        sent=sent,
        others=others,
        endpoints=endpoints,
        moves=moves.watch(tenant_id, found.deliveries, kept=opened),
        cause=_cause(tenant_id, found.event),
        tenant=tenant(),
    )


@blp.get("/tenants/<tenant_id>/events/<event_id>/data")
@needs(PAYLOADS)
def data(tenant_id: str, event_id: str) -> Response:
    """Hand out an event's data, byte for byte."""
    found = services().events.get(tenant_id, _id(event_id))
    if found.data is None:
        raise NotFound("what this event carried cannot be opened any more.")
    return attachment(found.data, f"{event_id}.json")


def attachment(content: bytes, name: str) -> Response:
    """Return bytes as a file that a browser keeps and does not show."""
    response = make_response(content)
    response.content_type = "application/octet-stream"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def place_of(tenant_id: str, text: str) -> str | None:
    """Return the page of an id that was pasted, if it is one that has a page."""
    text = text.strip()
    for kind, (view, argument) in _PLACES.items():
        if text.startswith(f"{kind}_"):
            try:
                ids.read(kind, text)
            except NotFound:
                return None
            values: dict[str, Any] = {"tenant_id": tenant_id, argument: text}
            return url_for(view, **values)
    return None


def _cause(tenant_id: str, event: Any) -> str | None:
    """Return the page of the budget or incident that an event tells of, if it does."""
    if event.source != SOURCE:
        return None
    # What is derived has an id that begins with what it is about.
    return place_of(tenant_id, event.source_id.partition(":")[2].partition(":")[0])


def _id(text: str) -> UUID:
    return ids.read(Kind.EVENT, text)


def _shown(row: Any) -> str:
    return ids.show(Kind.EVENT, row.id)
