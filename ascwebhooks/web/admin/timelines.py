"""Timelines: a tenant's traffic, alerts and deliveries in one picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import events, timelines, usage
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import USAGE_GROUPS
from ascwebhooks.domain.timelines import Axis
from ascwebhooks.domain.usage import Tally
from ascwebhooks.services.usage import Timeline
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import (
    budget_looks,
    charts,
    lanes,
    narrowing,
    overview,
    rule_words,
)
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.budget_looks import Crossed

blp = Blueprint("timelines", __name__)

#: How long a step is, by how far back is looked.
_STEPS_S = {"1h": 60, "24h": 900, "7d": 7_200, "30d": 28_800}
#: So many of each are shown of a step; the lists have the others.
_SHOWN = 20
_YEARS = (1970, 2200)


class Behind(NamedTuple):
    """What there is behind a step of a timeline."""

    since: datetime
    until: datetime
    total: Any
    groups: list[Any]
    incidents: Any
    alerts: Any

    @property
    def crossed(self) -> list[Crossed]:
        """The alerts of budgets, one for each event that told of them."""
        return budget_looks.together(alert for alert, _ in self.alerts)

    @property
    def budgets(self) -> dict[Any, Any]:
        """The budgets of these alerts, by their ids."""
        return {row.id: row for _, row in self.alerts}

    @property
    def arguments(self) -> dict[str, str]:
        """What narrows a list to the step, in its URL."""
        return {"since": events.iso(self.since), "until": events.iso(self.until)}


@blp.get("/tenants/<tenant_id>/timeline")
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """Show a timeline, and what is behind one of its steps if that is asked for."""
    span = overview.asked_span()
    until = datetime.now(UTC)
    found = services().usage.timeline(
        tenant_id,
        since=until - timedelta(seconds=span.back_s),
        until=until,
        step_s=_STEPS_S[span.value],
    )
    chosen, errors = _chosen(_STEPS_S[span.value])
    page = render_template(
        "timelines/index.html",
        span=span.value,
        picture=lanes.picture(found),
        chosen=chosen and chosen.begins,
        summary=_summary(found),
        behind=None if chosen is None else _behind(tenant_id, chosen),
        errors=errors,
        looks=budget_looks,
        first_token=_first_token,
        words=rule_words,
        tenant=tenant(),
    )
    return page, 422 if errors else 200


def _chosen(step_s: int) -> tuple[Axis | None, list[str]]:
    """Return the step that the query names, and what is wrong with it."""
    given = request.args.get("at", "")
    if not given:
        return None, []
    at = narrowing.parse_time(given)
    if at is None or not _YEARS[0] <= at.year < _YEARS[1]:
        return None, [f"{given[:64]!r} is no time, as in 2026-07-28T14:00Z."]
    return timelines.axis(at, at + timedelta(microseconds=1), step_s), []


def _behind(tenant_id: str, along: Axis) -> Behind:
    since, until = along.begins, along.ends
    read = partial(
        services().usage.timeline,
        tenant_id,
        since=since,
        until=until,
        step_s=along.step_s,
    )
    groups = read(group_by=USAGE_GROUPS[:2]).points
    within: dict[str, Any] = {"since": since, "until": until, "limit": _SHOWN}
    return Behind(
        since,
        until,
        read().points[0],
        sorted(groups, key=lambda each: -each.used.tally.requests),
        services().incidents.page(tenant_id, after=None, **within),
        services().budgets.fired(tenant_id, **within),
    )


def _first_token(tally: Tally) -> str:
    return charts.duration(usage.quantile_ms(tally.first_tokens, 0.95))


def _summary(found: Timeline) -> str:
    """Return what a timeline comes to, for whoever does not see it."""
    count = {
        name: sum(each.used.tally.of(name) for each in found.points)
        for name in ("failed", "fallbacks", "denials")
    }
    requests = sum(each.used.tally.requests for each in found.points)
    alerts = sum(each.alerts or 0 for each in found.points)
    return (
        f"{requests:,} requests, {count['failed']:,} of them failed;"
        f" {count['fallbacks']:,} fallbacks, {count['denials']:,} policy denials,"
        f" {alerts:,} alerts."
    )
