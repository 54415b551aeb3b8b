"""How budgets stand: what is spent in the period that is, and where it leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ascwebhooks.domain import budget_events, budgets
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Rolling
from ascwebhooks.domain.budgets import Budget, Projection
from ascwebhooks.services.charging import prepared, rows_of, window_of
from ascwebhooks.storage.budget_spending import Window
from ascwebhooks.storage.budget_tables import BudgetAlert, BudgetRow, BudgetSpend
from ascwebhooks.storage.unit_of_work import UnitOfWork

_ZERO = Decimal(0)


@dataclass(frozen=True)
class Spent:
    """What came of usage until now."""

    spent: Decimal = _ZERO
    unattributed: Decimal = _ZERO
    requests: int = 0
    unpriced: int = 0


@dataclass(frozen=True)
class Shown:
    """A budget, and how it stands now; ``window``: its rows in this period."""

    row: BudgetRow
    budget: Budget
    period: Bounds
    window: Window
    usage: Spent
    projection: Projection | None

    @property
    def remaining(self) -> Decimal:
        """Return what is left of the limit; below 0 if it is exceeded."""
        return budgets.EXACT.subtract(self.budget.limit, self.usage.spent)

    @property
    def percent_used(self) -> Decimal:
        """Return how much of the limit is spent, in percent."""
        return budgets.percent(self.usage.spent, self.budget.limit)

    @property
    def resets_at(self) -> datetime | None:
        """Return when the next period begins, if there is one."""
        return self.period.end if isinstance(self.budget.period, Calendar) else None


@dataclass(frozen=True)
class Detailed(Shown):
    """A budget with its alerts in this period, and its periods with usage.

    ``recoveries``: the events that told of alerts that recovered, by their ids.
    """

    alerts: Sequence[BudgetAlert]
    history: Sequence[BudgetSpend]
    recoveries: Mapping[str, UUID]

    def recovery_of(self, alert: BudgetAlert) -> UUID | None:
        """Return the event that told that an alert is over; None if there is none.

        Those that recovered together have one, known by the highest.
        """
        together = [
            recovery_id(each)
            for each in self.alerts
            if each.recovered_at == alert.recovered_at is not None
            and (each.period_start, each.basis) == (alert.period_start, alert.basis)
        ]
        found = (self.recoveries.get(each) for each in together)
        return next((each for each in found if each is not None), None)


def recovery_id(alert: BudgetAlert) -> str:
    """Return the id (CloudEvents') of what told of it, if it was the highest."""
    return budget_events.recovery_id(
        alert.budget_id, alert.period_start, alert.basis, alert.threshold, alert.times
    )


def shown(
    uow: UnitOfWork,
    rows: Sequence[BudgetRow],
    parents: Mapping[UUID, UUID | None],
    now: datetime,
) -> list[Shown]:
    """Return how budgets stand."""
    made = []
    for row in rows:
        budget = prepared(row, parents)
        made.append((row, budget, rows_of(budget, now)))
    totals = uow.budget_spending.totals([window for _, _, window in made])
    found = []
    for row, budget, window in made:
        total = totals.get((row.tenant_id, row.id))
        usage = Spent() if total is None else Spent(*total[2:])
        rolls = isinstance(budget.period, Rolling)
        period = (
            window_of(budget.period, now)
            if isinstance(budget.period, Rolling)
            else Bounds(window.since, window.until)
        )
        ahead = (
            None if rolls else budgets.project(budget.limit, usage.spent, period, now)
        )
        found.append(Shown(row, budget, period, window, usage, ahead))
    return found


def standing(shown: Shown) -> Standing:
    """Return how a budget stands, for its events."""
    spent = shown.usage.spent
    return Standing(shown.budget, shown.period, spent, spent)
