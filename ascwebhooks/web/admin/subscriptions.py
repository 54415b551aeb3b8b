"""Subscriptions across a tenant's endpoints: who gets what, and changing that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import fields

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput, PreconditionFailed
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import event_types, lists, once, reach
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.endpoint_forms import WishFields, wishes
from ascwebhooks.web.admin.endpoint_lists import endpoint_id_of
from ascwebhooks.web.admin.forms import Form
from ascwebhooks.web.admin.rendering import notify
from ascwebhooks.web.api.fields import Id

blp = Blueprint("subscriptions", __name__)

_ROOT = "/tenants/<tenant_id>/subscriptions"
#: Among so many endpoints one is chosen from a list; with more its id is asked for.
_CHOICE = 100


class SubscriptionFields(WishFields):
    """What can be chosen of a subscription."""

    enabled = fields.Boolean(load_default=False)


class NewSubscription(SubscriptionFields):
    """A subscription to create."""

    endpoint_id = Id(
        Kind.ENDPOINT,
        required=True,
        error_messages={"required": "Which endpoint is it for?"},
    )


class ChangedSubscription(SubscriptionFields):
    """A form that was opened on a subscription as it was at ``seen``."""

    seen = fields.String(required=True)


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List subscriptions; with an event type, who gets it."""
    event_type = request.args.get("event_type", "").strip()
    chosen = request.args.get("endpoint_id", "").strip()
    fetch = partial(
        services().subscriptions.page,
        tenant_id,
        event_type=event_type or None,
        endpoint_id=endpoint_id_of(chosen) if chosen else None,
    )
    page = lists.page(fetch, read=_id, cursor=_shown)
    found = services().endpoints.named(tenant_id, (x.endpoint_id for x in page.items))
    is_type = bool(event_type) and "*" not in event_type
    return render_template(
        "subscriptions/index.html",
        page=page,
        endpoints=found,
        event_type=event_type,
        chosen=chosen,
        answer=reach.reach(page.items, found) if is_type else None,
        groups=_groups(tenant_id),
    )


@blp.get("/tenants/<tenant_id>/new/subscription")
@needs(Permission.ADMINISTER)
def new(tenant_id: str) -> ResponseReturnValue:
    """Show the form of a new subscription."""
    initial: dict[str, Any] = {
        "endpoint_id": request.args.get("endpoint_id", ""),
        "event_types": request.args.get("event_type", ""),
        "types": [],
        "enabled": "1",
    }
    return _form(Form(NewSubscription, **initial))


@blp.post("/tenants/<tenant_id>/new/subscription")
@needs(Permission.ADMINISTER)
def create(tenant_id: str) -> ResponseReturnValue:
    """Create a subscription."""
    form = Form(NewSubscription, request.form)
    told = "The subscription was created; it counts for events from now on."

    def create(read: dict[str, Any]) -> str:
        made = services().subscriptions.create(tenant_id, **_asked(read))
        notify("success", told)
        endpoint_id = ids.show(Kind.ENDPOINT, made.endpoint_id)
        return _list_url(tenant_id, endpoint_id=endpoint_id)

    answer = form.submit(lambda read: once.answer(lambda: create(read)))
    return _form(form) if answer is None else answer


@blp.get(f"{_ROOT}/<subscription_id>/edit")
@needs(Permission.ADMINISTER)
def edit(tenant_id: str, subscription_id: str) -> ResponseReturnValue:
    """Show the form of a subscription."""
    row = services().subscriptions.get(tenant_id, _id(subscription_id))
    ticked, written = event_types.split(row.event_types, _groups(tenant_id))
    initial: dict[str, Any] = {
        "types": ticked,
        "event_types": " ".join(written),
        "filter": row.filter,
        "enabled": "1" if row.enabled else "",
        "seen": _version(row),
    }
    return _form(Form(ChangedSubscription, **initial), row)


@blp.post(f"{_ROOT}/<subscription_id>/edit")
@needs(Permission.ADMINISTER)
def change(tenant_id: str, subscription_id: str) -> ResponseReturnValue:
    """Change a subscription, unless somebody else did so since the form was opened."""
    row = services().subscriptions.get(tenant_id, _id(subscription_id))
    form = Form(ChangedSubscription, request.form)

    def act(read: dict[str, Any]) -> Any:
        check = _unchanged_since(read.pop("seen"))
        return services().subscriptions.change(tenant_id, row.id, _asked(read), check)

    if form.submit(act) is None:
        return _form(form, row)
    notify("success", "The subscription was changed; it counts for events from now on.")
    return _to_list(tenant_id, endpoint_id=ids.show(Kind.ENDPOINT, row.endpoint_id))


@blp.post(f"{_ROOT}/<subscription_id>/enable")
@needs(Permission.ADMINISTER)
def enable(tenant_id: str, subscription_id: str) -> ResponseReturnValue:
    """Let a subscription take events again."""
    services().subscriptions.change(tenant_id, _id(subscription_id), {"enabled": True})
    notify("success", "The subscription is on: it takes events from now on.")
    return _to_list(tenant_id, **request.args)


@blp.post(f"{_ROOT}/<subscription_id>/disable")
@needs(Permission.ADMINISTER)
def disable(tenant_id: str, subscription_id: str) -> ResponseReturnValue:
    """Let a subscription take no more events."""
    services().subscriptions.change(tenant_id, _id(subscription_id), {"enabled": False})
    notify("success", "The subscription is off: it takes no event until it is on.")
    return _to_list(tenant_id, **request.args)


@blp.post(f"{_ROOT}/<subscription_id>/delete")
@needs(Permission.ADMINISTER)
def delete(tenant_id: str, subscription_id: str) -> ResponseReturnValue:
    """Delete a subscription."""
    services().subscriptions.delete(tenant_id, _id(subscription_id))
    notify("success", "The subscription was deleted; what is pending is still sent.")
    return _to_list(tenant_id, **request.args)


def _id(text: str) -> UUID:
    return ids.read(Kind.SUBSCRIPTION, text)


def _shown(row: Any) -> str:
    return ids.show(Kind.SUBSCRIPTION, row.id)


def _groups(tenant_id: str) -> list[event_types.Group]:
    return event_types.groups(services().events.recent_types(tenant_id))


def _asked(read: dict[str, Any]) -> dict[str, Any]:
    found = wishes(read)
    if not found["event_types"]:
        raise InvalidInput("choose at least one event type.", field="event_types")
    return {**read, **found}


def _form(form: Form, row: Any = None) -> ResponseReturnValue:
    fetch = services().endpoints.page
    among = fetch(tenant().id, after=None, limit=_CHOICE + 1)
    page = render_template(
        "subscriptions/form.html",
        form=form,
        row=row,
        among=among if len(among) <= _CHOICE else None,
        endpoint=row and services().endpoints.get(tenant().id, row.endpoint_id),
        groups=_groups(tenant().id),
    )
    return page, form.status


def _to_list(tenant_id: str, **arguments: Any) -> ResponseReturnValue:
    return redirect(_list_url(tenant_id, **arguments), HTTPStatus.SEE_OTHER)


def _list_url(tenant_id: str, **arguments: Any) -> str:
    kept = ("event_type", "endpoint_id")
    found = {name: arguments[name] for name in kept if arguments.get(name)}
    return url_for(".index", tenant_id=tenant_id, **found)


def _version(row: Any) -> str:
    return str(row.updated_at.isoformat())


def _unchanged_since(seen: str) -> Callable[[Any], None]:
    def check(row: Any) -> None:
        if _version(row) != seen:
            raise PreconditionFailed(
                "somebody changed this subscription since you opened the form; nothing"
                " was saved. Open it again in another tab to see how it is now."
            )

    return check
