"""Rules: a tenant's own, and those that hold by default until it changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.default_rules import DEFAULTS
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.rules import (
    MAX_RULES,
    PARAMETERS,
    Rule,
    RuleKind,
    Severity,
    complete,
    plain,
)
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.rules import rule_of
from ascwebhooks.storage.trigger_tables import TriggerRule
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


class Origin(StrEnum):
    """Where a rule comes from."""

    OWN = "own"
    DEFAULT = "default"
    CHANGED_DEFAULT = "changed_default"


@dataclass(frozen=True)
class Held:
    """A rule as a tenant has it; times are None for one that holds by default."""

    tenant_id: str
    rule: Rule
    origin: Origin
    created_at: datetime | None
    updated_at: datetime | None

    @property
    def id(self) -> UUID:
        """Return the rule's id."""
        return self.rule.id


Check = Callable[[Held], None] | None


class Rules:
    """Use cases of rules."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        entropy: Callable[[int], bytes],
        *,
        defaults: bool = True,
    ) -> None:
        """Take the parts; ``defaults`` says whether default rules hold."""
        self._uow = uow
        self._entropy = entropy
        self._defaults = DEFAULTS if defaults else {}

    def create(
        self,
        tenant_id: str,
        *,
        name: str,
        kind: RuleKind,
        severity: Severity = Severity.WARNING,
        enabled: bool = True,
        **given: Any,
    ) -> Held:
        """Create a rule; it counts from the next evaluation and signal on.

        Args:
            tenant_id: Whose.
            name: For people.
            kind: What it looks at.
            severity: What its events say.
            enabled: Whether it is switched on.
            given: Parameters (``domain.rules.Spec``).

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If a parameter is out of its bounds or not the kind's.
            Conflict: If the tenant has as many rules as it may have.
        """
        spec = complete(kind, given)
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            find_tenant(uow, tenant_id)
            if uow.rules.count(tenant_id) >= MAX_RULES:
                raise Conflict(f"a tenant has at most {MAX_RULES} rules.")
            rule_id = ids.uuid7(int(uow.now().timestamp() * 1000), self._entropy(10))
            rule = Rule(rule_id, name, kind, spec, severity, enabled)
            made = self._held(self._add(uow, tenant_id, rule))
            _record(uow, "rule.created", made)
            uow.commit()
        log.info("rule_created", **_names(made))
        return made

    def get(self, tenant_id: str, rule_id: UUID) -> Held:
        """Return a rule.

        Raises:
            NotFound: If the tenant has no such rule.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return self._find(uow, tenant_id, rule_id)[1]

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        kind: RuleKind | None = None,
        enabled: bool | None = None,
    ) -> Sequence[Held]:
        """Return a tenant's rules, the newest first and the defaults last.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            kind: Only those of this kind.
            enabled: Only those that are switched on, or off.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            own = {row.id: self._held(row) for row in uow.rules.all(tenant_id)}
        every = {each.id: _default(tenant_id, each) for each in self._defaults.values()}
        found = [
            held
            for rule_id, held in sorted({**every, **own}.items(), reverse=True)
            if (after is None or rule_id < after)
            and kind in (None, held.rule.kind)
            and enabled in (None, held.rule.enabled)
        ]
        return found[:limit]

    def change(
        self,
        tenant_id: str,
        rule_id: UUID,
        changes: Mapping[str, Any],
        check: Check = None,
    ) -> Held:
        """Change a rule; what a tenant changes of a default is its own from then on.

        Incidents that the rule has open resolve within seconds, unless all that was
        changed is its name, severity, or how often it repeats.

        Args:
            tenant_id: Whose.
            rule_id: Which.
            changes: By name; a parameter that is None is its kind's own again.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such rule.
            InvalidInput: If a parameter is out of its bounds or not the kind's.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            find_tenant(uow, tenant_id)
            row, held = self._find(uow, tenant_id, rule_id)
            if check is not None:
                check(held)
            rule = _changed(held.rule, changes)
            if row is None:
                row = self._add(uow, tenant_id, rule)
            else:
                row.name, row.severity = rule.name, rule.severity.value
                row.enabled, row.spec = rule.enabled, plain(rule.spec)
                uow.flush()
            made = self._held(row)
            _record(uow, "rule.changed", made)
            uow.commit()
        log.info("rule_changed", fields=sorted(changes), **_names(made))
        return made

    def delete(self, tenant_id: str, rule_id: UUID, check: Check = None) -> None:
        """Delete a rule; of a default, what the tenant changed of it.

        Args:
            tenant_id: Whose.
            rule_id: Which.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such rule.
            Conflict: If it holds by default and nothing of it was changed.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            find_tenant(uow, tenant_id)
            row, held = self._find(uow, tenant_id, rule_id)
            if check is not None:
                check(held)
            if row is None:
                raise Conflict("the rule holds by default; disable it instead.")
            uow.rules.delete(row)
            _record(uow, "rule.deleted", held)
            uow.commit()
        log.info("rule_deleted", **_names(held))

    def _find(
        self, uow: UnitOfWork, tenant_id: str, rule_id: UUID
    ) -> tuple[TriggerRule | None, Held]:
        row = uow.rules.find(tenant_id, rule_id)
        if row is not None:
            return row, self._held(row)
        if rule_id not in self._defaults:
            raise NotFound(f"there is no rule {ids.show(Kind.RULE, rule_id)}.")
        return None, _default(tenant_id, self._defaults[rule_id])

    def _add(self, uow: UnitOfWork, tenant_id: str, rule: Rule) -> TriggerRule:
        row = TriggerRule(
            tenant_id=tenant_id,
            id=rule.id,
            name=rule.name,
            kind=rule.kind.value,
            severity=rule.severity.value,
            enabled=rule.enabled,
            spec=plain(rule.spec),
        )
        uow.rules.add(row)
        return row

    def _held(self, row: TriggerRule) -> Held:
        origin = Origin.CHANGED_DEFAULT if row.id in DEFAULTS else Origin.OWN
        return Held(row.tenant_id, rule_of(row), origin, row.created_at, row.updated_at)


def _default(tenant_id: str, rule: Rule) -> Held:
    return Held(tenant_id, rule, Origin.DEFAULT, None, None)


def _changed(rule: Rule, changes: Mapping[str, Any]) -> Rule:
    given = {name: getattr(rule.spec, name) for name in PARAMETERS}
    kept = {k: v for k, v in given.items() if v is not None or k == "repeat_s"}
    said = {name: value for name, value in changes.items() if name in PARAMETERS}
    get = changes.get
    return Rule(
        rule.id,
        get("name", rule.name),
        rule.kind,
        complete(rule.kind, {**kept, **said}),
        get("severity", rule.severity),
        get("enabled", rule.enabled),
    )


def _record(uow: UnitOfWork, action: str, held: Held) -> None:
    rule = held.rule
    uow.audit.record(
        action,
        Kind.RULE,
        rule.id,
        tenant_id=held.tenant_id,
        name=rule.name,
        kind=rule.kind.value,
        severity=rule.severity.value,
        enabled=rule.enabled,
        spec=plain(rule.spec),
    )


def _names(held: Held) -> dict[str, str]:
    return {
        "tenant_id": held.tenant_id,
        "rule_id": ids.show(Kind.RULE, held.id),
        "kind": held.rule.kind.value,
    }
