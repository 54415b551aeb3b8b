"""What is told of budgets: ``budget.*`` events, their ids and their data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.budget_periods import Bounds, Calendar
from ascwebhooks.domain.budgets import (
    EXACT,
    FULL,
    Basis,
    Budget,
    Projection,
    ScopeType,
    number,
    percent,
)
from ascwebhooks.domain.derived import derived
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.ids import Kind

THRESHOLD_REACHED = "budget.threshold_reached"
EXCEEDED = "budget.exceeded"
FORECAST_EXCEEDED = "budget.forecast_exceeded"
RECOVERED = "budget.recovered"
RESET = "budget.reset"
CHANGED = "budget.changed"


class Standing(NamedTuple):
    """How a budget stands in one of its periods.

    ``before``: what was spent before what is told of happened.
    """

    budget: Budget
    period: Bounds
    spent: Decimal
    before: Decimal

    def is_late(self, now: datetime) -> bool:
        """Return whether the period was over when this was found out."""
        return self.period.end < now


def crossing(
    standing: Standing,
    *,
    basis: Basis,
    lines: Sequence[Decimal],
    times: int,
    now: datetime,
    armed_at: datetime,
    request_id: str | None = None,
    projection: Projection | None = None,
) -> Event:
    """Return the event of lines that were crossed together: the highest names it.

    The limit and lines above it are ``budget.exceeded``, which stands in for the
    threshold of 100 percent: a crossing makes one event.

    Args:
        standing: How the budget stands now.
        basis: What it rests on.
        lines: Which were crossed, ascending.
        times: How often the highest has fired in this period, with this time.
        now: When it was found out.
        armed_at: Where the period of the alert began.
        request_id: Whose cost crossed the highest, if one did.
        projection: For a forecast.
    """
    highest = lines[-1]
    type = EXCEEDED if highest >= FULL else THRESHOLD_REACHED
    data = {
        **_data(standing, now, basis),
        **_lines(standing, lines),
        "trigger_request_id": request_id,
    }
    if projection is not None:
        type = FORECAST_EXCEEDED
        data["projected_spend"] = projection.spend
        data["projected_exhaustion_at"] = projection.exhausted_at
    cause = f"{_at(armed_at)}:{basis}:{highest}"
    return _event(
        standing, type, cause if times == 1 else f"{cause}:{times}", now, data
    )


def recovery(
    standing: Standing,
    *,
    basis: Basis,
    lines: Sequence[Decimal],
    times: int,
    now: datetime,
    armed_at: datetime,
) -> Event:
    """Return the event of lines that had fired and are armed again (``crossing``)."""
    data = {**_data(standing, now, basis), **_lines(standing, lines)}
    cause = _recovered(armed_at, basis, lines[-1], times)
    return _event(standing, RECOVERED, cause, now, data)


def recovery_id(
    budget_id: UUID, armed_at: datetime, basis: str, line: Decimal, times: int
) -> str:
    """Return the id (CloudEvents') of what is told if this line is the highest."""
    cause = _recovered(armed_at, basis, line, times)
    return _id(ids.show(Kind.BUDGET, budget_id), cause)


def _recovered(armed_at: datetime, basis: str, line: Decimal, times: int) -> str:
    return f"{_at(armed_at)}:{basis}:{line}:recovered:{times}"


def reset(standing: Standing, *, previous: Decimal, now: datetime) -> Event:
    """Return the event of a period that begins.

    Args:
        standing: How the budget stands in it.
        previous: What was spent in the period before.
        now: When it was found out.
    """
    limit = standing.budget.limit
    data = {
        **_data(standing, now, Basis.ACTUAL),
        "previous_percent": number(percent(previous, limit)),
    }
    return _event(standing, RESET, f"{_at(standing.period.start)}:reset", now, data)


def change(
    standing: Standing,
    *,
    version: int,
    fields: Sequence[str],
    previous_limit: Decimal,
    now: datetime,
) -> Event:
    """Return the event of a budget that was changed.

    Args:
        standing: How it stands after the change.
        version: How often it was changed.
        fields: What was changed.
        previous_limit: Before.
        now: When.
    """
    data = {
        **_data(standing, now, Basis.ACTUAL),
        "changed_fields": list(fields),
        "previous_limit": previous_limit,
        "previous_percent": number(percent(standing.spent, previous_limit)),
    }
    return _event(standing, CHANGED, f"changed:{version}", now, data)


def _event(
    standing: Standing, type: str, cause: str, now: datetime, data: dict[str, Any]
) -> Event:
    shown = ids.show(Kind.BUDGET, standing.budget.id)
    return derived(
        type,
        id=_id(shown, cause),
        tenant_id=standing.budget.tenant_id,
        at=now,
        subject=shown,
        data=data,
    )


def _id(shown: str, cause: str) -> str:
    return f"budget:{shown}:{cause}"


def _at(moment: datetime) -> str:
    return events.iso(moment)


def _data(standing: Standing, now: datetime, basis: Basis) -> dict[str, Any]:
    budget, period, spent, _ = standing
    recurs = isinstance(budget.period, Calendar)
    return {
        "budget_id": ids.show(Kind.BUDGET, budget.id),
        "scope": _scope(budget),
        "budget_name": budget.name,
        "scope_type": budget.scope_type.value,
        "scope_id": budget.scope_id or None,
        "parent_budget_ids": [ids.show(Kind.BUDGET, each) for each in budget.parents],
        "limit": budget.limit,
        "spent": spent,
        "remaining": EXACT.subtract(budget.limit, spent),
        "percent_used": number(percent(spent, budget.limit)),
        "basis": basis.value,
        "currency": budget.currency,
        "period_start": period.start,
        "period_end": period.end,
        "resets_at": period.end if recurs else None,
        "enforcement": budget.enforcement.value,
        "late": standing.is_late(now),
    }


def _lines(standing: Standing, lines: Sequence[Decimal]) -> dict[str, Any]:
    return {
        "previous_percent": number(percent(standing.before, standing.budget.limit)),
        "threshold_percent": number(lines[-1]),
        "crossed_thresholds": [number(each) for each in lines],
    }


_NAMED = {
    ScopeType.ORG: "org_id",
    ScopeType.BUSINESS_UNIT: "business_unit_id",
    ScopeType.TEAM: "team_id",
    ScopeType.USER: "user_id",
    ScopeType.KEY: "key_id",
    ScopeType.PROJECT: "project_id",
    ScopeType.FEATURE: "feature",
}


def _scope(budget: Budget) -> dict[str, Any]:
    """Return who a budget is for, as requests name them."""
    if budget.scope_type is ScopeType.TAG:
        return {"tags": [budget.scope_id]}
    name = _NAMED.get(budget.scope_type)
    return {} if name is None else {name: budget.scope_id}
