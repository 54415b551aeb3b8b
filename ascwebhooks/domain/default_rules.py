"""The rules that every tenant has without asking; why these: config/decisions/0013."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ascwebhooks.domain.rules import Rule, RuleKind, Severity, complete


def _default(
    number: int, kind: RuleKind, name: str, severity: Severity = Severity.WARNING
) -> Rule:
    # Their ids are fixed: that of a default and of what a tenant made of it are one.
    return Rule(UUID(int=number), name, kind, complete(kind, {}), severity)


DEFAULTS = {
    each.id: each
    for each in (
        _default(1, RuleKind.ERROR_RATE, "Error rate of a model"),
        _default(2, RuleKind.OUTAGE, "Outage of a provider", Severity.CRITICAL),
        _default(3, RuleKind.RATE_LIMIT, "Rate limits hit"),
        _default(4, RuleKind.FALLBACK, "Fallback to another model"),
        _default(5, RuleKind.FALLBACK_EXHAUSTED, "No fallback left", Severity.CRITICAL),
        _default(6, RuleKind.POLICY_SPIKE, "Many policy violations"),
    )
}


def in_force(own: Iterable[Rule], *, with_defaults: bool) -> list[Rule]:
    """Return a tenant's rules: its own, and the defaults that it has not changed."""
    found = dict(DEFAULTS) if with_defaults else {}
    found |= {each.id: each for each in own}
    return list(found.values())
