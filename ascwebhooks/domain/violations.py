"""Violations of policies, minute by minute, by policy and team."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from ascwebhooks.domain.signals import Signal
from ascwebhooks.domain.statistics import Grain
from ascwebhooks.domain.usage import OTHER, Minute

VIOLATIONS = frozenset(
    {
        "policy.violation_blocked",
        "policy.violation_flagged",
        "policy.content_redacted",
        "policy.guardrail_failed",
    }
)
#: So many pairs of a policy and a team a tenant may have in a minute.
MOST_KEYS = 200
_MOST_CHARACTERS = 128


class ViolationKey(NamedTuple):
    """What violations are counted by; what is not known is an empty text."""

    tenant_id: str
    at: datetime
    policy: str
    team: str


def counts(signals: Iterable[Signal]) -> Counter[ViolationKey]:
    """Return how many violations there are."""
    return Counter(
        ViolationKey(
            each.tenant_id,
            Grain.MINUTE.floor(each.time),
            (each.policy_id or "")[:_MOST_CHARACTERS],
            (each.scope.team_id or "")[:_MOST_CHARACTERS],
        )
        for each in signals
        if each.type in VIOLATIONS
    )


def bounded(
    found: Mapping[ViolationKey, int],
    known: Mapping[Minute, Collection[ViolationKey]],
) -> dict[ViolationKey, int]:
    """Return counts with the names that are too many for a minute put together.

    Args:
        found: How many of each.
        known: What there is already, by tenant and minute.
    """
    there = {minute: set(keys) for minute, keys in known.items()}
    made: Counter[ViolationKey] = Counter()
    for key in sorted(found):
        mine = there.setdefault((key.tenant_id, key.at), set())
        fits = key in mine or len(mine) < MOST_KEYS
        kept = key if fits else key._replace(policy=OTHER, team=OTHER)
        mine.add(kept)
        made[kept] += found[key]
    return dict(sorted(made.items()))
