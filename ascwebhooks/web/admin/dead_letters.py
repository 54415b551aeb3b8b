"""Dead letters: what died of what, and choosing what is sent again."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, news, selections, words
from ascwebhooks.web.admin.access import needs, tenant

blp = Blueprint("dead_letters", __name__)
for _function in (words.endpoint_badge, words.replay_badge, words.result_badge):
    blp.add_app_template_global(_function)
for _filter, _name in (
    (words.reason, "reason_words"),
    (words.span, "span_words"),
):
    blp.add_app_template_filter(_filter, _name)
blp.add_app_template_global(words.failure, "failure_words")


@blp.get("/tenants/<tenant_id>/dead-letters")
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List dead letters by endpoint and reason: of many at first the newest."""
    chosen = selections.read()
    whole = "whole" in request.args
    found = services().dead_letters
    read = found.groups if whole else found.glance
    page = render_template(
        "dead_letters/index.html",
        tenant=tenant(),
        groups=read(tenant_id, **chosen.filter),
        chosen=chosen,
        words=words,
    )
    return page, chosen.status


@blp.get("/tenants/<tenant_id>/dead-letters/groups")
@needs(Permission.READ)
def groups(tenant_id: str) -> ResponseReturnValue:
    """Hand out the groups of all of them, for a page that shows the newest."""
    chosen = selections.read()
    shown = {
        "tenant": tenant(),
        "groups": services().dead_letters.groups(tenant_id, **chosen.filter),
        "chosen": chosen,
    }
    part = "dead_letters/groups.html"
    return news.either(part, part, chosen.status, **shown)


@blp.get("/tenants/<tenant_id>/dead-letters/deliveries")
@needs(Permission.READ)
def deliveries(tenant_id: str) -> ResponseReturnValue:
    """List the dead letters of a filter one by one, to choose some or all."""
    chosen = selections.read()
    chosen.filter["status"] = Status.DEAD_LETTERED
    fetch = partial(services().deliveries.page, tenant_id, **chosen.filter)
    page = lists.page(
        fetch,
        read=partial(ids.read, Kind.DELIVERY),
        cursor=lambda each: ids.show(Kind.DELIVERY, each.id),
    )
    named = services().dead_letters.endpoints(
        tenant_id, {each.endpoint_id for each in page.items}
    )
    return news.either(
        "dead_letters/deliveries.html",
        "dead_letters/rows.html",
        chosen.status,
        tenant=tenant(),
        page=page,
        kept=news.live(page),
        chosen=chosen,
        endpoints=named,
        words=words,
    )
