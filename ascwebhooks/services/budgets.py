"""Budgets: what a tenant may spend, changed by its administrators.

Whoever changes a budget holds its tenant's row, and so does every batch that charges
it: a change comes before or after all of a batch, and what follows from it is told in
its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import budget_periods, budgets, ids
from ascwebhooks.domain.budget_periods import Once, Period, Rolling
from ascwebhooks.domain.budgets import DEFAULT_THRESHOLDS, Enforcement, ScopeType
from ascwebhooks.domain.derived import SOURCE
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.budget_changes import consequences
from ascwebhooks.services.budget_standings import Detailed, Shown, recovery_id, shown
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.budget_tables import BudgetAlert, BudgetRow
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: So many periods that are over are shown.
HISTORY = 12
MOST_BUDGETS = 10_000
_COLUMNS = {"limit": "limit_amount"}


class Budgets:
    """Use cases of budgets."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        deriving: Deriving,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take the parts; ``entropy`` returns random bytes."""
        self._uow = uow
        self._deriving = deriving
        self._entropy = entropy

    def create(
        self,
        tenant_id: str,
        *,
        name: str,
        scope_type: ScopeType,
        limit: Decimal,
        currency: str,
        period: Mapping[str, Any],
        scope_id: str | None = None,
        parent_id: UUID | None = None,
        thresholds: Sequence[Decimal] = DEFAULT_THRESHOLDS,
        forecast: bool = False,
        enforcement: Enforcement = Enforcement.ALERT,
    ) -> Shown:
        """Create a budget; it is charged from the next batch of events on.

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If a value is malformed.
            Conflict: If the tenant has a budget of this name, or too many.
        """
        found = budget_periods.read(period)
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            find_tenant(uow, tenant_id)
            now = uow.now()
            row = BudgetRow(
                tenant_id=tenant_id,
                id=ids.uuid7(int(now.timestamp() * 1000), self._entropy(10)),
                name=name,
                scope_type=ScopeType(scope_type).value,
                scope_id=budgets.check_scope(ScopeType(scope_type), scope_id),
                parent_id=parent_id,
                limit_amount=budgets.check_limit(limit),
                currency=currency,
                period=budget_periods.write(found),
                thresholds=list(budgets.check_thresholds(thresholds)),
                forecast=forecast,
                enforcement=Enforcement(enforcement).value,
                version=0,
                created_at=now,
                updated_at=now,
            )
            row.period_start, row.period_end = _first_period(found, now)
            parents = uow.budgets.parents(tenant_id)
            _check_room(uow, row, len(parents))
            budgets.check_parent(row.id, parent_id, parents)
            uow.budgets.add(row)
            _record(uow, "budget.created", row)
            made = shown(uow, [row], {**parents, row.id: parent_id}, now)[0]
            uow.commit()
        log.info("budget_created", **_names(row))
        return made

    def get(self, tenant_id: str, budget_id: UUID) -> Detailed:
        """Return a budget with its alerts and its history.

        Raises:
            NotFound: If the tenant has no such budget.
        """
        with self._uow() as uow:
            row = _find(uow, tenant_id, budget_id)
            parents = uow.budgets.parents(tenant_id)
            made = shown(uow, [row], parents, uow.now())[0]
            rolls = isinstance(made.budget.period, Rolling)
            history = (
                ()
                if rolls
                else uow.budget_spending.periods(
                    tenant_id, budget_id, limit=HISTORY + 1
                )
            )
            alerts = uow.budget_spending.alerts(made.window)
            over = [recovery_id(each) for each in alerts if each.recovered_at]
            told = uow.events.of_source(tenant_id, SOURCE, over) if over else ()
            return Detailed(
                **vars(made),
                alerts=alerts,
                recoveries={each.source_id: each.id for each in told},
                history=[
                    each for each in history if each.period_start < made.window.since
                ],
            )

    def all(self, tenant_id: str) -> Sequence[Shown]:
        """Return all of a tenant's budgets, the newest first.

        Raises:
            NotFound: If there is no such tenant.
        """
        return self.page(tenant_id, after=None, limit=MOST_BUDGETS)

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        scope_type: str | None = None,
        scope_id: str | None = None,
    ) -> Sequence[Shown]:
        """Return a tenant's budgets, the newest first (``storage.budgets``).

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            rows = uow.budgets.page(
                tenant_id,
                after=after,
                limit=limit,
                scope_type=scope_type,
                scope_id=scope_id,
            )
            return shown(uow, rows, uow.budgets.parents(tenant_id), uow.now())

    def fired(
        self, tenant_id: str, *, since: datetime, until: datetime, limit: int
    ) -> Sequence[tuple[BudgetAlert, BudgetRow]]:
        """Return the alerts that fired in a time, the oldest first, with their budgets.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return uow.budget_spending.fired(tenant_id, since, until, limit)

    def change(
        self,
        tenant_id: str,
        budget_id: UUID,
        changes: Mapping[str, Any],
        check_found: Callable[[Shown], None] | None = None,
    ) -> Shown:
        """Change ``name limit thresholds forecast enforcement parent_id``.

        A raised limit arms again what is now below its line, and tells of it; a
        lowered one has the lines fire that are now crossed.

        Args:
            tenant_id: Whose.
            budget_id: Which.
            changes: By these names.
            check_found: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such budget.
            InvalidInput: If a value is malformed.
            Conflict: If the tenant has another budget of this name.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            row = _find(uow, tenant_id, budget_id)
            parents = uow.budgets.parents(tenant_id)
            now = uow.now()
            before = shown(uow, [row], parents, now)[0]
            if check_found is not None:
                check_found(before)
            changed = _apply(uow, row, changes, parents)
            if not changed:
                return before
            row.version += 1
            row.updated_at = now
            uow.flush()
            after = shown(uow, [row], {**parents, row.id: row.parent_id}, now)[0]
            made = consequences(uow, before, after, changed, now)
            self._deriving.derive(uow, made, now)
            _record(uow, "budget.changed", row, fields=changed)
            uow.commit()
        log.info("budget_changed", fields=changed, **_names(row))
        return after

    def delete(
        self,
        tenant_id: str,
        budget_id: UUID,
        check_found: Callable[[Shown], None] | None = None,
    ) -> None:
        """Delete a budget, and with it what was spent of it.

        Args:
            tenant_id: Whose.
            budget_id: Which.
            check_found: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such budget.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            row = _find(uow, tenant_id, budget_id)
            if check_found is not None:
                parents = uow.budgets.parents(tenant_id)
                check_found(shown(uow, [row], parents, uow.now())[0])
            uow.budgets.delete(row)
            _record(uow, "budget.deleted", row)
            uow.commit()
        log.info("budget_deleted", **_names(row))


def _first_period(
    period: Period, now: datetime
) -> tuple[datetime | None, datetime | None]:
    match period:
        case Rolling() as rolling:
            return None, rolling.bounds(now).end
        case Once(span):
            return span
        case _:
            return period.bounds(now)


def _check_room(uow: UnitOfWork, row: BudgetRow, there: int) -> None:
    if there >= MOST_BUDGETS:
        raise Conflict(f"a tenant has at most {MOST_BUDGETS} budgets.")
    _check_name(uow, row.tenant_id, row.name)


def _check_name(uow: UnitOfWork, tenant_id: str, name: str) -> None:
    if uow.budgets.find_named(tenant_id, name) is not None:
        raise Conflict(f"there is a budget {name!r} already.", field="name")


def _apply(
    uow: UnitOfWork,
    row: BudgetRow,
    changes: Mapping[str, Any],
    parents: Mapping[UUID, UUID | None],
) -> list[str]:
    """Change a row; return what is another than before."""
    wanted = dict(changes)
    if "limit" in wanted:
        wanted["limit"] = budgets.check_limit(wanted["limit"])
    if "thresholds" in wanted:
        wanted["thresholds"] = list(budgets.check_thresholds(wanted["thresholds"]))
    if "enforcement" in wanted:
        wanted["enforcement"] = Enforcement(wanted["enforcement"]).value
    if "parent_id" in wanted:
        budgets.check_parent(row.id, wanted["parent_id"], parents)
    if wanted.get("name", row.name) != row.name:
        _check_name(uow, row.tenant_id, wanted["name"])
    changed = [
        name
        for name, value in wanted.items()
        if getattr(row, _COLUMNS.get(name, name)) != value
    ]
    for name in changed:
        setattr(row, _COLUMNS.get(name, name), wanted[name])
    return sorted(changed)


def _find(uow: UnitOfWork, tenant_id: str, budget_id: UUID) -> BudgetRow:
    find_tenant(uow, tenant_id)
    found = uow.budgets.find(tenant_id, budget_id)
    if found is None:
        raise NotFound(f"there is no budget {ids.show(Kind.BUDGET, budget_id)}.")
    return found


def _record(uow: UnitOfWork, action: str, row: BudgetRow, **more: Any) -> None:
    uow.audit.record(
        action,
        Kind.BUDGET,
        row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        scope=f"{row.scope_type}:{row.scope_id}",
        limit=f"{row.limit_amount:f} {row.currency}",
        thresholds=[str(each) for each in row.thresholds],
        forecast=row.forecast,
        enforcement=row.enforcement,
        **more,
    )


def _names(row: BudgetRow) -> dict[str, str]:
    return {
        "tenant_id": row.tenant_id,
        "budget_id": ids.show(Kind.BUDGET, row.id),
    }
