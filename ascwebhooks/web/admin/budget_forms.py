"""The form of a budget: what is typed, and what it comes to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from ascwebhooks.domain import budget_drafts, budget_periods, ids
from ascwebhooks.domain.budget_drafts import CURRENCY, MOST_CHARACTERS
from ascwebhooks.domain.budget_periods import Unit
from ascwebhooks.domain.budgets import DEFAULT_THRESHOLDS, Enforcement, ScopeType
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.budget_standings import Shown
from ascwebhooks.web.admin import budget_looks
from ascwebhooks.web.admin.forms import Line
from ascwebhooks.web.admin.narrowing import Utc
from ascwebhooks.web.api.fields import Id

#: The choices of a period, by what the form calls them.
PERIODS = (
    *((each.value, f"Each {each}") for each in Unit),
    ("rolling", "Rolling: the last hours or days"),
    ("once", "Once, from … to …"),
)
_ZONED = {each.value for each in Unit}


class Money(fields.Field[Decimal]):
    """A sum; a comma for thousands is no mistake, nor is a space."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return _amount(str(value).replace("\u202f", "").replace(" ", ""))


class Percentages(fields.Field[list[Decimal]]):
    """Percentages, separated by commas or spaces; the percent signs may stay."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Decimal]:
        words = str(value).replace("%", " ").replace(",", " ").split()
        return [_amount(each) for each in words]


class BudgetFields(Schema):
    """What can be changed of a budget."""

    name = Line(required=True, validate=validate.Length(1, MOST_CHARACTERS))
    limit = Money(required=True)
    thresholds = Percentages(load_default=list)
    forecast = fields.Boolean(load_default=False)
    enforcement = fields.Enum(Enforcement, by_value=True, required=True)
    parent_id = Id(Kind.BUDGET, load_default=None)


class ChangedBudget(BudgetFields):
    """A form that was opened on a budget as it was at ``seen``."""

    seen = fields.String(required=True)


class NewBudget(BudgetFields):
    """A budget to create."""

    scope_type = fields.Enum(ScopeType, by_value=True, required=True)
    scope_id = Line(load_default=None, validate=validate.Length(max=MOST_CHARACTERS))
    currency = fields.String(
        required=True,
        validate=validate.Regexp(CURRENCY, error="Three capital letters, as in USD."),
    )
    period = fields.String(
        required=True, validate=validate.OneOf([each for each, _ in PERIODS])
    )
    zone = Line(load_default="UTC")
    length = fields.Integer(load_default=None)
    unit = fields.String(
        load_default="days", validate=validate.OneOf(["hours", "days"])
    )
    begins = Utc(load_default=None)
    ends = Utc(load_default=None)


def wanted(read: dict[str, Any]) -> dict[str, Any]:
    """Return what the service is asked for, by what the form says.

    Raises:
        InvalidInput: If the period is none; at the field that is to blame.
    """
    rest = dict(read)
    choice, zone, length, unit, begins, ends = (
        rest.pop(name)
        for name in ("period", "zone", "length", "unit", "begins", "ends")
    )
    if choice in _ZONED:
        period = {"type": "calendar", "unit": choice, "zone": zone}
        return {**rest, "period": _checked(period, "zone")}
    if choice == "rolling":
        return {**rest, "period": _checked({"type": "rolling", unit: length}, "length")}
    period = {"type": "once", "from": begins, "to": ends}
    blamed = "begins" if begins is None else "ends"
    return {**rest, "period": _checked(period, blamed)}


def initial(scope_type: str = "", scope_id: str = "") -> dict[str, Any]:
    """Return what the form of a new budget shows at first."""
    return {
        "scope_type": scope_type or ScopeType.TEAM.value,
        "scope_id": scope_id,
        "currency": "USD",
        "period": Unit.MONTH.value,
        "zone": "UTC",
        "unit": "days",
        "length": "30",
        "thresholds": _spelled(DEFAULT_THRESHOLDS),
        "forecast": "1",
        "enforcement": Enforcement.ALERT.value,
    }


def values(shown: Shown) -> dict[str, Any]:
    """Return what the form of a budget shows at first."""
    row, parent = shown.row, shown.row.parent_id
    return {
        "name": row.name,
        "limit": f"{shown.budget.limit:f}",
        "thresholds": _spelled(shown.budget.thresholds),
        "forecast": "1" if row.forecast else "",
        "enforcement": row.enforcement,
        "parent_id": "" if parent is None else ids.show(Kind.BUDGET, parent),
        "seen": version(shown),
    }


def version(shown: Shown) -> str:
    """Return what changes whenever somebody changes a budget."""
    return str(shown.row.version)


def _spelled(thresholds: Any) -> str:
    return ", ".join(budget_looks.short(each) for each in thresholds)


def _checked(period: dict[str, Any], blamed: str) -> dict[str, Any]:
    try:
        return budget_periods.write(budget_periods.read(period))
    except InvalidInput as error:
        told = str(error).removeprefix("period: ")
        raise InvalidInput(told, field=blamed) from error


def _amount(text: str) -> Decimal:
    try:
        return budget_drafts.amount(text)
    except ValueError as error:
        raise ValidationError("A number, as in 100.50.") from error
