"""Observers of signals: what they come to, and what a single one shows to rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from ascwebhooks.domain import usage, violations
from ascwebhooks.domain.default_rules import in_force
from ascwebhooks.domain.evaluations import Live, take_notice
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.noticing import Noticed, notice, noticing
from ascwebhooks.domain.rules import Rule
from ascwebhooks.services.incidents import write
from ascwebhooks.services.triggers import Observed
from ascwebhooks.storage.unit_of_work import UnitOfWork

_REMEMBERED_TENANTS = 10_000
#: Whoever was not first to open an incident finds it the second time.
_TRIES = 2


class UsageObserver:
    """Counts all signals by minute."""

    def wants(self, uow: UnitOfWork, versions: Mapping[str, int]) -> Collection[str]:
        """Return all of them."""
        return versions.keys()

    def observe(self, uow: UnitOfWork, signals: Sequence[Observed]) -> list[Event]:
        """Count; nothing follows from it yet."""
        seen = [each.signal for each in signals]
        found = usage.tallies(seen)
        known = uow.usage.known((key.tenant_id, key.at) for key in found)
        uow.usage.add(usage.bounded(found, known))
        counted = violations.counts(seen)
        if counted:
            there = uow.violations.known((key.tenant_id, key.at) for key in counted)
            uow.violations.add(violations.bounded(counted, there))
        return []


class _Known(NamedTuple):
    version: int
    rules: list[Rule]


class RuleObserver:
    """Shows signals to the rules that need no window.

    Used by one thread at a time, like ``routes.Routes``.
    """

    def __init__(
        self, entropy: Callable[[int], bytes], *, defaults: bool = True
    ) -> None:
        """Take the parts; ``defaults`` says whether default rules hold."""
        self._entropy = entropy
        self._defaults = defaults
        self._known: dict[str, _Known] = {}

    def wants(self, uow: UnitOfWork, versions: Mapping[str, int]) -> Collection[str]:
        """Return the tenants that have such rules, read again where they changed."""
        known = self._known
        stale = [
            each
            for each, version in versions.items()
            if each not in known or known[each].version != version
        ]
        if stale:
            self._read(uow, stale, versions)
        return [each for each in versions if self._rules(uow, each)]

    def observe(self, uow: UnitOfWork, signals: Sequence[Observed]) -> list[Event]:
        """Open and repeat incidents; return the events that tell of them."""
        shown: dict[str, list[Noticed]] = defaultdict(list)
        rules = {each: self._rules(uow, each) for each in _tenants(signals)}
        for _, signal in signals:
            shown[signal.tenant_id] += notice(rules[signal.tenant_id], signal)
        events: list[Event] = []
        for tenant_id in sorted(shown):
            if shown[tenant_id]:
                events += self._take(uow, tenant_id, shown[tenant_id])
        return events

    def _rules(self, uow: UnitOfWork, tenant_id: str) -> list[Rule]:
        """Return a tenant's rules, also if another thread has just forgotten them."""
        found = self._known.get(tenant_id)
        return (
            self._read(uow, [tenant_id], {})[tenant_id] if found is None else found[1]
        )

    def _read(
        self, uow: UnitOfWork, tenant_ids: Sequence[str], versions: Mapping[str, int]
    ) -> dict[str, list[Rule]]:
        own = uow.rules.of(tenant_ids)
        fresh = {
            each: _Known(
                versions.get(each, -1),
                noticing(in_force(own.get(each, ()), with_defaults=self._defaults)),
            )
            for each in tenant_ids
        }
        if len(self._known) > _REMEMBERED_TENANTS:
            self._known = {}
        self._known = {**self._known, **fresh}
        return {each: known.rules for each, known in fresh.items()}

    def _take(
        self, uow: UnitOfWork, tenant_id: str, shown: Sequence[Noticed]
    ) -> list[Event]:
        """Decide on what is there, and again under its locks if it is to be written.

        Who was not first to open an incident sees it then, and decides once more.
        """
        now = uow.now()
        live = self._live(uow, tenant_id, shown, lock=False)
        if not take_notice(shown, live, {}, now):
            return []
        events: list[Event] = []
        for _ in range(_TRIES):
            live = self._live(uow, tenant_id, shown, lock=True)
            used = uow.incidents.counts(tenant_id, {each.rule.id for each in shown})
            decisions = take_notice(shown, live, used, now)
            events += write(uow, tenant_id, decisions, now, self._entropy)
            if all(each.live is not None for each in decisions):
                break
        return events

    def _live(
        self, uow: UnitOfWork, tenant_id: str, shown: Sequence[Noticed], *, lock: bool
    ) -> list[Live]:
        names = {(each.rule.id, each.key) for each in shown}
        return uow.incidents.named(tenant_id, names, lock=lock)


def _tenants(signals: Sequence[Observed]) -> set[str]:
    return {each.signal.tenant_id for each in signals}
