"""Charging: what requests cost is added to budgets as they are accepted.

One statement adds what a batch costs, a row for each budget and period.  The rows are
locked until the commit, so that of all who charge a budget each sees what the one
before it left, and exactly one sees a line crossed.  The alert's row says so again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import budget_periods, budgets
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Once, Rolling
from ascwebhooks.domain.budgets import EXACT, Budget, Enforcement, ScopeType
from ascwebhooks.domain.charges import Charge, Charged, TenantBudgets
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.signals import MOST_AHEAD, Signal
from ascwebhooks.services import alerts, budget_resets
from ascwebhooks.services.alerts import Crossing
from ascwebhooks.services.triggers import Observed
from ascwebhooks.storage.budget_spending import Line, NewCharge, Window
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

_REMEMBERED_TENANTS = 10_000


class Charging:
    """The observer that charges budgets."""

    def __init__(self) -> None:
        """Know nobody's budgets yet."""
        self._known: dict[str, tuple[int, TenantBudgets]] = {}

    def wants(self, uow: UnitOfWork, versions: Mapping[str, int]) -> Collection[str]:
        """Return which of these tenants have budgets."""
        stale = {
            tenant_id: version
            for tenant_id, version in versions.items()
            if (found := self._known.get(tenant_id)) is None or found[0] != version
        }
        if not stale:
            return [each for each in versions if self._known[each][1]]
        if len(self._known) > _REMEMBERED_TENANTS:
            self._known = {}
        for tenant_id, budgets_of in _read(uow, list(stale)).items():
            self._known[tenant_id] = stale[tenant_id], budgets_of
        return [each for each in versions if self._of(uow, each)]

    def _of(self, uow: UnitOfWork, tenant_id: str) -> TenantBudgets:
        """Return a tenant's budgets; they hold, for its row is held meanwhile.

        Another thread may have forgotten them since.
        """
        known = self._known.get(tenant_id)
        return _read(uow, [tenant_id])[tenant_id] if known is None else known[1]

    def observe(self, uow: UnitOfWork, signals: Sequence[Observed]) -> list[Event]:
        """Charge budgets with signals; return the events of lines that were crossed."""
        now = signals[0].signal.arrival
        charged = self._charged(uow, signals)
        rolling = [each for each in charged if _is_rolling(each.budget)]
        if rolling:
            # Their lines are drawn across buckets, which are locked one by one.
            tenants = sorted({each.budget.tenant_id for each in rolling})
            uow.budgets.lock(tenants, [each.budget.id for each in rolling])
        spent = uow.budget_spending.charge([_row(each) for each in charged])
        moved = [
            _moved(
                each, spent[each.budget.tenant_id, each.budget.id, each.bounds.start]
            )
            for each in charged
            if each.charge.spent and not _is_rolling(each.budget)
        ]
        moved += _windows(uow, rolling, now)
        return _told(uow, moved, now)

    def _charged(self, uow: UnitOfWork, signals: Sequence[Observed]) -> list[Charged]:
        parts: dict[str, list[Signal]] = defaultdict(list)
        for _, signal in signals:
            parts[signal.tenant_id].append(signal)
        charged: list[Charged] = []
        for tenant_id, part in parts.items():
            problems: Counter[str] = Counter()
            charged += self._of(uow, tenant_id).charge(part, problems)
            if problems:
                log.warning(
                    "usage_unpriced", tenant_id=tenant_id, problems=dict(problems)
                )
        return charged


def _read(uow: UnitOfWork, tenant_ids: Sequence[str]) -> dict[str, TenantBudgets]:
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in uow.budgets.of(tenant_ids):
        rows[row.tenant_id].append(row)
    return {each: TenantBudgets(in_force(rows[each])) for each in tenant_ids}


def in_force(rows: Iterable[Any]) -> list[Budget]:
    """Return budgets as they are in force; ``rows`` are all of their tenant's."""
    rows = list(rows)
    parents = {row.id: row.parent_id for row in rows}
    return [prepared(row, parents) for row in rows]


def prepared(row: Any, parents: Mapping[UUID, UUID | None]) -> Budget:
    """Return a budget as it is in force; ``parents`` of its tenant's budgets."""
    return Budget(
        tenant_id=row.tenant_id,
        id=row.id,
        name=row.name,
        scope_type=ScopeType(row.scope_type),
        scope_id=row.scope_id,
        limit=row.limit_amount,
        currency=row.currency,
        period=budget_periods.read(row.period),
        thresholds=tuple(row.thresholds),
        forecast=row.forecast,
        enforcement=Enforcement(row.enforcement),
        parents=budgets.ancestry(row.id, parents),
    )


def window_of(period: Rolling, now: datetime) -> Bounds:
    """Return the window of a budget as it is told of."""
    return Bounds(now - period.length, now)


def rows_of(budget: Budget, now: datetime) -> Window:
    """Return which rows of a budget are of the period that is."""
    match budget.period:
        case Rolling() as rolling:
            # What is ahead of its arrival counts too.
            bounds = Bounds(rolling.since(now), now + 2 * MOST_AHEAD)
        case Once(span):
            bounds = span
        case calendar:
            bounds = calendar.bounds(now)
    return Window(budget.tenant_id, budget.id, *bounds)


def _is_rolling(budget: Budget) -> bool:
    return isinstance(budget.period, Rolling)


def _row(charged: Charged) -> NewCharge:
    budget, bounds, charge = charged
    return NewCharge(
        budget.tenant_id,
        budget.id,
        *bounds,
        charge.spent,
        charge.unattributed,
        charge.requests,
        charge.unpriced,
    )


def _moved(charged: Charged, spent: Decimal) -> Crossing:
    """Return how a batch moved a budget within a period, without its lines yet."""
    budget, bounds, charge = charged
    before = EXACT.subtract(spent, charge.spent)
    standing = Standing(budget, bounds, spent, before)
    return Crossing(standing, (), bounds.start, charge=charge)


def _windows(
    uow: UnitOfWork, charged: Sequence[Charged], now: datetime
) -> list[Crossing]:
    """Return how a batch moved budgets with rolling windows."""
    parts: dict[Budget, list[Charge]] = defaultdict(list)
    windows = []
    for budget, bounds, charge in charged:
        window = rows_of(budget, now)
        if bounds.start >= window.since and charge.spent:
            if budget not in parts:
                windows.append(window)
            parts[budget].append(charge)
    sums = uow.budget_spending.windows(windows)
    moved = []
    for budget, charges in parts.items():
        assert isinstance(budget.period, Rolling)
        whole = _together(charges)
        spent = sums[budget.tenant_id, budget.id]
        before = EXACT.subtract(spent, whole.spent)
        standing = Standing(budget, window_of(budget.period, now), spent, before)
        at = budget.period.bounds(now).start
        moved.append(Crossing(standing, (), at, charge=whole))
    return moved


def _together(charges: Sequence[Charge]) -> Charge:
    whole = Charge()
    whole.spent = budgets.total(each.spent for each in charges)
    whole.steps = [step for each in charges for step in each.steps]
    return whole


def _told(uow: UnitOfWork, moved: Sequence[Crossing], now: datetime) -> list[Event]:
    """Have the lines fire, or be armed again, that spending has moved across."""
    fired = _fired_in_windows(uow, moved, now)
    up = [each._replace(lines=_up(each, fired)) for each in moved]
    down = [part for each in moved for part in _down(each, fired)]
    over = [each for each in up if each.lines]
    told = _begun(uow, [each.standing for each in over], now)
    told += alerts.fire(uow, over, now)
    return told + alerts.recover(uow, [each for each in down if each.lines], now)


def _begun(
    uow: UnitOfWork, standings: Sequence[Standing], now: datetime
) -> list[Event]:
    """Tell of periods that began before a line of theirs is told of.

    Beat would tell seconds later, and whoever lets a team on again at the reset would
    then undo what followed from the line.
    """
    mine = {
        each.budget.id: each
        for each in standings
        if isinstance(each.budget.period, Calendar)
        and each.period.start <= now < each.period.end
    }
    if not mine:
        return []
    tenants = sorted({each.budget.tenant_id for each in mine.values()})
    made = []
    for row in uow.budgets.begun(tenants, sorted(mine), now):
        standing = mine[row.id]
        standing = standing._replace(spent=standing.before)
        made.append(budget_resets.reset(uow, row, standing, now))
    return made


def _fired_in_windows(
    uow: UnitOfWork, moved: Sequence[Crossing], now: datetime
) -> dict[UUID, list[Line]]:
    """Return the lines of rolling budgets that have fired within their windows."""
    windows = [
        rows_of(each.standing.budget, now)
        for each in moved
        if _is_rolling(each.standing.budget)
    ]
    found: dict[UUID, list[Line]] = defaultdict(list)
    for line in uow.budget_spending.in_force(windows):
        found[line.budget_id].append(line)
    return found


def _up(crossing: Crossing, fired: Mapping[UUID, Sequence[Line]]) -> list[Decimal]:
    """Return the lines that are to fire if they are armed.

    A window has no beginning at which all lines are below: while it is above one, it
    says so once in its length.
    """
    budget, _, spent, before = crossing.standing
    if not isinstance(budget.period, Rolling):
        return budgets.crossed(budget, before, spent)
    told = {line.threshold for line in fired.get(budget.id, ())}
    above = budgets.reached(budget, spent) if spent > before else []
    return [line for line in above if line not in told]


def _down(crossing: Crossing, fired: Mapping[UUID, Sequence[Line]]) -> list[Crossing]:
    """Return the lines that are to be armed again if they fired, by when they did."""
    budget, _, spent, before = crossing.standing
    lines = budgets.left(budget, before, spent)
    if not isinstance(budget.period, Rolling):
        return [crossing._replace(lines=lines)]
    parts: dict[datetime, list[Decimal]] = defaultdict(list)
    for line in fired.get(budget.id, ()):
        if line.threshold in lines:
            parts[line.period_start].append(line.threshold)
    return [
        crossing._replace(lines=part, armed_at=armed_at)
        for armed_at, part in parts.items()
    ]
