"""Triggers: who looks at signals while they are accepted, and what follows from them.

Observers work in the transaction that accepts the signals: what they write, and the
events that they return, are committed with them or not at all.  They take locks in one
order: budgets by id, then rows of usage by key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from ascwebhooks.domain.events import Event
from ascwebhooks.domain.signals import Signal, read
from ascwebhooks.storage.unit_of_work import UnitOfWork


class Observed(NamedTuple):
    """A signal that is new, with its event's id."""

    event_id: UUID
    signal: Signal


class Observer(Protocol):
    """What works something out from signals: budgets, rules, roll-ups."""

    def wants(self, uow: UnitOfWork, versions: Mapping[str, int]) -> Collection[str]:
        """Return of which of these tenants it wants to see signals.

        Args:
            uow: The transaction.
            versions: By tenant, a number that has grown if anything was configured
                since (``TenantRepository.versions``): what was read for a version
                holds for as long as it is the same, until the commit.
        """

    def observe(self, uow: UnitOfWork, signals: Sequence[Observed]) -> list[Event]:
        """Look at new signals of the wanted tenants, in the order they came.

        Returns:
            Events that follow from them (``domain.derived``); never signals.
        """


class Triggers:
    """The observers of a process."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        """Take the observers, in the order in which they take their locks."""
        self._observers = observers

    def observe(
        self,
        uow: UnitOfWork,
        signals: Sequence[tuple[Event, UUID]],
        versions: Mapping[str, int],
        now: datetime,
    ) -> list[Event]:
        """Return what follows from signals.

        Args:
            uow: The transaction that accepts them.
            signals: New events that are signals, with their ids.
            versions: Of their tenants, at least.
            now: When they were accepted.
        """
        if not self._observers:
            return []
        there = {
            tenant_id: versions[tenant_id]
            for tenant_id in sorted({event.tenant_id for event, _ in signals})
        }
        wanted = [frozenset(each.wants(uow, there)) for each in self._observers]
        anyone = frozenset[str]().union(*wanted)
        seen = [
            Observed(event_id, read(event, now))
            for event, event_id in signals
            if event.tenant_id in anyone
        ]
        derived = []
        for observer, tenants in zip(self._observers, wanted, strict=True):
            theirs = [each for each in seen if each.signal.tenant_id in tenants]
            if theirs:
                derived += observer.observe(uow, theirs)
        return derived
