"""What time alone does to budgets.

A period turns; spending leads past the limit; what was spent falls out of a window.

Beat asks every few seconds.  Each tenant is a transaction that holds its row, like the
batches that charge its budgets; the rows that move on are locked, so two at once tell
of each turn once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import structlog

from ascwebhooks.domain import budgets
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Once, Rolling
from ascwebhooks.domain.budgets import FORECAST_AFTER, FULL, Basis, Budget
from ascwebhooks.domain.events import Event
from ascwebhooks.services import alerts, budget_resets
from ascwebhooks.services.alerts import Crossing
from ascwebhooks.services.charging import prepared, rows_of, window_of
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
        """Tell of periods that began, limits that will be passed, lines that were left.

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
            made = _over(uow, tenant_id, now)
            made += _forecasts(uow, tenant_id, now, dated)
            self._deriving.derive(uow, made, dated)
            uow.commit()
        if made:
            log.info("budgets_turned", tenant_id=tenant_id, events=len(made))
        return len(made)


def _over(uow: UnitOfWork, tenant_id: str, now: datetime) -> list[Event]:
    """Move budgets on to the period that is; those missed meanwhile are not told."""
    rows = uow.budgets.over(tenant_id, now)
    if not rows:
        return []
    parents = uow.budgets.parents(tenant_id)
    made, windows = [], []
    for row in rows:
        budget = prepared(row, parents)
        match budget.period:
            case Rolling() as rolling:
                row.period_end = rolling.bounds(now).end
                windows.append(budget)
            case Once():
                # What comes late is still charged to it.
                row.period_end = None
            case calendar:
                bounds = calendar.bounds(now)
                spent = budget_resets.spent(uow, Window(tenant_id, row.id, *bounds))
                standing = Standing(budget, bounds, spent, spent)
                made.append(budget_resets.reset(uow, row, standing, now))
    return made + _fallen(uow, windows, now)


def _fallen(uow: UnitOfWork, windows: Sequence[Budget], now: datetime) -> list[Event]:
    """Arm the lines again that spending is below since part of it fell out."""
    wanted = [_fired_within(each, now) for each in windows]
    fired = uow.budget_spending.fired_last(wanted)
    found = {each.id: each for each in windows}
    at_stake = {line.budget_id for line in fired}
    sums = uow.budget_spending.windows(
        [rows_of(each, now) for each in windows if each.id in at_stake]
    )
    parts: dict[tuple[UUID, datetime], list[Decimal]] = defaultdict(list)
    for line in fired:
        parts[line.budget_id, line.period_start].append(line.threshold)
    crossings = []
    for (budget_id, armed_at), lines in parts.items():
        budget = found[budget_id]
        assert isinstance(budget.period, Rolling)
        spent = sums.get((budget.tenant_id, budget_id), _ZERO)
        standing = Standing(budget, window_of(budget.period, now), spent, spent)
        below = budgets.fallen(budget, lines, spent)
        crossings.append(Crossing(standing, below, armed_at))
    return alerts.recover(uow, [each for each in crossings if each.lines], now)


def _fired_within(budget: Budget, now: datetime) -> Window:
    """Return how far back a line of a window may have fired and still be crossed.

    It fires once in a length while it is crossed, so the last time is within one; what
    was spent then takes another to fall out.  The third is for a pass that is late.
    """
    assert isinstance(budget.period, Rolling)
    since = now - 3 * budget.period.length
    return rows_of(budget, now)._replace(since=since)


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
