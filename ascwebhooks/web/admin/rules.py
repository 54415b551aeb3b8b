"""Rules: what opens an incident; the defaults, and what a tenant makes of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from ascwebhooks.domain import ids, rules
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import RuleKind
from ascwebhooks.errors import PreconditionFailed
from ascwebhooks.services.rules import Held
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, narrowing, once, rule_forms, rule_words
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.forms import Form
from ascwebhooks.web.admin.narrowing import Choice
from ascwebhooks.web.admin.rendering import notify
from ascwebhooks.web.admin.rule_forms import ChangedRule, NewRule

blp = Blueprint("rules", __name__)

_ROOT = "/tenants/<tenant_id>/rules"
_SOON = "it counts within seconds."


class RuleFilters(Schema):
    """Which rules."""

    kind = Choice(RuleKind)
    enabled = fields.Boolean(
        error_messages={"invalid": "{input!r} is none of true, false."}
    )


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List rules: a tenant's own, and the defaults."""

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        found = partial(services().rules.page, tenant_id, **wanted)
        return lists.page(found, read=_id, cursor=_shown)

    found = narrowing.find(RuleFilters, fetch)
    page = render_template(
        "rules/index.html", found=found, tenant=tenant(), words=rule_words
    )
    return page, found.status


@blp.get("/tenants/<tenant_id>/new/rule")
@needs(Permission.ADMINISTER)
def new(tenant_id: str) -> ResponseReturnValue:
    """Have a kind chosen, and then show the form of a new rule."""
    asked = request.args.get("kind", "")
    if asked not in list(RuleKind):
        return render_template("rules/kinds.html", tenant=tenant(), words=rule_words)
    kind = RuleKind(asked)
    initial = rule_forms.initial(kind, rule_words.KINDS[kind].name)
    return _form(Form(NewRule, **initial), kind)


@blp.post("/tenants/<tenant_id>/new/rule")
@needs(Permission.ADMINISTER)
def create(tenant_id: str) -> ResponseReturnValue:
    """Create a rule."""
    form = Form(NewRule, request.form)

    def create(read: dict[str, Any]) -> str:
        services().rules.create(tenant_id, **rule_forms.wanted(read["kind"], read))
        notify("success", f"The rule was created; {_SOON}")
        return url_for(".index", tenant_id=tenant_id)

    answer = form.submit(lambda read: once.answer(lambda: create(read)))
    if answer is not None:
        return answer
    if "kind" in form.errors:
        page = render_template("rules/kinds.html", tenant=tenant(), words=rule_words)
        return page, form.status
    return _form(form, RuleKind(form.values["kind"]))


@blp.get(f"{_ROOT}/<rule_id>/edit")
@needs(Permission.ADMINISTER)
def edit(tenant_id: str, rule_id: str) -> ResponseReturnValue:
    """Show the form of a rule."""
    held = services().rules.get(tenant_id, _id(rule_id))
    seen = rule_forms.version(held)
    form = Form(ChangedRule, **rule_forms.values(held.rule), seen=seen)
    return _form(form, held.rule.kind, held)


@blp.post(f"{_ROOT}/<rule_id>/edit")
@needs(Permission.ADMINISTER)
def change(tenant_id: str, rule_id: str) -> ResponseReturnValue:
    """Change a rule, unless somebody else did so since the form was opened."""
    held = services().rules.get(tenant_id, _id(rule_id))
    form = Form(ChangedRule, request.form)

    def act(read: dict[str, Any]) -> Held:
        check = _unchanged_since(read.pop("seen"))
        changes = rule_forms.wanted(held.rule.kind, read)
        return services().rules.change(tenant_id, held.id, changes, check)

    if form.submit(act) is None:
        return _form(form, held.rule.kind, held)
    notify("success", f"The rule was changed; {_SOON}")
    return _to_list(tenant_id)


@blp.post(f"{_ROOT}/<rule_id>/enable")
@needs(Permission.ADMINISTER)
def enable(tenant_id: str, rule_id: str) -> ResponseReturnValue:
    """Turn a rule on."""
    services().rules.change(tenant_id, _id(rule_id), {"enabled": True})
    notify("success", f"The rule is on; {_SOON}")
    return _to_list(tenant_id)


@blp.post(f"{_ROOT}/<rule_id>/disable")
@needs(Permission.ADMINISTER)
def disable(tenant_id: str, rule_id: str) -> ResponseReturnValue:
    """Turn a rule off."""
    services().rules.change(tenant_id, _id(rule_id), {"enabled": False})
    notify("success", "The rule is off; incidents that it has open resolve.")
    return _to_list(tenant_id)


@blp.post(f"{_ROOT}/<rule_id>/delete")
@needs(Permission.ADMINISTER)
def delete(tenant_id: str, rule_id: str) -> ResponseReturnValue:
    """Delete a rule; of a default, what was changed of it."""
    services().rules.delete(tenant_id, _id(rule_id))
    notify("success", "It was deleted; incidents that it has open resolve.")
    return _to_list(tenant_id)


def _id(text: str) -> UUID:
    return ids.read(Kind.RULE, text)


def _shown(held: Held) -> str:
    return ids.show(Kind.RULE, held.id)


def _to_list(tenant_id: str) -> ResponseReturnValue:
    return redirect(url_for(".index", tenant_id=tenant_id), HTTPStatus.SEE_OTHER)


def _form(form: Form, kind: RuleKind, held: Held | None = None) -> ResponseReturnValue:
    page = render_template(
        "rules/form.html",
        form=form,
        kind=kind,
        held=held,
        takes=partial(rules.takes, kind),
        groups=rule_forms.groups(kind),
        is_share=kind in rule_forms.SHARES,
        tenant=tenant(),
        words=rule_words,
    )
    return page, form.status


def _unchanged_since(seen: str) -> Callable[[Held], None]:
    def check(held: Held) -> None:
        if rule_forms.version(held) != seen:
            raise PreconditionFailed(
                "somebody changed this rule since you opened the form; nothing was"
                " saved. Open it again in another tab to see how it is now."
            )

    return check
