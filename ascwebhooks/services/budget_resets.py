"""Resets: a calendar period of a budget begins, and that is told once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from ascwebhooks.domain import budget_events
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.events import Event
from ascwebhooks.storage.budget_spending import Window
from ascwebhooks.storage.budget_tables import BudgetRow
from ascwebhooks.storage.unit_of_work import UnitOfWork

_ZERO = Decimal(0)


def reset(uow: UnitOfWork, row: BudgetRow, standing: Standing, now: datetime) -> Event:
    """Move a budget on to a period; return the event that tells of it.

    Args:
        uow: The transaction, in which the row is locked.
        row: The budget's; its period is over.
        standing: How the budget stands in the period that is.
        now: When that was found out.
    """
    assert row.period_start is not None
    assert row.period_end is not None
    last = Window(row.tenant_id, row.id, row.period_start, row.period_end)
    row.period_start, row.period_end = standing.period
    return budget_events.reset(standing, previous=spent(uow, last), now=now)


def spent(uow: UnitOfWork, window: Window) -> Decimal:
    """Return what is spent of a budget in a time."""
    total = uow.budget_spending.totals([window]).get(window[:2])
    return _ZERO if total is None else total.spent
