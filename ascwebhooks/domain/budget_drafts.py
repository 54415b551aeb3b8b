"""Budgets as files have them; read strictly, each fault by its field."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from ascwebhooks.domain import budget_periods, budgets
from ascwebhooks.domain.budget_periods import Period
from ascwebhooks.domain.budgets import (
    DEFAULT_THRESHOLDS,
    MOST_THRESHOLDS,
    Enforcement,
    ScopeType,
)
from ascwebhooks.domain.drafts import ROW, Errors
from ascwebhooks.errors import InvalidInput

MOST_CHARACTERS = 256
CURRENCY = re.compile(r"[A-Z]{3}\Z")
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\Z")
_REQUIRED = ("name", "scope_type", "limit", "currency", "period")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A budget that is wanted; ``parent`` by its name."""

    name: str
    scope_type: ScopeType
    limit: Decimal
    currency: str
    period: Period
    scope_id: str = ""
    parent: str | None = None
    thresholds: tuple[Decimal, ...] = field(default=DEFAULT_THRESHOLDS)
    forecast: bool = False
    enforcement: Enforcement = Enforcement.ALERT


def amount(value: Any) -> Decimal:
    """Return a number as it was written, from text or from JSON's own.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("give a number.")
    try:
        # A float as people write it: 0.1 is 0.1.
        text = value if isinstance(value, str) else str(value)
    except ValueError:
        # An integer of more digits than Python writes out.
        text = ""
    if not _NUMBER.match(text):
        raise ValueError("give a number, as in 100.50.")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("give a number, as in 100.50.") from error


def read(row: object) -> tuple[Draft | None, Errors]:
    """Return the budget that a row describes, or else all that is wrong with it."""
    if not isinstance(row, dict):
        return None, {ROW: ["a budget is a mapping of its fields."]}
    found: dict[str, Any] = {}
    errors: Errors = {}
    for name, value in row.items():
        try:
            found[name] = _READ[name](value)
        except KeyError:
            errors[str(name)] = ["Unknown field."]
        except (ValueError, InvalidInput) as error:
            errors[str(name)] = [str(error)]
    for name in _REQUIRED:
        if name not in row:
            errors[name] = ["Missing data for required field."]
    if errors:
        return None, errors
    try:
        found["scope_id"] = budgets.check_scope(
            found["scope_type"], found.get("scope_id")
        )
    except InvalidInput as error:
        return None, {"scope_id": [str(error)]}
    return Draft(**found), {}


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_CHARACTERS:
        raise ValueError(f"give text of 1 to {MOST_CHARACTERS} characters.")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError("it has a character that cannot be stored.")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _one_of(kind: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        if value not in [each.value for each in kind]:
            raise ValueError(f"give one of {', '.join(kind)}.")
        return kind(value)

    return read


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not CURRENCY.match(value):
        raise ValueError("give three capital letters, as in USD.")
    return value


def _thresholds(value: Any) -> tuple[Decimal, ...]:
    if not isinstance(value, list) or len(value) > MOST_THRESHOLDS:
        raise ValueError(f"give at most {MOST_THRESHOLDS} percentages.")
    return budgets.check_thresholds([amount(each) for each in value])


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("give true or false.")
    return value


_READ: dict[Any, Callable[[Any], Any]] = {
    "name": _text,
    "scope_type": _one_of(ScopeType),
    "scope_id": _optional_text,
    "parent": _optional_text,
    "limit": lambda value: budgets.check_limit(amount(value)),
    "currency": _currency,
    "period": budget_periods.read,
    "thresholds": _thresholds,
    "forecast": _flag,
    "enforcement": _one_of(Enforcement),
}
