"""Replays: the dry run, the list, and a replay's progress, steering and results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.replays import ReplayState
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.replays import Progress
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, narrowing, news, once, selections, words
from ascwebhooks.web.admin.access import needs, tenant, visitor
from ascwebhooks.web.admin.forms import Form
from ascwebhooks.web.admin.narrowing import Choice
from ascwebhooks.web.admin.rendering import notify, notify_of
from ascwebhooks.web.admin.selections import Selection

blp = Blueprint("replays", __name__)

_ROOT = "/tenants/<tenant_id>/replays"
_MAX_RATE = 100_000


class ReplayFilters(Schema):
    """Which replays."""

    state = Choice(ReplayState)


class NewReplay(Schema):
    """How fast, and whether beside another one."""

    pace = fields.String(
        validate=validate.OneOf(["at_once", "rate"]), load_default="at_once"
    )
    rate_per_s = fields.Integer(
        validate=validate.Range(
            1, _MAX_RATE, error=f"A whole number from 1 to {_MAX_RATE}."
        ),
        error_messages={"invalid": f"A whole number from 1 to {_MAX_RATE}."},
    )
    beside = fields.Boolean(load_default=False)


class Tab(NamedTuple):
    """Some of what a replay came to."""

    label: str
    status: Status | None


TABS = {
    "": Tab("Reopened", None),
    "delivered": Tab("Delivered", Status.DELIVERED),
    "pending": Tab("On its way", Status.PENDING),
    "dead_lettered": Tab("Failed again", Status.DEAD_LETTERED),
    "skipped": Tab("Skipped", None),
}


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List replays, the newest first."""

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        return lists.page(
            partial(services().replays.page, tenant_id, **wanted),
            read=_id,
            cursor=lambda each: ids.show(Kind.REPLAY, each.replay.id),
        )

    found = narrowing.find(ReplayFilters, fetch)
    return news.page("replays", found, tenant=tenant())


@blp.get("/tenants/<tenant_id>/new/replay")
@needs(Permission.OPERATE)
def new(tenant_id: str) -> ResponseReturnValue:
    """Say how many dead letters would be replayed, and where to."""
    chosen = selections.read()
    form = Form(NewReplay, pace="at_once", rate_per_s="50")
    if chosen.chosen is None and "selected" in request.args:
        notify("warning", "Select some deliveries first.")
        place = url_for("admin.dead_letters.deliveries", tenant_id=tenant_id)
        return redirect(f"{place}?{request.query_string.decode()}")
    return _dry_run(chosen, form)


@blp.post("/tenants/<tenant_id>/new/replay")
@needs(Permission.OPERATE)
def create(tenant_id: str) -> ResponseReturnValue:
    """Create a replay, once."""
    chosen = selections.read(request.form)
    form = Form(NewReplay, request.form)
    answer = form.submit(
        lambda read: once.answer(lambda: _create(tenant_id, chosen, read))
    )
    return answer or (_dry_run(chosen, form), form.status)


def _create(tenant_id: str, chosen: Selection, read: dict[str, Any]) -> str:
    paced = read["pace"] == "rate"
    if paced and "rate_per_s" not in read:
        raise InvalidInput("how many in a second?", field="rate_per_s")
    made = services().replays.create(
        tenant_id,
        **selections.check(chosen).what,
        rate_per_s=read["rate_per_s"] if paced else None,
        created_by=visitor().login or visitor().name,
        unless_taken=not read["beside"],
    )
    return _url(tenant_id, made.replay.id)


def _dry_run(chosen: Selection, form: Form) -> str:
    replays, who = services().replays, tenant()
    if chosen.errors:
        for name, problem in chosen.errors.items():
            form.errors.setdefault("", []).append(f"{name}: {problem}")
    counted = replays.preview(who.id, **chosen.what)
    owners = {each.endpoint_id for each in counted.endpoints}
    if (endpoint_id := chosen.filter.get("endpoint_id")) is not None:
        owners.add(endpoint_id)
    return render_template(
        "replays/new.html",
        tenant=who,
        chosen=chosen,
        counted=counted,
        rivals=replays.rivals(who.id, **chosen.what),
        endpoints=services().dead_letters.endpoints(who.id, owners),
        form=form,
    )


@blp.get(f"{_ROOT}/<replay_id>")
@needs(Permission.READ)
def show(tenant_id: str, replay_id: str) -> ResponseReturnValue:
    """Show how far a replay is, and what became of what it came to."""
    return render_template("replays/show.html", **_shown(tenant_id, _id(replay_id)))


@blp.get(f"{_ROOT}/<replay_id>/progress")
@needs(Permission.READ)
def progress(tenant_id: str, replay_id: str) -> ResponseReturnValue:
    """Show the part of a replay's page that lives."""
    shown = _shown(tenant_id, _id(replay_id))
    response = Response(render_template("replays/progress.html", **shown))
    if request.args.get("state") != shown["progress"].replay.state:
        # What can be done with it has changed too: the whole page is shown anew.
        response.headers["HX-Refresh"] = "true"
    return response


@blp.post(f"{_ROOT}/<replay_id>/pause")
@needs(Permission.OPERATE)
def pause(tenant_id: str, replay_id: str) -> ResponseReturnValue:
    """Reopen no more for now."""
    told = "The replay is paused: what was reopened already goes out."
    return _steer(services().replays.pause, tenant_id, replay_id, told)


@blp.post(f"{_ROOT}/<replay_id>/resume")
@needs(Permission.OPERATE)
def resume(tenant_id: str, replay_id: str) -> ResponseReturnValue:
    """Go on after a pause."""
    told = "The replay goes on from where it was."
    return _steer(services().replays.resume, tenant_id, replay_id, told)


@blp.post(f"{_ROOT}/<replay_id>/cancel")
@needs(Permission.OPERATE)
def cancel(tenant_id: str, replay_id: str) -> ResponseReturnValue:
    """Reopen no more, for good."""
    told = (
        "The replay is cancelled: what it had not reopened stays in the dead letters."
    )
    return _steer(services().replays.cancel, tenant_id, replay_id, told)


def _steer(
    change: Callable[[str, UUID], Progress], tenant_id: str, replay_id: str, told: str
) -> ResponseReturnValue:
    found = _id(replay_id)
    notify_of(lambda: change(tenant_id, found), told)
    return redirect(_url(tenant_id, found), HTTPStatus.SEE_OTHER)


def _shown(tenant_id: str, replay_id: UUID) -> dict[str, Any]:
    tab = request.args.get("result", "")
    if tab not in TABS:
        there_is = ", ".join(filter(None, TABS))
        raise InvalidInput(f"result: {tab[:64]!r} is none of {there_is}.")
    # First, or a replay could be finished whose list is from before it began.
    found = services().replays.get(tenant_id, replay_id)
    results = services().replay_results
    fetch: Callable[..., Any] = (
        partial(results.skipped, tenant_id, replay_id)
        if tab == "skipped"
        else partial(results.reopened, tenant_id, replay_id, status=TABS[tab].status)
    )
    page = lists.page(
        fetch,
        read=partial(ids.read, Kind.DELIVERY),
        cursor=lambda each: ids.show(Kind.DELIVERY, each.delivery.id),
    )
    owners = {each.delivery.endpoint_id for each in page.items}
    wanted = (found.plan.filter or {}).get("endpoint_id")
    return {
        "tenant": tenant(),
        "progress": found,
        "page": page,
        "tab": tab,
        "tabs": TABS,
        "endpoints": services().dead_letters.endpoints(
            tenant_id, owners | ({wanted} if wanted else set())
        ),
        "words": words,
    }


def _id(text: str) -> UUID:
    return ids.read(Kind.REPLAY, text)


def _url(tenant_id: str, replay_id: UUID) -> str:
    shown = ids.show(Kind.REPLAY, replay_id)
    return url_for("admin.replays.show", tenant_id=tenant_id, replay_id=shown)
