"""Budgets: what they are, which lines they have, and when one is crossed.

Sums are exact: whatever digits a gateway gave, none is rounded away.  Percentages are
for reading, cut and never rounded up: 100 means that the limit is reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain.budget_periods import Bounds, Period
from ascwebhooks.errors import InvalidInput

#: Enough for any sum of amounts that ``domain.signals`` lets through.
EXACT = Context(prec=400, traps=[Inexact, InvalidOperation])
_PROJECTED = Context(prec=12)
FULL = Decimal(100)
DEFAULT_THRESHOLDS = (Decimal(50), Decimal(80), Decimal(95), FULL)
MOST_THRESHOLDS = 20
_MOST_PERCENT = 1_000
_MOST_LIMIT = Decimal("1e15")
_MOST_DIGITS = 12
#: Refunds, or time in a window, have to bring spending so far below a line before it
#: is armed again, in percent of the limit: a line that is wobbled across tells so once.
MARGIN = Decimal(5)
#: A forecast from less of a period than this says too little.
FORECAST_AFTER = 0.1


class ScopeType(StrEnum):
    """What a budget is for."""

    TENANT = "tenant"
    ORG = "org"
    BUSINESS_UNIT = "business_unit"
    TEAM = "team"
    USER = "user"
    KEY = "key"
    PROJECT = "project"
    FEATURE = "feature"
    TAG = "tag"
    PROVIDER = "provider"
    MODEL = "model"


class Basis(StrEnum):
    """What an alert rests on."""

    ACTUAL = "actual"
    FORECAST = "forecast"


class Enforcement(StrEnum):
    """What the owner wishes to happen; whoever gets the event acts, or does not."""

    ALERT = "alert"
    THROTTLE = "throttle"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as it is in force; ``parents`` from the nearest on."""

    tenant_id: str
    id: UUID
    name: str
    scope_type: ScopeType
    scope_id: str
    limit: Decimal
    currency: str
    period: Period
    thresholds: tuple[Decimal, ...]
    forecast: bool
    enforcement: Enforcement
    parents: tuple[UUID, ...] = ()

    @property
    def lines(self) -> tuple[Decimal, ...]:
        """Return the percentages that are told of: the limit itself is always one."""
        return tuple(sorted({*self.thresholds, FULL}))


class Projection(NamedTuple):
    """Where spending leads to by the end of the period.

    ``exhausted_at``: when it passes the limit, if it does so within the period and has
    not reached it yet.
    """

    spend: Decimal
    exhausted_at: datetime | None


def amount_of(limit: Decimal, percent: Decimal) -> Decimal:
    """Return so many percent of a limit, exactly."""
    return EXACT.multiply(limit, percent).scaleb(-2, EXACT)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return a sum, exactly."""
    found = Decimal(0)
    for each in amounts:
        found = EXACT.add(found, each)
    return found


def percent(spent: Decimal, limit: Decimal) -> Decimal:
    """Return how many percent of the limit are spent, cut to two digits."""
    hundredths = EXACT.divide_int(EXACT.multiply(spent, Decimal(10_000)), limit)
    return hundredths.scaleb(-2, EXACT)


def crossed(budget: Budget, before: Decimal, now: Decimal) -> list[Decimal]:
    """Return the lines that spending has crossed: below before, and not now."""
    if now <= before:
        return []
    amounts = {line: amount_of(budget.limit, line) for line in budget.lines}
    return [line for line, amount in amounts.items() if before < amount <= now]


def reached(budget: Budget, spent: Decimal) -> list[Decimal]:
    """Return the lines that spending is at or above."""
    return [line for line in budget.lines if amount_of(budget.limit, line) <= spent]


def left(budget: Budget, before: Decimal, now: Decimal) -> list[Decimal]:
    """Return the lines that refunds have brought spending well below."""
    if now >= before:
        return []
    return [line for line in budget.lines if _is_well_below(budget, line, now)]


def fallen(budget: Budget, fired: Iterable[Decimal], spent: Decimal) -> list[Decimal]:
    """Return the lines of a window that time has brought spending well below.

    Of those that fired, whether they are still its lines or not.
    """
    return [line for line in fired if spent <= 0 or _is_well_below(budget, line, spent)]


def _is_well_below(budget: Budget, line: Decimal, spent: Decimal) -> bool:
    return spent < amount_of(budget.limit, EXACT.subtract(line, MARGIN))


def project(
    limit: Decimal, spent: Decimal, period: Bounds, now: datetime
) -> Projection | None:
    """Return where spending leads to, if as much can be said.

    As it went until now, it goes on to the end of the period.  None before a tenth of
    the period has passed, and after its end.
    """
    length, passed = period.end - period.start, now - period.start
    if passed < length * FORECAST_AFTER or now >= period.end:
        return None
    spend = _PROJECTED.divide(
        _PROJECTED.multiply(spent, _microseconds(length)), _microseconds(passed)
    )
    if spent >= limit or not _is_beyond(spent, length, limit, passed):
        return Projection(spend, None)
    share = _PROJECTED.divide(limit, spent)
    after_us = int(_PROJECTED.multiply(_microseconds(passed), share))
    exhausted_at = period.start + timedelta(microseconds=after_us)
    return Projection(spend, min(exhausted_at, period.end))


def _is_beyond(
    spent: Decimal, length: timedelta, limit: Decimal, passed: timedelta
) -> bool:
    """Return whether ``spent / passed`` is more than ``limit / length``."""
    led_to = EXACT.multiply(spent, _microseconds(length))
    return led_to > EXACT.multiply(limit, _microseconds(passed))


def _microseconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1))


# What callers may ask for


def check_limit(limit: Decimal) -> Decimal:
    """Return a limit without needless zeros.

    Raises:
        InvalidInput: If it is not above 0, too large or too fine.
    """
    if not limit.is_finite() or not 0 < limit <= _MOST_LIMIT:
        raise InvalidInput(
            f"limit is above 0 and at most {_MOST_LIMIT:f}.", field="limit"
        )
    return _short(limit, "limit")


def check_thresholds(given: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """Return thresholds in order, each once.

    Raises:
        InvalidInput: If one is no percentage, or there are too many.
    """
    if len(given) > MOST_THRESHOLDS:
        raise InvalidInput(
            f"thresholds are at most {MOST_THRESHOLDS}.", field="thresholds"
        )
    for each in given:
        if not each.is_finite() or not 0 < each <= _MOST_PERCENT:
            raise InvalidInput(
                f"a threshold is above 0 and at most {_MOST_PERCENT} percent.",
                field="thresholds",
            )
    return tuple(sorted({_short(each, "thresholds", digits=2) for each in given}))


def _short(value: Decimal, field: str, digits: int = _MOST_DIGITS) -> Decimal:
    found = value.normalize(EXACT)
    exponent = found.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -digits:
        raise InvalidInput(
            f"{field}: at most {digits} digits behind the point.", field=field
        )
    # Not 1E+2: it is shown.
    return (
        found if exponent != 0 and str(found).find("E") < 0 else Decimal(f"{found:f}")
    )


def check_scope(scope_type: ScopeType, scope_id: str | None) -> str:
    """Return the id of a scope; '' for the whole tenant.

    Raises:
        InvalidInput: If one is missing, or given for the whole tenant.
    """
    if (scope_type is ScopeType.TENANT) == bool(scope_id):
        said = (
            "the whole tenant has no scope_id."
            if scope_id
            else f"which {scope_type}? give scope_id."
        )
        raise InvalidInput(said, field="scope_id")
    return scope_id or ""


def ancestry(budget_id: UUID, parents: Mapping[UUID, UUID | None]) -> tuple[UUID, ...]:
    """Return a budget's parents, the nearest first; what would be a ring is cut."""
    found: list[UUID] = []
    at = parents.get(budget_id)
    while at is not None and at != budget_id and at not in found:
        found.append(at)
        at = parents.get(at)
    return tuple(found)


def check_parent(
    budget_id: UUID, parent_id: UUID | None, parents: Mapping[UUID, UUID | None]
) -> None:
    """Raise InvalidInput unless one budget can be the other's parent."""
    if parent_id is None:
        return
    if parent_id not in parents:
        raise InvalidInput("the tenant has no such budget.", field="parent_id")
    if budget_id in (parent_id, *ancestry(parent_id, parents)):
        raise InvalidInput("a budget is not its own ancestor.", field="parent_id")


def number(value: Decimal) -> Any:
    """Return a percentage as JSON's number."""
    whole = int(value)
    return whole if whole == value else float(value)
