"""Overviews: how everything is going, of all tenants or of one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.statistics import Span
from ascwebhooks.domain.verdicts import Topic
from ascwebhooks.services.overviews import Overview
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import charts, levels
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.rendering import link_to

blp = Blueprint("overview", __name__)

#: Where a concern is looked into: the platform's page, and the tenant's.
_PLACES = {
    Topic.BROKER: ("admin.health.index", None),
    Topic.STREAM: ("admin.health.index", None),
    Topic.BACKLOG: ("admin.health.index", "admin.deliveries.index"),
    Topic.DEAD_LETTERS: (None, "admin.dead_letters.index"),
}


@blp.get("/overview")
@needs(Permission.READ, platform=True)
def index() -> ResponseReturnValue:
    """Show how everything is going."""
    found = services().overviews.platform(asked_span())
    return render_template("overview/index.html", **shown(found))


@blp.get("/overview/live")
@needs(Permission.READ, platform=True)
def live() -> ResponseReturnValue:
    """Show the part of the platform's overview that lives."""
    found = services().overviews.platform(asked_span())
    return render_template("overview/live.html", **shown(found))


@blp.get("/tenants/<tenant_id>/overview/live")
@needs(Permission.READ)
def live_of_tenant(tenant_id: str) -> ResponseReturnValue:
    """Show the part of a tenant's overview that lives."""
    found = services().overviews.tenant(tenant_id, asked_span())
    return render_template("overview/live.html", **shown(found, tenant()))


#: Others are for other pages.
_ASKED = (Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH)


def asked_span() -> Span:
    """Return the span that the query asks for; the last 24 hours if it does not."""
    asked = request.args.get("span", "")
    return Span(asked) if asked in _ASKED else Span.DAY


def shown(found: Overview, whose: Any = None) -> dict[str, Any]:
    """Return what the templates of an overview show.

    Args:
        found: The overview.
        whose: The tenant; None for all.
    """
    of = {} if whose is None else {"tenant_id": whose.id}
    part = "admin.overview.live" if whose is None else "admin.overview.live_of_tenant"
    return {
        "overview": found,
        "tenant": whose,
        "attempts_chart": charts.outcomes(found.series),
        "latency_chart": charts.latency(found.series),
        "levels": levels.levels(found, with_stream=whose is None),
        "percent": charts.percent,
        "duration": charts.duration,
        "live_url": url_for(part, span=found.span.value, **of),
        "places": {topic: _place(topic, of, found.span) for topic in Topic},
    }


def _place(topic: Topic, of: dict[str, str], span: Span) -> str | None:
    view = _PLACES.get(topic, (None, None))[bool(of)]
    if view == "admin.deliveries.index":
        return link_to(view, **of, status=Status.PENDING.value)
    if view == "admin.dead_letters.index":
        return link_to(view, **of, died=span.value)
    return None if view is None else link_to(view, **of)
