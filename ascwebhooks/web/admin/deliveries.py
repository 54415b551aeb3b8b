"""Deliveries: the list and its live tail, and one with its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate

from ascwebhooks.domain import ids, retry
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass, Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotFound
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import attempts, lists, moves, narrowing, places, texts
from ascwebhooks.web.admin.access import PAYLOADS, needs, tenant, visitor
from ascwebhooks.web.admin.events import place_of
from ascwebhooks.web.admin.forms import Line
from ascwebhooks.web.admin.narrowing import Choice, Narrowed, Times
from ascwebhooks.web.admin.rendering import notify_of
from ascwebhooks.web.api.fields import Id

blp = Blueprint("deliveries", __name__)
blp.register_blueprint(moves.blp)

#: Of how many endpoints the filter offers the names.
_CHOICES = 200
#: How many rows that still wait the tail looks after.
_WATCHED = 50
#: Rows come to light this much later than their ids say, at most.
_LATE = timedelta(seconds=3)


class DeliveryFilters(Times):
    """Which deliveries; the names are those of URLs."""

    status = Choice(Status)
    endpoint_id = Id(Kind.ENDPOINT)
    event_type = Line(data_key="type", validate=validate.Length(max=128))
    error = Choice(ErrorClass)
    status_code = fields.Integer(data_key="code", validate=validate.Range(100, 999))
    dead_reason = Choice(DeadReason, data_key="reason")
    replay_id = Id(Kind.REPLAY, data_key="replay")
    #: Whoever pasted an id that has a page is there already (``place_of``).
    find = fields.String(validate=lambda _: _no_id())


@blp.get("/tenants/<tenant_id>/deliveries")
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List a tenant's deliveries; an id that was pasted leads to its page."""
    place = place_of(tenant_id, request.args.get("find", ""))
    if place is not None:
        return redirect(place, HTTPStatus.SEE_OTHER)

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        found = partial(services().deliveries.page, tenant_id, **wanted)
        return lists.both_ways(found, read=_id, cursor=_shown)

    found = narrowing.find(DeliveryFilters, fetch)
    rows = found.page.items if found.page else ()
    page = render_template(
        "deliveries/index.html",
        found=found,
        endpoints=_endpoints(tenant_id, rows),
        choices=_choices(tenant_id),
        newest=_shown(rows[0]) if rows else "",
        tails=_tails(found),
        version=moves.version(rows) if _is_by_outcome() else "",
        tenant=tenant(),
    )
    return page, found.status


@blp.get("/tenants/<tenant_id>/deliveries/news")
@needs(Permission.READ)
def news(tenant_id: str) -> ResponseReturnValue:
    """Hand out the rows that are new in a list, and how those that waited are now."""
    wanted, errors = narrowing.read(DeliveryFilters)
    newest = request.args.get("newest") or None
    known = None if newest is None else _id(newest)
    if errors:
        raise NotFound(errors[0])
    if _is_by_outcome():
        return _first_page(tenant_id, wanted)
    found = services().deliveries.page(tenant_id, limit=lists.AT_ONCE, **wanted)
    if known is None:
        # There was no row, so there is no list yet to put any on top of.
        return "", HTTPStatus.OK, {"HX-Refresh": "true"} if found else {}
    early = ids.lowest(ids.moment(known) - _LATE)
    fresh = [each for each in found if each.id > early]
    waited = [_id(each) for each in request.args.getlist("waiting")[:_WATCHED]]
    moved = [
        each
        for each in services().deliveries.named(tenant_id, waited)
        if each.status != Status.PENDING or each.attempt_count
    ]
    return render_template(
        "deliveries/news.html",
        fresh=fresh,
        moved=moved,
        gap=len(fresh) == lists.AT_ONCE,
        endpoints=_endpoints(tenant_id, [*fresh, *moved]),
        newest=_shown(fresh[0]) if fresh and fresh[0].id > known else newest,
        tenant=tenant(),
    )


@blp.get("/tenants/<tenant_id>/deliveries/<delivery_id>")
@needs(Permission.READ)
def show(tenant_id: str, delivery_id: str) -> ResponseReturnValue:
    """Show a delivery; with what was sent if that is asked for and allowed."""
    may_look = visitor().grants.may(PAYLOADS, tenant_id)
    opened = may_look and "opened" in request.args
    found = services().deliveries.get(tenant_id, _id(delivery_id), opened=opened)
    row = found.delivery
    endpoint = _endpoints(tenant_id, [row]).get(row.endpoint_id)
    return render_template(
        "deliveries/show.html",
        delivery=row,
        attempts=attempts.shown(found.attempts, endpoint),
        explanation=_explanation(tenant_id, row),
        planned=_planned(row, endpoint),
        moves=moves.watch(tenant_id, [row], kept=opened),
        endpoint=endpoint,
        opened=opened,
        may_look=may_look,
        sees_details=visitor().grants.may(Permission.OPERATE, None),
        scale_ms=max((each.attempt.total_ms for each in found.attempts), default=1),
        tenant=tenant(),
    )


@blp.get("/tenants/<tenant_id>/deliveries/<delivery_id>/attempts/<attempt_id>/verify")
@needs(PAYLOADS)
def verify(tenant_id: str, delivery_id: str, attempt_id: str) -> ResponseReturnValue:
    """Show how the signatures of an attempt come about, and whose they are."""
    explained = services().signatures.explain(
        tenant_id, _id(delivery_id), ids.read(Kind.ATTEMPT, attempt_id)
    )
    return render_template(
        "deliveries/verify.html",
        explained=explained,
        content=texts.show(explained.content),
        delivery_id=delivery_id,
        attempt_id=attempt_id,
        tenant=tenant(),
    )


@blp.post("/tenants/<tenant_id>/deliveries/<delivery_id>/retry")
@needs(Permission.OPERATE)
def retry_now(tenant_id: str, delivery_id: str) -> ResponseReturnValue:
    """Make a delivery due now."""
    return _act(
        tenant_id,
        delivery_id,
        services().deliveries.retry,
        "The delivery is due now; its next attempt is on its way.",
    )


@blp.post("/tenants/<tenant_id>/deliveries/<delivery_id>/cancel")
@needs(Permission.OPERATE)
def cancel(tenant_id: str, delivery_id: str) -> ResponseReturnValue:
    """Cancel a pending delivery."""
    return _act(
        tenant_id,
        delivery_id,
        services().deliveries.cancel,
        "The delivery was cancelled; it is not tried again.",
    )


def _no_id() -> None:
    raise ValidationError("This is no whole id of the form dlv_… or evt_….")


def _act(
    tenant_id: str, delivery_id: str, action: Callable[[str, UUID], object], done: str
) -> ResponseReturnValue:
    found = _id(delivery_id)
    notify_of(lambda: action(tenant_id, found), done)
    back = places.origin() or url_for(
        ".show", tenant_id=tenant_id, delivery_id=delivery_id
    )
    return redirect(back, HTTPStatus.SEE_OTHER)


_OUTCOMES = frozenset({"status", "error", "code", "reason", "replay"})


def _tails(found: Narrowed) -> bool:
    """Return whether this page is one that new rows belong to."""
    page = found.page
    return page is not None and page.is_first and not request.args.get("until")


def _is_by_outcome() -> bool:
    """Return whether rows come and go here with what becomes of them.

    Then a row that is new may belong anywhere: the newest are those that were accepted
    last, not those that died last.
    """
    return any(request.args.get(each) for each in _OUTCOMES)


def _first_page(tenant_id: str, wanted: dict[str, Any]) -> ResponseReturnValue:
    """Hand out the first page's rows as they are now, unless they are as they were."""
    rows = services().deliveries.page(tenant_id, limit=lists.AT_ONCE, **wanted)
    version = moves.version(rows)
    if version == request.args.get("version"):
        return "", HTTPStatus.NO_CONTENT
    if not rows or not request.args.get("newest"):
        # From a list to none, or back: more of the page changes than its rows.
        return "", HTTPStatus.OK, {"HX-Refresh": "true"}
    return render_template(
        "deliveries/rows.html",
        rows=rows,
        version=version,
        newest=_shown(rows[0]),
        endpoints=_endpoints(tenant_id, rows),
        tenant=tenant(),
    )


def _endpoints(tenant_id: str, rows: Sequence[Any]) -> dict[UUID, Any]:
    wanted = list({each.endpoint_id for each in rows})
    return services().endpoints.named(tenant_id, wanted) if wanted else {}


def _choices(tenant_id: str) -> list[tuple[str, str]]:
    """Return the endpoints that the filter offers, the chosen one among them."""
    rows = services().endpoints.newest(tenant_id, _CHOICES)
    found = [(ids.show(Kind.ENDPOINT, each.id), _name(each)) for each in rows]
    chosen = request.args.get("endpoint_id", "")
    if chosen and chosen not in dict(found):
        found.insert(0, (chosen, chosen))
    return [("", "Any endpoint"), *found]


def _name(endpoint: Any) -> str:
    return str(endpoint.description or endpoint.url)[:80]


def _explanation(tenant_id: str, row: Any) -> Any:
    """Return what the delivery waits for, or how it ended."""
    try:
        event = services().events.get(tenant_id, row.event_id, opened=False)
    except NotFound:
        return None
    items = event.explained.items
    return next((each for each in items if each.delivery_id == row.id), None)


def _planned(row: Any, endpoint: Any) -> list[Any]:
    if row.status != Status.PENDING or endpoint is None:
        return []
    delays = [timedelta(seconds=each) for each in endpoint.retry_schedule_s]
    return retry.planned(delays, row.step, row.next_attempt_at)


def _id(text: str) -> UUID:
    return ids.read(Kind.DELIVERY, text)


def _shown(row: Any) -> str:
    return ids.show(Kind.DELIVERY, row.id)
