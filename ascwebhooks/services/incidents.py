"""Incidents: evaluating rules as time goes by, and looking at what they opened.

A pass first reads, many tenants at once, and decides what there is to do.  Only where
there is something, a tenant's lock is taken, everything is read again and decided
again, and the decisions are written in one transaction with the events that tell of
them.  Killed before its commit, nothing has happened; after it, the state says that it
was told.  Whoever does not get the lock leaves the tenant to the one who has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.default_rules import DEFAULTS, in_force
from ascwebhooks.domain.derived import SOURCE
from ascwebhooks.domain.evaluations import Decision, evaluate
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.incident_events import event_ids, incident_event
from ascwebhooks.domain.incidents import NoData
from ascwebhooks.domain.measures import Seen
from ascwebhooks.domain.rules import MAX_WINDOW_S, Rule
from ascwebhooks.domain.usage import window_begins
from ascwebhooks.errors import NotFound
from ascwebhooks.services.deriving import apart
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Event as EventRow
from ascwebhooks.storage.trigger_tables import Incident
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: So many tenants are looked at in one go.
_TENANTS = 100
_LONGEST = timedelta(seconds=MAX_WINDOW_S)
_DEFAULT = max(each.window for each in DEFAULTS.values())


class Derive(Protocol):
    """What accepts derived events (``deriving.Deriving.derive``)."""

    def __call__(self, uow: UnitOfWork, events: Sequence[Event]) -> None:
        """Write them in the caller's transaction."""


@dataclass(frozen=True)
class Told:
    """An incident with the events that told of it, the oldest first."""

    incident: Incident
    events: Sequence[EventRow]


class Incidents:
    """Use cases of incidents."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        derive: Derive,
        entropy: Callable[[int], bytes],
        *,
        defaults: bool = True,
    ) -> None:
        """Take the parts; ``defaults`` says whether default rules hold."""
        self._uow = uow
        self._derive = derive
        self._entropy = entropy
        self._defaults = defaults

    def evaluate(self, now: datetime | None = None) -> int:
        """Open, repeat and resolve what is due; return how many incidents changed.

        Args:
            now: PostgreSQL's clock if None.

        Raises:
            Unavailable: If the database is away; nothing is lost by it.
        """
        changed = 0
        for tenant_id in self._due(now):
            with apart(tenant_id):
                changed += self._evaluate(tenant_id, now)
        return changed

    def get(self, tenant_id: str, incident_id: UUID) -> Told:
        """Return an incident with its events.

        Raises:
            NotFound: If the tenant has no such incident.
        """
        with self._uow() as uow:
            found = uow.incidents.find(tenant_id, incident_id)
            if found is None:
                shown = ids.show(Kind.INCIDENT, incident_id)
                raise NotFound(f"there is no incident {shown}.")
            wanted = event_ids(incident_id, min(found.repeats, 100))
            return Told(found, uow.events.of_source(tenant_id, SOURCE, wanted))

    def page(
        self, tenant_id: str, *, after: UUID | None, limit: int, **wanted: Any
    ) -> Sequence[Incident]:
        """Return a tenant's incidents, the newest first (``storage.incidents``).

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return uow.incidents.page(tenant_id, after=after, limit=limit, **wanted)

    def _due(self, now: datetime | None) -> Iterator[str]:
        """Return the tenants that have something to be decided."""
        with self._uow() as uow:
            moment = now or uow.now()
            # Whoever uses nothing has nothing but what is live, and own rules that
            # look further back.
            active = uow.usage.active(window_begins(moment, _DEFAULT))
            tenants = sorted({*active, *uow.incidents.tenants(), *uow.rules.tenants()})
        for at in range(0, len(tenants), _TENANTS):
            part = tenants[at : at + _TENANTS]
            with self._uow() as uow:
                moment = now or uow.now()
                found = self._decisions(uow, part, moment)
            yield from [each for each in part if found.get(each)]

    def _evaluate(self, tenant_id: str, now: datetime | None) -> int:
        with self._uow() as uow:
            # In this order everywhere: the tenant, and then what is its own.
            if not uow.tenants.versions([tenant_id]):
                return 0
            if not uow.incidents.may_evaluate(tenant_id):
                return 0
            moment = now or uow.now()
            decided = self._decisions(uow, [tenant_id], moment, lock=True)
            wanted = decided[tenant_id]
            events = write(uow, tenant_id, wanted, moment, self._entropy)
            self._derive(uow, events)
            uow.commit()
        for each in events:
            log.info("incident_told", tenant_id=tenant_id, type=each.type)
        return len(wanted)

    def _decisions(
        self,
        uow: UnitOfWork,
        tenant_ids: Sequence[str],
        now: datetime,
        *,
        lock: bool = False,
    ) -> dict[str, list[Decision]]:
        """Return what is due, by tenant."""
        own = uow.rules.of(tenant_ids)
        rules = {
            each: in_force(own.get(each, ()), with_defaults=self._defaults)
            for each in tenant_ids
        }
        live = uow.incidents.live(tenant_ids, lock=lock)
        since = window_begins(now, _furthest(rules))
        usage = uow.usage.recent(tenant_ids, since)
        violations = uow.violations.recent(tenant_ids, since)
        return {
            each: evaluate(
                rules[each],
                live.get(each, ()),
                Seen(usage[each], violations[each]),
                now,
            )
            for each in tenant_ids
        }


def _furthest(rules: Mapping[str, Sequence[Rule]]) -> timedelta:
    """Return how far back is looked for some of these rules."""
    every = [rule for some in rules.values() for rule in some if rule.enabled]
    # What is told of silence is told of what was heard of lately.
    if any(each.spec.no_data is NoData.ALERT for each in every):
        return _LONGEST
    return max((each.window for each in every), default=timedelta(0))


def write(
    uow: UnitOfWork,
    tenant_id: str,
    decisions: Sequence[Decision],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> list[Event]:
    """Write decisions; return the events that tell of them.

    Args:
        uow: The transaction.
        tenant_id: Whose.
        decisions: What becomes of incidents.
        now: PostgreSQL's clock; new incidents' ids carry it.
        entropy: Returns random bytes.
    """
    ms = int(now.timestamp() * 1000)
    made = ids.uuid7_batch(ms, entropy(ids.random_bytes(len(decisions))))
    events = []
    for decision, new_id in zip(decisions, made, strict=True):
        incident_id = decision.live.id if decision.live else new_id
        if uow.incidents.write(tenant_id, incident_id, decision):
            event = incident_event(tenant_id, incident_id, decision)
            events += [event] if event else []
    return events
