"""What follows from a change of a budget: it is told, with the lines it moved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ascwebhooks.domain import budget_events, budgets
from ascwebhooks.domain.budget_periods import Rolling
from ascwebhooks.domain.budgets import Basis
from ascwebhooks.domain.events import Event
from ascwebhooks.services import alerts
from ascwebhooks.services.alerts import Crossing
from ascwebhooks.services.budget_standings import Shown, standing
from ascwebhooks.storage.budget_spending import Line
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: A change of one of these is told to subscribers; the others change no alert.
_TOLD = frozenset({"limit", "thresholds", "enforcement"})


def consequences(
    uow: UnitOfWork,
    before: Shown,
    after: Shown,
    changed: Sequence[str],
    now: datetime,
) -> list[Event]:
    """Return what follows from a change, the change itself first."""
    made = []
    if _TOLD.intersection(changed):
        made.append(
            budget_events.change(
                standing(after),
                version=after.row.version,
                fields=changed,
                previous_limit=before.budget.limit,
                now=now,
            )
        )
    fired = uow.budget_spending.in_force([after.window])
    made += alerts.recover(uow, _armed(after, fired), now)
    return made + alerts.fire(uow, _crossed(after, fired, now), now)


def _armed(after: Shown, fired: Sequence[Line]) -> list[Crossing]:
    """Return the lines that fired and that spending is now below."""
    crossings = []
    for armed_at, basis in sorted({line[2:4] for line in fired}):
        lines = [
            line.threshold
            for line in fired
            if line[2:4] == (armed_at, basis) and _is_below(after, line)
        ]
        crossings.append(Crossing(standing(after), lines, armed_at, Basis(basis)))
    return [each for each in crossings if each.lines]


def _is_below(after: Shown, line: Line) -> bool:
    if line.basis == Basis.FORECAST:
        ahead = after.projection
        foretold = ahead is not None and ahead.exhausted_at is not None
        return not foretold and after.usage.spent < after.budget.limit
    return after.usage.spent < budgets.amount_of(after.budget.limit, line.threshold)


def _crossed(after: Shown, fired: Sequence[Line], now: datetime) -> list[Crossing]:
    """Return the lines that are below what is spent already, and have not fired."""
    told = {line.threshold for line in fired if line.basis == Basis.ACTUAL}
    reached = budgets.reached(after.budget, after.usage.spent)
    lines = [each for each in reached if each not in told]
    period = after.budget.period
    at = period.bounds(now).start if isinstance(period, Rolling) else after.period.start
    return [Crossing(standing(after), lines, at)] if lines else []
