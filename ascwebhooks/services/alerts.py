"""Alerts: from lines that were crossed to rows, and from the rows to events.

A row is unique for its line and period, and inserted in the transaction of what
crossed the line: whoever inserts it returns the event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from ascwebhooks.domain import budget_events
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budgets import Basis, Projection, amount_of
from ascwebhooks.domain.charges import Charge
from ascwebhooks.domain.derived import derived_id
from ascwebhooks.domain.events import Event
from ascwebhooks.storage.budget_spending import Line
from ascwebhooks.storage.unit_of_work import UnitOfWork

_Place = tuple[str, UUID, datetime, str]


class Crossing(NamedTuple):
    """Lines of a budget that are to fire, or to be armed again, if they can.

    ``armed_at``: where the period began in which each fires once.
    ``charge``: what moved spending, if usage did.
    """

    standing: Standing
    lines: Sequence[Decimal]
    armed_at: datetime
    basis: Basis = Basis.ACTUAL
    charge: Charge | None = None
    projection: Projection | None = None

    def rows(self) -> list[Line]:
        """Return the keys of its lines."""
        budget = self.standing.budget
        return [
            Line(budget.tenant_id, budget.id, self.armed_at, self.basis.value, each)
            for each in self.lines
        ]


def fire(
    uow: UnitOfWork,
    wanted: Sequence[Crossing],
    now: datetime,
    dated: datetime | None = None,
) -> list[Event]:
    """Have lines fire that are armed; return an event for each crossing of any.

    Args:
        uow: The transaction of what crossed them.
        wanted: Which lines.
        now: When they were crossed.
        dated: What dates the events' ids, if not ``now``.
    """
    rows = [row for each in wanted for row in each.rows()]
    fired = _by_place(uow.budget_spending.fire(rows, now))
    made = []
    for each in wanted:
        lines = fired.get(_place(each))
        if not lines:
            continue
        highest = max(lines)
        event = budget_events.crossing(
            each.standing,
            basis=each.basis,
            lines=sorted(lines),
            times=lines[highest],
            now=now,
            armed_at=each.armed_at,
            request_id=_request_id(each, highest),
            projection=each.projection,
        )
        told = [row for row in each.rows() if row.threshold in lines]
        uow.budget_spending.name(told, derived_id(event, dated or now))
        made.append(event)
    return made


def recover(uow: UnitOfWork, wanted: Sequence[Crossing], now: datetime) -> list[Event]:
    """Arm lines again that had fired; return an event for each that has any."""
    rows = [row for each in wanted for row in each.rows()]
    armed = _by_place(uow.budget_spending.recover(rows, now))
    made = []
    for each in wanted:
        lines = armed.get(_place(each))
        if not lines:
            continue
        event = budget_events.recovery(
            each.standing,
            basis=each.basis,
            lines=sorted(lines),
            times=lines[max(lines)],
            now=now,
            armed_at=each.armed_at,
        )
        made.append(event)
    return made


def _place(crossing: Crossing) -> _Place:
    budget = crossing.standing.budget
    return budget.tenant_id, budget.id, crossing.armed_at, crossing.basis.value


def _by_place(rows: Sequence[tuple[Line, int]]) -> dict[_Place, dict[Decimal, int]]:
    """Return how often each line has fired, by budget, period and basis."""
    found: dict[_Place, dict[Decimal, int]] = defaultdict(dict)
    for line, times in rows:
        found[line[:4]][line.threshold] = times
    return found


def _request_id(crossing: Crossing, highest: Decimal) -> str | None:
    if crossing.charge is None:
        return None
    standing = crossing.standing
    amount = amount_of(standing.budget.limit, highest)
    return crossing.charge.request_that_crossed(standing.before, amount)
