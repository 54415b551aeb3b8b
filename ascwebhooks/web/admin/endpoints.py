"""Endpoints of a tenant: how each is doing, and creating, changing, pausing them."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import schedules
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput, SearchTooLong
from ascwebhooks.services.described import Described
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import (
    charts,
    endpoint_checks,
    endpoint_forms,
    endpoint_lists,
    endpoint_secrets,
    endpoint_tests,
    event_types,
    once,
    standings,
)
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.endpoint_forms import ChangedEndpoint, NewEndpoint
from ascwebhooks.web.admin.endpoint_lists import endpoint_id_of, url_of
from ascwebhooks.web.admin.forms import Form
from ascwebhooks.web.admin.rendering import notify
from ascwebhooks.web.admin.tenants import TypedId

blp = Blueprint("endpoints", __name__)
blp.register_blueprint(endpoint_checks.blp)
blp.register_blueprint(endpoint_secrets.blp)
blp.register_blueprint(endpoint_tests.blp)

_ROOT = "/tenants/<tenant_id>/endpoints"
_RECENT = 10
_WISHES = ("event_types", "filter")


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List endpoints with how they are doing."""
    found, series = endpoint_lists.listed(tenant_id)
    page = render_template(
        "endpoints/index.html",
        found=found,
        series=series,
        charts=charts,
        standing=standings.all_shown(found.page.items if found.page else ()),
        choices=endpoint_lists.CHOICES,
    )
    return page, found.status


@blp.get(f"{_ROOT}/<endpoint_id>")
@needs(Permission.READ)
def show(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Show an endpoint: how it is doing, how it is set, and what can be done."""
    found = _find(tenant_id, endpoint_id)
    span = endpoint_lists.span()
    series = services().statistics.endpoint(tenant_id, found.endpoint.id, span)
    return render_template(
        "endpoints/show.html",
        found=found,
        state=standings.shown(found),
        span=span,
        spans=endpoint_lists.SPANS,
        series=series,
        charts=charts,
        schedules=schedules,
    )


@blp.get(f"{_ROOT}/<endpoint_id>/head")
@needs(Permission.READ)
def head(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Show the live part of an endpoint's page: its state."""
    found = _find(tenant_id, endpoint_id)
    state = standings.shown(found)
    return render_template("endpoints/state.html", found=found, state=state)


@blp.get(f"{_ROOT}/<endpoint_id>/recent")
@needs(Permission.READ)
def recent(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Show the live part with an endpoint's last deliveries."""
    found = _find(tenant_id, endpoint_id)
    rows = None
    with suppress(SearchTooLong):
        rows = services().deliveries.page(
            tenant_id, endpoint_id=found.endpoint.id, limit=_RECENT
        )
    return render_template("endpoints/recent.html", found=found, rows=rows)


@blp.get("/tenants/<tenant_id>/new/endpoint")
@needs(Permission.ADMINISTER)
def new(tenant_id: str) -> ResponseReturnValue:
    """Show the form of a new endpoint."""
    initial = endpoint_forms.fresh(tenant().home_region)
    asked = request.args.get("type")
    if asked:
        initial["event_types"] = asked
    return _form(Form(NewEndpoint, **initial))


@blp.post("/tenants/<tenant_id>/new/endpoint")
@needs(Permission.ADMINISTER)
def create(tenant_id: str) -> ResponseReturnValue:
    """Create an endpoint, and show its secret this once."""
    form = Form(NewEndpoint, request.form)

    def create(read: dict[str, Any]) -> dict[str, str]:
        asked = endpoint_forms.asked(read)
        return endpoint_secrets.kept(services().endpoints.create(tenant_id, **asked))

    made = form.submit(lambda read: once.made(lambda: create(read)))
    if made is None:
        return _form(form)
    return endpoint_secrets.shown("endpoints/created.html", tenant_id, made)


@blp.get(f"{_ROOT}/<endpoint_id>/edit")
@needs(Permission.ADMINISTER)
def edit(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Show the form of an endpoint."""
    found = _find(tenant_id, endpoint_id)
    initial = endpoint_forms.present(found, _groups(tenant_id))
    return _form(Form(ChangedEndpoint, **initial), found)


@blp.post(f"{_ROOT}/<endpoint_id>/edit")
@needs(Permission.ADMINISTER)
def change(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Change an endpoint, unless somebody else did so since the form was opened."""
    found = _find(tenant_id, endpoint_id)
    form = Form(ChangedEndpoint, request.form)

    def act(read: dict[str, Any]) -> Described:
        check = endpoint_forms.unchanged_since(read.pop("seen"))
        changes = endpoint_forms.asked(read, found.header_names)
        if endpoint_forms.is_shared(found):
            changes = {k: v for k, v in changes.items() if k not in _WISHES}
        endpoint_id = found.endpoint.id
        return services().endpoints.change(tenant_id, endpoint_id, changes, check)

    if form.submit(act) is None:
        return _form(form, found)
    notify("success", "The endpoint was changed. It counts from the next delivery on.")
    return redirect(url_of(found), HTTPStatus.SEE_OTHER)


@blp.post(f"{_ROOT}/<endpoint_id>/pause")
@needs(Permission.OPERATE)
def pause(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Let an endpoint's deliveries wait."""
    found = services().endpoint_states.pause(tenant_id, endpoint_id_of(endpoint_id))
    notify("success", "The endpoint is paused: its deliveries wait until it resumes.")
    return redirect(url_of(found), HTTPStatus.SEE_OTHER)


@blp.post(f"{_ROOT}/<endpoint_id>/resume")
@needs(Permission.OPERATE)
def resume(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Let an endpoint's deliveries go on, or enable it again."""
    found = services().endpoint_states.resume(tenant_id, endpoint_id_of(endpoint_id))
    notify(
        "success",
        "The endpoint is active: what waits for it is sent now. What became a dead"
        " letter before stays one until it is replayed.",
    )
    return redirect(url_of(found), HTTPStatus.SEE_OTHER)


@blp.get(f"{_ROOT}/<endpoint_id>/delete")
@needs(Permission.ADMINISTER)
def ask(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Say what deleting does and have the host typed."""
    return _deleting(Form(TypedId), _find(tenant_id, endpoint_id))


@blp.post(f"{_ROOT}/<endpoint_id>/delete")
@needs(Permission.ADMINISTER)
def delete(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Delete an endpoint whose host was typed."""
    found = _find(tenant_id, endpoint_id)
    form = Form(TypedId, request.form)

    def confirmed(read: dict[str, Any]) -> bool:
        if read["typed"] != endpoint_lists.host_of(found):
            raise InvalidInput("this is not the endpoint's host.", field="typed")
        services().endpoint_states.delete(tenant_id, found.endpoint.id)
        return True

    if not form.submit(confirmed):
        return _deleting(form, found)
    notify("success", f"The endpoint at {endpoint_lists.host_of(found)} was deleted.")
    return redirect(url_for(".index", tenant_id=tenant_id), HTTPStatus.SEE_OTHER)


def _find(tenant_id: str, endpoint_id: str) -> Described:
    return services().endpoints.get(tenant_id, endpoint_id_of(endpoint_id))


def _groups(tenant_id: str) -> list[event_types.Group]:
    return event_types.groups(services().events.recent_types(tenant_id))


def _form(form: Form, found: Described | None = None) -> ResponseReturnValue:
    page = render_template(
        "endpoints/form.html",
        form=form,
        found=found,
        is_shared=found is not None and endpoint_forms.is_shared(found),
        groups=_groups(tenant().id),
        tenant=tenant(),
        regions=[(each, each) for each in tenant().allowed_regions],
        plan=endpoint_checks.plan_of(str(form.values.get("retry_schedule_s", ""))),
    )
    return page, form.status


def _deleting(form: Form, found: Described) -> ResponseReturnValue:
    host = endpoint_lists.host_of(found)
    page = render_template("endpoints/delete.html", form=form, found=found, host=host)
    return page, form.status
