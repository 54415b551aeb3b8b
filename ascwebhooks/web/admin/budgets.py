"""Budgets: what may be spent, how it stands, and changing that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema

from ascwebhooks.domain import ids
from ascwebhooks.domain.budget_periods import Rolling
from ascwebhooks.domain.budgets import ScopeType
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import PreconditionFailed
from ascwebhooks.services.budget_standings import Shown
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import (
    budget_forms,
    budget_looks,
    lists,
    narrowing,
    once,
    telling,
)
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.budget_forms import ChangedBudget, NewBudget
from ascwebhooks.web.admin.forms import Form, Line
from ascwebhooks.web.admin.narrowing import Choice
from ascwebhooks.web.admin.rendering import notify

blp = Blueprint("budgets", __name__)

_ROOT = "/tenants/<tenant_id>/budgets"
#: Among so many budgets a parent is chosen from a list.
_CHOICE = 500
#: So many of those above a budget are named.
_ABOVE = 5


class BudgetFilters(Schema):
    """Which budgets."""

    scope_type = Choice(ScopeType)
    scope_id = Line()


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List budgets, each as a bar."""

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        found = partial(services().budgets.page, tenant_id, **wanted)
        return lists.page(found, read=_id, cursor=_shown)

    found = narrowing.find(BudgetFilters, fetch)
    page = render_template(
        "budgets/index.html", found=found, tenant=tenant(), **_looks()
    )
    return page, found.status


@blp.get(f"{_ROOT}/<budget_id>")
@needs(Permission.READ)
def show(tenant_id: str, budget_id: str) -> ResponseReturnValue:
    """Show a budget: what was spent, what is forecast, what was told to whom."""
    found = services().budgets.get(tenant_id, _id(budget_id))
    fired = [each.event_id for each in found.alerts if each.event_id]
    told = [*fired, *found.recoveries.values()]
    rolls = isinstance(found.budget.period, Rolling)
    return render_template(
        "budgets/show.html",
        found=found,
        parents=_parents(tenant_id, found),
        told=telling.of_events(tenant_id, told),
        history=None if rolls else budget_looks.history(found),
        tenant=tenant(),
        **_looks(),
    )


@blp.get("/tenants/<tenant_id>/new/budget")
@needs(Permission.ADMINISTER)
def new(tenant_id: str) -> ResponseReturnValue:
    """Show the form of a new budget."""
    asked = (request.args.get(name, "") for name in ("scope_type", "scope_id"))
    return _form(Form(NewBudget, **budget_forms.initial(*asked)))


@blp.post("/tenants/<tenant_id>/new/budget")
@needs(Permission.ADMINISTER)
def create(tenant_id: str) -> ResponseReturnValue:
    """Create a budget."""
    form = Form(NewBudget, request.form)

    def create(read: dict[str, Any]) -> str:
        made = services().budgets.create(tenant_id, **budget_forms.wanted(read))
        notify("success", "The budget was created; requests count from now on.")
        return url_for(".show", tenant_id=tenant_id, budget_id=_shown(made))

    answer = form.submit(lambda read: once.answer(lambda: create(read)))
    return _form(form) if answer is None else answer


@blp.get(f"{_ROOT}/<budget_id>/edit")
@needs(Permission.ADMINISTER)
def edit(tenant_id: str, budget_id: str) -> ResponseReturnValue:
    """Show the form of a budget."""
    found = services().budgets.get(tenant_id, _id(budget_id))
    return _form(Form(ChangedBudget, **budget_forms.values(found)), found)


@blp.post(f"{_ROOT}/<budget_id>/edit")
@needs(Permission.ADMINISTER)
def change(tenant_id: str, budget_id: str) -> ResponseReturnValue:
    """Change a budget, unless somebody else did so since the form was opened."""
    found = services().budgets.get(tenant_id, _id(budget_id))
    form = Form(ChangedBudget, request.form)

    def act(read: dict[str, Any]) -> Shown:
        check = _unchanged_since(read.pop("seen"))
        return services().budgets.change(tenant_id, found.row.id, read, check)

    if form.submit(act) is None:
        return _form(form, found)
    notify("success", "The budget was changed; what follows from it was told at once.")
    return redirect(
        url_for(".show", tenant_id=tenant_id, budget_id=budget_id),
        HTTPStatus.SEE_OTHER,
    )


@blp.post(f"{_ROOT}/<budget_id>/delete")
@needs(Permission.ADMINISTER)
def delete(tenant_id: str, budget_id: str) -> ResponseReturnValue:
    """Delete a budget."""
    services().budgets.delete(tenant_id, _id(budget_id))
    notify("success", "The budget was deleted; what it told of is still sent.")
    return redirect(url_for(".index", tenant_id=tenant_id), HTTPStatus.SEE_OTHER)


def _id(text: str) -> UUID:
    return ids.read(Kind.BUDGET, text)


def _shown(found: Shown) -> str:
    return ids.show(Kind.BUDGET, found.row.id)


def _looks() -> dict[str, Any]:
    return {"looks": budget_looks, "moment_now": datetime.now(UTC)}


def _parents(tenant_id: str, found: Shown) -> Sequence[Shown]:
    """Return the nearest budgets above one, the nearest first."""
    above = found.budget.parents[:_ABOVE]
    return [services().budgets.get(tenant_id, each) for each in above]


def _form(form: Form, found: Shown | None = None) -> ResponseReturnValue:
    fetch = services().budgets.page
    among = {_shown(x): x for x in fetch(tenant().id, after=None, limit=_CHOICE)}
    if found is not None:
        among.pop(_shown(found), None)
        # One that is too old to be among them must not be lost by saving.
        among |= {_shown(each): each for each in _parents(tenant().id, found)[:1]}
    others = [(shown, each.row.name) for shown, each in among.items()]
    page = render_template(
        "budgets/form.html",
        form=form,
        found=found,
        others=others,
        periods=budget_forms.PERIODS,
        tenant=tenant(),
        **_looks(),
    )
    return page, form.status


def _unchanged_since(seen: str) -> Callable[[Shown], None]:
    def check(found: Shown) -> None:
        if budget_forms.version(found) != seen:
            raise PreconditionFailed(
                "somebody changed this budget since you opened the form; nothing was"
                " saved. Open it again in another tab to see how it is now."
            )

    return check
