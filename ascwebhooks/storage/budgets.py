"""Statements about budgets: what they are, and whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, delete, select, text, update
from sqlalchemy.orm import Session

from ascwebhooks.storage.arrays import uuids
from ascwebhooks.storage.budget_tables import BudgetRow

_EACH_TIME = 200
_LATE = text(
    "SELECT DISTINCT b.tenant_id FROM budget b JOIN tenant t ON t.id = b.tenant_id"
    " WHERE b.period_end <= :now AND t.deleted_at IS NULL"
)
#: As it went until now it leads past the limit; ``domain.budgets.project`` decides.
_LEADS_BEYOND = (
    " FROM budget b JOIN budget_spend s ON s.tenant_id = b.tenant_id"
    " AND s.budget_id = b.id AND s.period_start = b.period_start"
    " WHERE b.forecast AND b.period_end > :now AND s.spent < b.limit_amount"
    " AND :now - b.period_start >= (b.period_end - b.period_start) * :part"
    " AND s.spent * extract(epoch FROM b.period_end - b.period_start)"
    " > b.limit_amount * extract(epoch FROM :now - b.period_start)"
    " AND NOT EXISTS (SELECT FROM budget_alert a WHERE a.tenant_id = b.tenant_id"
    " AND a.budget_id = b.id AND a.period_start = b.period_start"
    " AND a.basis = 'forecast' AND a.recovered_at IS NULL)"
)
_HEADING = text(
    "SELECT DISTINCT b.tenant_id"
    + _LEADS_BEYOND.replace(
        "FROM budget b", "FROM tenant t JOIN budget b ON b.tenant_id = t.id", 1
    )
    + " AND t.deleted_at IS NULL"
)
_LEADING = text(
    f"SELECT b.id, s.spent{_LEADS_BEYOND} AND b.tenant_id = :tenant"
    " ORDER BY b.id LIMIT :limit FOR NO KEY UPDATE OF b"
)
_IN_FORCE = text(
    "SELECT * FROM budget WHERE tenant_id = ANY(:tenants) ORDER BY tenant_id, id"
)
_LOCK = text(
    "SELECT id FROM budget WHERE id = ANY(CAST(:ids AS uuid[]))"
    " AND tenant_id = ANY(:tenants) ORDER BY tenant_id, id FOR NO KEY UPDATE"
)


class Leading(NamedTuple):
    """A budget whose spending may lead past its limit, and what is spent."""

    budget_id: UUID
    spent: Any


class BudgetRepository:
    """Budgets."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, budget: BudgetRow) -> None:
        """Add a budget."""
        self._session.add(budget)

    def delete(self, budget: BudgetRow) -> None:
        """Delete a budget with all that was spent; its children lose their parent."""
        children = (BudgetRow.tenant_id == budget.tenant_id) & (
            BudgetRow.parent_id == budget.id
        )
        self._session.execute(update(BudgetRow).where(children).values(parent_id=None))
        self._session.execute(
            delete(BudgetRow).where(
                BudgetRow.tenant_id == budget.tenant_id, BudgetRow.id == budget.id
            )
        )

    def find(self, tenant_id: str, budget_id: UUID) -> BudgetRow | None:
        """Return the budget, or None."""
        return self._session.scalars(
            select(BudgetRow).where(
                BudgetRow.tenant_id == tenant_id, BudgetRow.id == budget_id
            )
        ).one_or_none()

    def find_named(self, tenant_id: str, name: str) -> BudgetRow | None:
        """Return the budget of this name, or None."""
        return self._session.scalars(
            select(BudgetRow).where(
                BudgetRow.tenant_id == tenant_id, BudgetRow.name == name
            )
        ).one_or_none()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        scope_type: str | None = None,
        scope_id: str | None = None,
    ) -> Sequence[BudgetRow]:
        """Return a tenant's budgets, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            scope_type: Only those for such.
            scope_id: Only those for this one.
        """
        query = select(BudgetRow).where(BudgetRow.tenant_id == tenant_id)
        if after is not None:
            query = query.where(BudgetRow.id < after)
        if scope_type is not None:
            query = query.where(BudgetRow.scope_type == scope_type)
        if scope_id is not None:
            query = query.where(BudgetRow.scope_id == scope_id)
        return self._session.scalars(
            query.order_by(BudgetRow.id.desc()).limit(limit)
        ).all()

    def of(self, tenant_ids: Sequence[str]) -> Sequence[Row[Any]]:
        """Return all budgets of tenants."""
        return self._session.execute(_IN_FORCE, {"tenants": list(tenant_ids)}).all()

    def parents(self, tenant_id: str) -> dict[UUID, UUID | None]:
        """Return the parent of each budget of a tenant."""
        rows = self._session.execute(
            select(BudgetRow.id, BudgetRow.parent_id).where(
                BudgetRow.tenant_id == tenant_id
            )
        )
        return {row[0]: row[1] for row in rows}

    def lock(self, tenant_ids: Sequence[str], budget_ids: Sequence[UUID]) -> None:
        """Wait until nobody else charges these budgets; held until the end."""
        given = {"tenants": list(tenant_ids), "ids": uuids(budget_ids)}
        self._session.execute(_LOCK, given).all()

    def tenants_due(self, now: datetime, part: float) -> list[str]:
        """Return which tenants have a period or a look that is due, or a forecast.

        Args:
            now: By PostgreSQL's clock.
            part: How much of a period a forecast takes at least, from 0 to 1.
        """
        late = self._session.execute(_LATE, {"now": now}).scalars()
        heading = self._session.execute(_HEADING, {"now": now, "part": part}).scalars()
        return sorted({*late, *heading})

    def over(self, tenant_id: str, now: datetime) -> Sequence[BudgetRow]:
        """Lock and return a tenant's budgets whose turn it is, some of them.

        Their period is over, or their window is to be looked at again.
        """
        return self._session.scalars(
            select(BudgetRow)
            .where(BudgetRow.tenant_id == tenant_id, BudgetRow.period_end <= now)
            .order_by(BudgetRow.id)
            .limit(_EACH_TIME)
            .with_for_update(key_share=True)
        ).all()

    def begun(
        self, tenant_ids: Sequence[str], budget_ids: Sequence[UUID], now: datetime
    ) -> Sequence[BudgetRow]:
        """Lock and return those of these budgets whose period is over, untold."""
        return self._session.scalars(
            select(BudgetRow)
            .where(
                BudgetRow.tenant_id.in_(tenant_ids),
                BudgetRow.id.in_(budget_ids),
                BudgetRow.period_end <= now,
            )
            .order_by(BudgetRow.tenant_id, BudgetRow.id)
            .with_for_update(key_share=True)
        ).all()

    def leading(self, tenant_id: str, now: datetime, part: float) -> list[Leading]:
        """Lock and return a tenant's budgets with a forecast to tell, some of them."""
        rows = self._session.execute(
            _LEADING,
            {"tenant": tenant_id, "now": now, "part": part, "limit": _EACH_TIME},
        )
        return [Leading(*row) for row in rows]
