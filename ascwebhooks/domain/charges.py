"""Charges: what a batch of signals adds to each budget, in one pass over the batch.

Budgets that are for the same, in the same currency and periods, get the same sums: the
work grows with what a signal is about, and not with how many watch it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from ascwebhooks.domain.budget_periods import Bounds, Period
from ascwebhooks.domain.budgets import EXACT, Budget, ScopeType
from ascwebhooks.domain.signals import CHARGED, COMPLETED, CostProblem, Scope, Signal

OTHER_CURRENCY = "other_currency"
_ZERO = Decimal(0)
Key = tuple[ScopeType, str]


class Charge:
    """What is added to one period of a budget.

    ``unattributed``: how much of it is nobody's in particular.
    ``unpriced``: how many requests have a cost that is not known.
    ``steps``: each cost with its request, in the order they came.
    """

    __slots__ = ("requests", "spent", "steps", "unattributed", "unpriced")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.spent = _ZERO
        self.unattributed = _ZERO
        self.requests = 0
        self.unpriced = 0
        self.steps: list[tuple[Decimal, str | None]] = []

    def request_that_crossed(self, before: Decimal, amount: Decimal) -> str | None:
        """Return which request took spending from ``before`` to ``amount``."""
        for cost, request_id in self.steps:
            before = EXACT.add(before, cost)
            if before >= amount:
                return request_id
        return None


class Charged(NamedTuple):
    """A budget, one of its periods (or buckets), and what is added to it."""

    budget: Budget
    bounds: Bounds
    charge: Charge


class _Group:
    """Budgets that are always charged alike."""

    __slots__ = ("budgets", "currency", "period")

    def __init__(self, period: Period, currency: str) -> None:
        self.period = period
        self.currency = currency
        self.budgets: list[Budget] = []


class TenantBudgets:
    """A tenant's budgets, prepared; nothing in it changes."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        """Sort budgets by what they are for."""
        groups: dict[tuple[Key, Period, str], _Group] = {}
        self._by_key: dict[Key, list[_Group]] = {}
        self._currencies: set[str] = set()
        for budget in budgets:
            key = budget.scope_type, budget.scope_id
            name = key, budget.period, budget.currency
            if name not in groups:
                groups[name] = _Group(budget.period, budget.currency)
                self._by_key.setdefault(key, []).append(groups[name])
            groups[name].budgets.append(budget)
            self._currencies.add(budget.currency)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._by_key)

    def charge(
        self, signals: Iterable[Signal], problems: Counter[str]
    ) -> list[Charged]:
        """Return what signals add to each budget; count why costs are not known."""
        about: dict[Key, list[Signal]] = defaultdict(list)
        for signal in signals:
            if signal.type not in CHARGED:
                continue
            keys = [key for key in _keys(signal) if key in self._by_key]
            for key in keys:
                about[key].append(signal)
            problem = self._problem(signal) if keys else None
            if problem is not None:
                problems[problem] += 1
        return [
            Charged(budget, bounds, charge)
            for key, part in about.items()
            for group, bounds, charge in _charges(self._by_key[key], part)
            for budget in group.budgets
        ]

    def _problem(self, signal: Signal) -> str | None:
        if signal.cost and signal.currency not in self._currencies:
            return OTHER_CURRENCY
        return _problem(signal)


def _charges(
    groups: Sequence[_Group], signals: Sequence[Signal]
) -> Iterator[tuple[_Group, Bounds, Charge]]:
    """Yield what signals that are about the same add to each group's periods.

    Mostly all of a batch is in one period, whatever its length: then it is added up
    once for all groups of a currency.
    """
    first = min(signal.time for signal in signals)
    last = max(signal.time for signal in signals)
    sums: dict[str, Charge] = {}
    for group in groups:
        bounds = group.period.bounds(first)
        if bounds is not None and last < bounds.end:
            if group.currency not in sums:
                sums[group.currency] = _sum(signals, group.currency)
            yield group, bounds, sums[group.currency]
            continue
        for bounds, part in _parts(group.period, signals).items():
            yield group, bounds, _sum(part, group.currency)


def _parts(period: Period, signals: Sequence[Signal]) -> dict[Bounds, list[Signal]]:
    parts: dict[Bounds, list[Signal]] = {}
    bounds = None
    for signal in signals:
        if bounds is None or not bounds.start <= signal.time < bounds.end:
            bounds = period.bounds(signal.time)
        if bounds is not None:
            parts.setdefault(bounds, []).append(signal)
    return parts


def _sum(signals: Sequence[Signal], currency: str) -> Charge:
    charge = Charge()
    charge.requests = len(signals)
    for signal in signals:
        cost = signal.cost
        if cost is None:
            charge.unpriced += _problem(signal) is not None
        elif cost and signal.currency != currency:
            charge.unpriced += 1
        elif cost:
            charge.spent = EXACT.add(charge.spent, cost)
            charge.steps.append((cost, signal.request_id))
            if _is_unattributed(signal.scope):
                charge.unattributed = EXACT.add(charge.unattributed, cost)
    return charge


def _problem(signal: Signal) -> CostProblem | None:
    """Return why a cost is not known; what did not complete may well have none."""
    problem = signal.cost_problem
    if problem is CostProblem.MISSING and signal.type != COMPLETED:
        return None
    return problem


_TENANT: Key = (ScopeType.TENANT, "")


def _keys(signal: Signal) -> Iterator[Key]:
    """Yield what a signal is about, each once."""
    scope = signal.scope
    yield _TENANT
    for kind, value in (
        (ScopeType.ORG, scope.org_id),
        (ScopeType.BUSINESS_UNIT, scope.business_unit_id),
        (ScopeType.TEAM, scope.team_id),
        (ScopeType.USER, scope.user_id),
        (ScopeType.KEY, scope.key_id),
        (ScopeType.PROJECT, scope.project_id),
        (ScopeType.FEATURE, scope.feature),
        (ScopeType.PROVIDER, signal.provider),
        (ScopeType.MODEL, signal.request_model),
    ):
        if value is not None:
            yield kind, value
    if signal.response_model not in (None, signal.request_model):
        yield ScopeType.MODEL, signal.response_model or ""
    for tag in scope.tags:
        yield ScopeType.TAG, tag


def _is_unattributed(scope: Scope) -> bool:
    return not (
        scope.team_id or scope.user_id or scope.business_unit_id or scope.project_id
    )
