"""What time alone does to budgets: a period turns, or spending leads past the limit.

Beat asks every few seconds.  Each tenant is a transaction that holds its row, like the
batches that charge its budgets; the rows that move on are locked, so two at once tell
of each turn once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import structlog

from ascwebhooks.domain import budget_events, budgets
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar
from ascwebhooks.domain.budgets import FORECAST_AFTER, FULL, Basis
from ascwebhooks.domain.events import Event
from ascwebhooks.services import alerts
from ascwebhooks.services.alerts import Crossing
from ascwebhooks.services.charging import prepared
from ascwebhooks.services.deriving import Deriving, apart
from ascwebhooks.storage.budget_spending import Window
from ascwebhooks.storage.budget_tables import BudgetRow
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

_ZERO = Decimal(0)


class BudgetTurns:
    """Turns periods and looks ahead; doing either twice does no harm."""

    def __init__(self, uow: Callable[[], UnitOfWork], deriving: Deriving) -> None:
        """Take the parts."""
        self._uow = uow
        self._deriving = deriving

    def turn(self, at: datetime | None = None) -> int:
        """Tell of periods that began and of limits that will be passed.

        Args:
            at: When, if not now; events are dated by it.

        Returns:
            How many events were made.

        Raises:
            Unavailable: If the database is away; nothing is lost by it.
        """
        with self._uow() as uow:
            due = uow.budgets.tenants_due(at or uow.now(), FORECAST_AFTER)
        made = 0
        for tenant_id in due:
            with apart(tenant_id):
                made += self._turn(tenant_id, at)
        return made

    def _turn(self, tenant_id: str, at: datetime | None) -> int:
        with self._uow() as uow:
            if not uow.tenants.versions([tenant_id]):
                return 0
            dated = uow.now()
            now = at or dated
            made = _resets(uow, tenant_id, now)
            made += _forecasts(uow, tenant_id, now, dated)
            self._deriving.derive(uow, made, dated)
            uow.commit()
        log.info("budgets_turned", tenant_id=tenant_id, events=len(made))
        return len(made)


def _resets(uow: UnitOfWork, tenant_id: str, now: datetime) -> list[Event]:
    """Move budgets on to the period that is; those missed meanwhile are not told."""
    rows = uow.budgets.over(tenant_id, now)
    if not rows:
        return []
    parents = uow.budgets.parents(tenant_id)
    made = []
    for row in rows:
        budget = prepared(row, parents)
        if not isinstance(budget.period, Calendar):
            # A span that is over: what comes late is still charged to it.
            row.period_end = None
            continue
        previous = _spent(uow, row, _told(row))
        period = budget.period.bounds(now)
        row.period_start, row.period_end = period
        spent = _spent(uow, row, period)
        standing = Standing(budget, period, spent, spent)
        made.append(budget_events.reset(standing, previous=previous, now=now))
    return made


def _forecasts(
    uow: UnitOfWork, tenant_id: str, now: datetime, dated: datetime
) -> list[Event]:
    leading = uow.budgets.leading(tenant_id, now, FORECAST_AFTER)
    if not leading:
        return []
    parents = uow.budgets.parents(tenant_id)
    wanted = []
    for budget_id, spent in leading:
        row = uow.budgets.find(tenant_id, budget_id)
        assert row is not None
        budget = prepared(row, parents)
        period = _told(row)
        projection = budgets.project(budget.limit, spent, period, now)
        if projection is not None and projection.exhausted_at is not None:
            standing = Standing(budget, period, spent, spent)
            wanted.append(
                Crossing(
                    standing,
                    [FULL],
                    period.start,
                    Basis.FORECAST,
                    projection=projection,
                )
            )
    return alerts.fire(uow, wanted, now, dated)


def _told(row: BudgetRow) -> Bounds:
    """Return the period that was last told of."""
    assert row.period_start is not None
    assert row.period_end is not None
    return Bounds(row.period_start, row.period_end)


def _spent(uow: UnitOfWork, row: BudgetRow, period: Bounds) -> Decimal:
    window = Window(row.tenant_id, row.id, *period)
    total = uow.budget_spending.totals([window]).get((row.tenant_id, row.id))
    return _ZERO if total is None else total.spent
