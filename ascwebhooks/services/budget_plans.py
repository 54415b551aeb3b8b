"""Plans: a file says which budgets a tenant is to have; what differs is changed.

A budget is known by its name.  Each row is a transaction: rows that are not in order
keep no other from being applied, and a plan that was applied half can be applied again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ascwebhooks.domain import budget_drafts, budget_periods
from ascwebhooks.domain.budget_drafts import Draft
from ascwebhooks.domain.drafts import Errors
from ascwebhooks.errors import Conflict, InvalidInput
from ascwebhooks.services.budget_standings import Shown
from ascwebhooks.services.budgets import Budgets

_FIXED = "it cannot be changed: delete the budget, or give this one another name."


@dataclass(frozen=True)
class Planned:
    """What became of a row, or would: created, changed, unchanged or failed."""

    index: int
    name: str | None
    status: str
    budget_id: UUID | None = None
    changed: Sequence[str] = ()
    errors: Errors = field(default_factory=dict)


class BudgetPlans:
    """Applies plans."""

    def __init__(self, budgets: Budgets) -> None:
        """Take the budgets."""
        self._budgets = budgets

    def apply(
        self, tenant_id: str, rows: Sequence[object], *, dry_run: bool = False
    ) -> list[Planned]:
        """Create and change budgets, so that they are as the rows have them.

        Budgets that no row names stay as they are.

        Args:
            tenant_id: Whose.
            rows: As ``domain.budget_drafts.Draft`` has them.
            dry_run: Whether nothing is changed, and it is just said what would be.

        Raises:
            NotFound: If there is no such tenant.
        """
        plan = _Plan(self._budgets, tenant_id, dry_run)
        return [plan.row(index, row) for index, row in enumerate(rows)]


class _Plan:
    """One application of a plan."""

    def __init__(self, budgets: Budgets, tenant_id: str, dry_run: bool) -> None:
        self._budgets = budgets
        self._tenant_id = tenant_id
        self._dry_run = dry_run
        self._there = {each.row.name: each for each in budgets.all(tenant_id)}
        #: By name; None where a dry run would have made one.
        self._ids: dict[str, UUID | None] = {
            name: each.row.id for name, each in self._there.items()
        }
        self._seen: set[str] = set()

    def row(self, index: int, row: object) -> Planned:
        draft, errors = budget_drafts.read(row)
        if draft is None:
            return Planned(index, _name(row), "failed", errors=errors)
        if draft.name in self._seen:
            errors["name"] = ["a row before has this name."]
        if draft.parent is not None and draft.parent not in self._ids:
            errors["parent"] = ["neither the tenant nor a row before has it."]
        self._seen.add(draft.name)
        if errors:
            return Planned(index, draft.name, "failed", errors=errors)
        try:
            return self._in_order(index, draft)
        except (InvalidInput, Conflict) as error:
            at = str(error.context.get("field", "row"))
            return Planned(index, draft.name, "failed", errors={at: [str(error)]})

    def _in_order(self, index: int, draft: Draft) -> Planned:
        wanted = {
            "limit": draft.limit,
            "thresholds": draft.thresholds,
            "forecast": draft.forecast,
            "enforcement": draft.enforcement,
            "parent_id": None if draft.parent is None else self._ids[draft.parent],
        }
        found = self._there.get(draft.name)
        if found is None:
            made = None if self._dry_run else self._make(draft, wanted)
            self._ids[draft.name] = made
            return Planned(index, draft.name, "created", made)
        if fixed := _fixed(draft, found):
            errors = {name: [_FIXED] for name in fixed}
            return Planned(index, draft.name, "failed", found.row.id, (), errors)
        changed = _changed(wanted, found)
        if changed and not self._dry_run:
            self._budgets.change(self._tenant_id, found.row.id, wanted)
        status = "changed" if changed else "unchanged"
        return Planned(index, draft.name, status, found.row.id, changed)

    def _make(self, draft: Draft, wanted: Mapping[str, Any]) -> UUID:
        made = self._budgets.create(
            self._tenant_id,
            name=draft.name,
            scope_type=draft.scope_type,
            scope_id=draft.scope_id or None,
            currency=draft.currency,
            period=budget_periods.write(draft.period),
            **wanted,
        )
        return made.row.id


def _name(row: object) -> str | None:
    name = row.get("name") if isinstance(row, dict) else None
    return name if isinstance(name, str) else None


def _fixed(draft: Draft, found: Shown) -> list[str]:
    """Return what differs that cannot be changed."""
    there = found.budget
    pairs = {
        "scope_type": (draft.scope_type, there.scope_type),
        "scope_id": (draft.scope_id, there.scope_id),
        "currency": (draft.currency, there.currency),
        "period": (draft.period, there.period),
    }
    return [name for name, (wanted, is_) in pairs.items() if wanted != is_]


def _changed(wanted: Mapping[str, Any], found: Shown) -> list[str]:
    there = {
        "limit": found.budget.limit,
        "thresholds": found.budget.thresholds,
        "forecast": found.budget.forecast,
        "enforcement": found.budget.enforcement,
        "parent_id": found.row.parent_id,
    }
    return [name for name, value in wanted.items() if there[name] != value]
