"""Previews: which of the last events a subscription would have taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from ascwebhooks.domain import events, filters
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.filters import Answer, Facts, Filter
from ascwebhooks.domain.matching import Matcher, Subscription
from ascwebhooks.services.batches import EVENT_TABLE
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.services.subscriptions import check
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Event
from ascwebhooks.storage.unit_of_work import UnitOfWork

MAX_EVENTS = 100
_NOBODY = UUID(int=0)


class Previewed(NamedTuple):
    """What a subscription would have made of one event."""

    event_id: UUID
    type: str
    matched: bool
    error: str | None


@dataclass(frozen=True)
class Preview:
    """What it would have made of the last events, and how often."""

    items: Sequence[Previewed]

    @property
    def matched(self) -> int:
        """How many it would have taken."""
        return sum(each.matched for each in self.items)

    @property
    def failed(self) -> int:
        """On how many its filter would have failed."""
        return sum(each.error is not None for each in self.items)


class Previews:
    """Trying subscriptions out on what came last."""

    def __init__(self, uow: Callable[[], UnitOfWork], sealing: Sealing) -> None:
        """Take the parts."""
        self._uow = uow
        self._sealing = sealing

    def preview(
        self,
        tenant_id: str,
        *,
        event_types: Sequence[str],
        filter: str | None = None,
        limit: int = 20,
    ) -> Preview:
        """Return what a subscription would have made of the last events.

        Args:
            tenant_id: Whose.
            event_types: Exact types and globs.
            filter: A CEL expression, or None.
            limit: On how many events, ``MAX_EVENTS`` at most.

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If an event type or the filter is malformed.
        """
        check(event_types, filter)
        made = None if filter is None else filters.compile(filter)
        wanted = Matcher([Subscription(_NOBODY, tuple(event_types))])
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            page = uow.events.page(tenant_id, after=None, limit=min(limit, MAX_EVENTS))
            # What a filter answers tells something of what it looked at.
            uow.audit.record(
                "subscription.previewed",
                "tenant",
                tenant_id,
                tenant_id=tenant_id,
                filter=filter,
                events=len(page),
            )
            uow.commit()
        return Preview([self._previewed(each, wanted, made) for each in page])

    def _previewed(
        self, event: Event, wanted: Matcher, made: Filter | None
    ) -> Previewed:
        answer = Answer(bool(wanted.match(event.type).endpoints))
        if answer.matched and made is not None:
            answer = self._answer(event, made)
        return Previewed(event.id, event.type, answer.matched, answer.error)

    def _answer(self, event: Event, made: Filter) -> Answer:
        try:
            plain = self._sealing.unseal(
                event.tenant_id,
                day_scope(event.id),
                EVENT_TABLE,
                event.id,
                bytes(event.sealed),
            )
        except CannotOpen:
            return Answer(False, "the key that sealed its data was destroyed")
        kept, data = events.unpack(plain)
        facts = Facts(
            type=event.type,
            source=event.source,
            subject=kept.subject,
            time=event.time,
            tenant=event.tenant_id,
            data=data,
        )
        return made.answer(facts)
