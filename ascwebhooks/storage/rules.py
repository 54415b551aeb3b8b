"""Statements about rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ascwebhooks.domain.rules import Rule, RuleKind, Severity, from_plain
from ascwebhooks.storage.trigger_tables import TriggerRule


class RuleRepository:
    """Tenants' own rules, and what they made of those that hold by default."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, tenant_ids: Sequence[str]) -> dict[str, list[Rule]]:
        """Return the rules of each of these tenants."""
        found: dict[str, list[Rule]] = defaultdict(list)
        query = select(TriggerRule).where(TriggerRule.tenant_id.in_(tenant_ids))
        for row in self._session.scalars(query):
            found[row.tenant_id].append(rule_of(row))
        return found

    def tenants(self) -> list[str]:
        """Return the tenants that have an own rule that is switched on."""
        query = select(TriggerRule.tenant_id).where(TriggerRule.enabled).distinct()
        return list(self._session.scalars(query))

    def all(self, tenant_id: str) -> Sequence[TriggerRule]:
        """Return a tenant's rules."""
        query = select(TriggerRule).where(TriggerRule.tenant_id == tenant_id)
        return self._session.scalars(query).all()

    def find(self, tenant_id: str, rule_id: UUID) -> TriggerRule | None:
        """Return the rule, or None."""
        return self._session.get(TriggerRule, (tenant_id, rule_id))

    def count(self, tenant_id: str) -> int:
        """Return how many a tenant has."""
        query = select(func.count()).where(TriggerRule.tenant_id == tenant_id)
        return self._session.scalars(query).one()

    def add(self, row: TriggerRule) -> None:
        """Add a rule."""
        self._session.add(row)
        self._session.flush()

    def delete(self, row: TriggerRule) -> None:
        """Delete a rule."""
        self._session.execute(
            delete(TriggerRule).where(
                TriggerRule.tenant_id == row.tenant_id, TriggerRule.id == row.id
            )
        )


def rule_of(row: TriggerRule) -> Rule:
    """Return a rule as it is evaluated."""
    return Rule(
        row.id,
        row.name,
        RuleKind(row.kind),
        from_plain(row.spec),
        Severity(row.severity),
        row.enabled,
    )
