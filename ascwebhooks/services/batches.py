"""One transaction of accepting: dedupe, match, and write events and deliveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.derived import SOURCE, derived_id
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.matching import Chosen, choose
from ascwebhooks.domain.signals import is_signal
from ascwebhooks.services import endings
from ascwebhooks.services.intakes import (
    OPERATIONS,
    Accepted,
    Intake,
    Refusal,
    Refused,
    Verdict,
    facts_of,
)
from ascwebhooks.services.rejection import Peeked, peek
from ascwebhooks.services.routes import TenantRoutes
from ascwebhooks.services.sealing import PLATFORM, Sealing, day_scope
from ascwebhooks.services.strictness import misfits
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.storage.events import NewDelivery, NewEvent, NewKey
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import RejectedEvent
from ascwebhooks.storage.unit_of_work import UnitOfWork

EVENT_TABLE = "event"
REJECTED_TABLE = "rejected_event"
#: How this service's own events come: they are of the catalogue, and nobody is asked.
_OWN = frozenset({OPERATIONS, "test"})
#: So much of what was rejected is kept: all of it, unless it is absurd.
_KEPT_RAW_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Writing:
    """What every batch of a process is written with.

    ``keep_signals``: whether signals that nobody takes are kept too.
    """

    sealing: Sealing
    entropy: Callable[[int], bytes]
    triggers: Triggers
    keep_signals: bool = False


class Batch:
    """What one transaction writes; the caller commits it.

    All ids carry the millisecond at which it began, by PostgreSQL's clock.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        writing: Writing,
        intake: Intake,
        routes: dict[str, TenantRoutes],
        now: datetime | None = None,
    ) -> None:
        self._uow = uow
        self._sealing = writing.sealing
        self._entropy = writing.entropy
        self._triggers = writing.triggers
        self._keep_signals = writing.keep_signals
        self._intake = intake
        self._routes = routes
        self._now = now or uow.now()
        self.events: list[NewEvent] = []
        self.deliveries: list[NewDelivery] = []
        self.derived = 0
        self._events_written = 0
        self._in_order: list[int] = []
        self.refusals: list[Refusal] = []
        self.rings: set[Due] = set()
        self.verdicts: dict[int, Verdict] = {}

    def write(
        self, parsed: Sequence[tuple[int, Event]], refusals: Sequence[Refusal]
    ) -> None:
        """Write all of it.

        Args:
            parsed: Valid events by their position in the intake.
            refusals: What is known to be refused.
        """
        self.refusals.extend(refusals)
        known = self._fitting([each for each in parsed if self._is_known(*each)])
        new = self._new(known)
        for position, event, event_id in new:
            sent = self._add(event, event_id, self._intake.only)
            self.verdicts[position] = Accepted(
                event_id, event.source_id, duplicate=False, deliveries=sent
            )
        # First what needs no lock: those of triggers are held until the commit.
        self._write_events()
        self._observe([(event, event_id) for _, event, event_id in new])
        self._write_rows()
        self._reject()
        self._count_endings()

    def derive(self, derived: Sequence[Event]) -> None:
        """Add events that this service worked out; ``finish`` writes them.

        Their ids are made of their cause: what came before is left out.
        """
        keyed = {}
        for event in reversed(derived):
            key = self._key(event, derived_id(event, self._now))
            keyed[key.tenant_id, key.digest] = key, event
        # Whoever makes an event holds a lock on its cause, so nobody else is at it.
        wanted = [keyed[name][0] for name in sorted(keyed)]
        claimed = self._uow.events.claim_keys(wanted)
        for key, event in reversed(keyed.values()):
            if key.event_id in claimed:
                self.derived += 1
                self._add(event, key.event_id)

    def finish(self) -> None:
        """Write what was added."""
        self._write_rows()
        self._count_endings()

    def _write_rows(self) -> None:
        self._write_events()
        self._give_places()
        self._uow.events.add_deliveries(self.deliveries)

    def _count_endings(self) -> None:
        endings.count(
            self._uow,
            (
                (each.tenant_id, each.endpoint_id)
                for each in self.deliveries
                if each.dead_reason is not None
            ),
        )

    def _write_events(self) -> None:
        self._uow.events.add_all(self.events[self._events_written :])
        self._events_written = len(self.events)

    def _observe(self, new: Sequence[tuple[Event, UUID]]) -> None:
        signals = [each for each in new if is_signal(each[0].type)]
        if not signals:
            return
        # What follows is sealed behind locks, and the day's key is another connection.
        for tenant_id in {event.tenant_id for event, _ in signals}:
            self._sealing.prepare(tenant_id, day_scope(signals[0][1]))
        versions = {name: route.version for name, route in self._routes.items()}
        derived = self._triggers.observe(self._uow, signals, versions, self._now)
        if derived:
            self.derive(derived)

    def _new_ids(self, count: int) -> list[UUID]:
        ms = int(self._now.timestamp() * 1000)
        return ids.uuid7_batch(ms, self._entropy(ids.random_bytes(count)))

    def _refuse(self, position: int, code: str, detail: str) -> None:
        self.refusals.append(Refusal(position, code, detail))

    def _is_known(self, position: int, event: Event) -> bool:
        if event.tenant_id in self._routes:
            return True
        detail = f"there is no tenant {event.tenant_id!r}; create it, then resubmit."
        self._refuse(position, "unknown_tenant", detail)
        return False

    def _fitting(self, known: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
        """Return what its tenant takes: a strict one events of the catalogue alone.

        What came before the tenant was strict is still known when it comes again.
        """
        if self._intake.via in _OWN:
            return known
        refused = misfits(known, self._routes)
        if not refused:
            return known
        wrong = [each for each in known if each[0] in refused]
        ids_of_none = self._new_ids(len(wrong))
        keys = [
            self._key(event, ids_of_none[at]) for at, (_, event) in enumerate(wrong)
        ]
        before = self._uow.events.keys([(key.tenant_id, key.digest) for key in keys])
        for (position, event), key in zip(wrong, keys, strict=True):
            if taken := before.get((key.tenant_id, key.digest)):
                self._repeat(position, event, key, taken)
            else:
                verdict = refused[position]
                self._refuse(position, verdict.code, verdict.detail)
        return [each for each in known if each[0] not in refused]

    def _new(self, known: Sequence[tuple[int, Event]]) -> list[tuple[int, Event, UUID]]:
        """Return the events that are new; the others get their verdict here."""
        keys = [
            self._key(event, event_id)
            for (_, event), event_id in zip(
                known, self._new_ids(len(known)), strict=True
            )
        ]
        first: dict[tuple[str, bytes], NewKey] = {}
        for key in keys:
            first.setdefault((key.tenant_id, key.digest), key)
        claimed = self._uow.events.claim_keys([first[name] for name in sorted(first)])
        if len(claimed) == len(keys):
            return [
                (position, event, key.event_id)
                for (position, event), key in zip(known, keys, strict=True)
            ]
        taken = self._uow.events.keys(
            [name for name, key in first.items() if key.event_id not in claimed]
        )
        before = first | taken
        new = []
        for (position, event), key in zip(known, keys, strict=True):
            if key.event_id in claimed:
                new.append((position, event, key.event_id))
            else:
                self._repeat(position, event, key, before[key.tenant_id, key.digest])
        return new

    def _key(self, event: Event, event_id: UUID) -> NewKey:
        return NewKey(
            event.tenant_id,
            events.digest(event.source, event.source_id),
            event_id,
            self._sealing.content_hash(event.tenant_id, events.content(event)),
        )

    def _repeat(self, position: int, event: Event, key: NewKey, before: NewKey) -> None:
        if key.content_hash == before.content_hash:
            self.verdicts[position] = Accepted(
                before.event_id, event.source_id, duplicate=True, deliveries=0
            )
            return
        shown = ids.show(Kind.EVENT, before.event_id)
        detail = f"{shown} came with the same source and id and other content."
        self._refuse(position, "id_conflict", detail)

    def _add(self, event: Event, event_id: UUID, only: UUID | None = None) -> int:
        """Add an event and its deliveries; return how many these are.

        Args:
            event: Which.
            event_id: Its id.
            only: The one endpoint that gets it, whoever is subscribed.
        """
        chosen = self._chosen(event) if only is None else Chosen((only,))
        if not self._is_kept(event, chosen):
            return 0
        sealed = self._sealing.seal(
            event.tenant_id,
            day_scope(event_id),
            EVENT_TABLE,
            event_id,
            events.keep(event, self._now),
        )
        self.events.append(
            NewEvent(
                event_id,
                event.tenant_id,
                event.type,
                event.source,
                event.source_id,
                event.time or self._now,
                len(event.data),
                sealed,
                chosen.not_sent,
            )
        )
        self._fan_out(event, event_id, chosen.endpoints)
        return len(chosen.endpoints)

    def _is_kept(self, event: Event, chosen: Chosen) -> bool:
        """Return whether an event gets a row: not a signal that nobody takes.

        There may be 10,000 a second.  What was worked out from them is rare, and no
        signal whatever its type.  A filter that failed says so on the event.
        """
        return bool(
            chosen.endpoints
            or self._keep_signals
            or event.source == SOURCE
            or not is_signal(event.type)
            or "failed" in (chosen.not_sent or {})
        )

    def _chosen(self, event: Event) -> Chosen:
        routes = self._routes[event.tenant_id]
        match = routes.matcher.match(event.type)
        # Data is read for filters alone.
        chosen = (
            choose(match, facts_of(event, self._now))
            if match.asked
            else Chosen(match.endpoints)
        )
        return routes.takers(event.type, chosen)

    def _fan_out(self, event: Event, event_id: UUID, wanted: Sequence[UUID]) -> None:
        routes = self._routes[event.tenant_id]
        for delivery_id, endpoint_id in zip(
            self._new_ids(len(wanted)), wanted, strict=True
        ):
            route = routes.endpoints[endpoint_id]
            dead = route.dead_reason is not None
            if route.in_order:
                self._in_order.append(len(self.deliveries))
            self.deliveries.append(
                NewDelivery(
                    delivery_id,
                    event.tenant_id,
                    event_id,
                    endpoint_id,
                    event.type,
                    Status.DEAD_LETTERED if dead else Status.PENDING,
                    self._now,
                    route.dead_reason,
                    self._now if dead else None,
                )
            )
            if route.may_ring:
                self.rings.add(Due(endpoint_id, route.region))

    def _give_places(self) -> None:
        """Give deliveries to endpoints in order their places, in the order they came.

        Whoever accepts for one of these endpoints waits until this batch is committed:
        nobody sees a later place before an earlier one.
        """
        if not self._in_order:
            return
        owners = {self.deliveries[at].endpoint_id for at in self._in_order}
        self._uow.events.lock_order(sorted(owners))
        places = self._uow.events.places(len(self._in_order))
        for at, place in zip(self._in_order, places, strict=True):
            self.deliveries[at] = self.deliveries[at]._replace(position=place)

    def _reject(self) -> None:
        if not self.refusals:
            return
        seen = [peek(self._intake.raws[each.position]) for each in self.refusals]
        owners = self._owners(seen)
        rows = zip(self._new_ids(len(seen)), self.refusals, seen, owners, strict=True)
        self._uow.rejected_events.add_all([self._rejected(*row) for row in rows])
        for each in self.refusals:
            self.verdicts[each.position] = Refused(each.code, each.detail)

    def _owners(self, seen: Sequence[Peeked]) -> list[str | None]:
        """Return whose each rejected event is; None where nobody can tell."""
        if self._intake.tenant_id is not None:
            return [self._intake.tenant_id] * len(seen)
        named = {each.tenant_id for each in seen if each.tenant_id}
        known = self._uow.tenants.known(sorted(named))
        return [each.tenant_id if each.tenant_id in known else None for each in seen]

    def _rejected(
        self, row_id: UUID, refusal: Refusal, seen: Peeked, owner: str | None
    ) -> RejectedEvent:
        raw = self._intake.raws[refusal.position]
        kept = raw[:_KEPT_RAW_BYTES]
        return RejectedEvent(
            id=row_id,
            tenant_id=owner,
            claimed_tenant=seen.tenant_id,
            code=refusal.code,
            detail=refusal.detail,
            type=seen.type,
            source=seen.source,
            source_id=seen.source_id,
            via=self._intake.via,
            size_bytes=len(raw),
            truncated=len(kept) < len(raw),
            sealed=self._sealing.seal(
                owner or PLATFORM, day_scope(row_id), REJECTED_TABLE, row_id, kept
            ),
        )
