"""Examples of what is told of budgets, made by what tells it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ascwebhooks.domain import budget_events
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Unit
from ascwebhooks.domain.budgets import Basis, Budget, Enforcement, ScopeType, project
from ascwebhooks.domain.events import Event

_BUDGET = Budget(
    tenant_id="acme",
    id=UUID("019aec0d-9a1f-7b10-b4d8-a4e0f6a1c3d1"),
    name="Search, monthly",
    scope_type=ScopeType.TEAM,
    scope_id="search",
    limit=Decimal(100),
    currency="USD",
    period=Calendar(Unit.MONTH, "UTC"),
    thresholds=(Decimal(80), Decimal(95)),
    forecast=True,
    enforcement=Enforcement.ALERT,
    parents=(UUID("019aec0d-9a1f-7b10-b4d8-a4e0f6a1c3d2"),),
)
_PERIOD = Bounds(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
_AT = datetime(2026, 11, 16, tzinfo=UTC)


def _standing(spent: str, before: str) -> Standing:
    return Standing(_BUDGET, _PERIOD, Decimal(spent), Decimal(before))


def _crossing(
    spent: str, before: str, *lines: int, basis: Basis = Basis.ACTUAL
) -> Event:
    ahead = (
        project(_BUDGET.limit, Decimal(spent), _PERIOD, _AT)
        if basis is Basis.FORECAST
        else None
    )
    return budget_events.crossing(
        _standing(spent, before),
        basis=basis,
        lines=[Decimal(each) for each in lines],
        times=1,
        now=_AT,
        armed_at=_PERIOD.start,
        request_id=None if ahead else "chatcmpl-210c1cd3",
        projection=ahead,
    )


def _made() -> list[Event]:
    spent = "62.5"
    begun = Bounds(_PERIOD.end, _PERIOD.end + timedelta(days=31))
    fresh = Standing(_BUDGET, begun, Decimal(0), Decimal(0))
    return [
        _crossing("95.20", "79.40", 80, 95),
        _crossing("101.30", "95.20", 100),
        _crossing(spent, spent, 100, basis=Basis.FORECAST),
        budget_events.recovery(
            _standing(spent, "95.20"),
            basis=Basis.ACTUAL,
            lines=[Decimal(80), Decimal(95)],
            times=1,
            now=_AT,
            armed_at=_PERIOD.start,
        ),
        budget_events.reset(fresh, previous=Decimal("95.20"), now=_PERIOD.end),
        budget_events.change(
            _standing(spent, spent),
            version=1,
            fields=["limit"],
            previous_limit=Decimal(80),
            now=_AT,
        ),
    ]


#: The data of each, by its type.
EXAMPLES: dict[str, dict[str, Any]] = {
    each.type: json.loads(each.data) for each in _made()
}
