"""Events: finding them, and what became of them at each endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.events import Kept
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.operations import endpoint_test
from ascwebhooks.errors import NotFound, Unavailable
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.batches import EVENT_TABLE
from ascwebhooks.services.deliveries import SEARCH_WITHIN
from ascwebhooks.services.described import find_endpoint
from ascwebhooks.services.explanations import Explained, explain
from ascwebhooks.services.intakes import Accepted, Postponed
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Delivery, Event
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: Among so many of the last events their types are looked for.
_RECENT = 500


@dataclass(frozen=True)
class EventWithDeliveries:
    """An event, its content if it was asked for and its key exists, and its fate."""

    event: Event
    kept: Kept | None
    data: bytes | None
    deliveries: Sequence[Delivery]
    explained: Explained


class Events:
    """Use cases of events that were accepted."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        acceptance: Acceptance,
        *,
        retention: timedelta,
    ) -> None:
        """Take the parts; ``retention`` says how long deliveries are kept."""
        self._uow = uow
        self._retention = retention
        self._sealing = sealing
        self._acceptance = acceptance

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None = None,
        before: UUID | None = None,
        limit: int = 50,
        type: str | None = None,
        source_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Event]:
        """Return a tenant's events, the newest first (``storage.events``).

        Raises:
            NotFound: If there is no such tenant.
            SearchTooLong: If what is wanted is too rare among too many.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            uow.search_within(SEARCH_WITHIN)
            return uow.events.page(
                tenant_id,
                after=after,
                before=before,
                limit=limit,
                type=type,
                source_id=source_id,
                since=since,
                until=until,
            )

    def recent_types(self, tenant_id: str) -> Sequence[str]:
        """Return of which types a tenant's last events were.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return uow.events.recent_types(tenant_id, _RECENT)

    def get(
        self, tenant_id: str, event_id: UUID, *, opened: bool = True
    ) -> EventWithDeliveries:
        """Return an event with what became of it at each endpoint.

        Args:
            tenant_id: Whose.
            event_id: Which.
            opened: Whether with its content; a look at it is recorded in the audit
                log.

        Raises:
            NotFound: If the tenant has no such event.
        """
        with self._uow() as uow:
            event = uow.events.find(tenant_id, event_id)
            if event is None:
                raise _not_there(uow, tenant_id, event_id)
            deliveries = uow.deliveries.of_event(tenant_id, event_id)
            window = ids.window(uow.now(), self._retention)
            explained = explain(uow, event, deliveries, window=window)
            if opened:
                uow.audit.record(
                    "event.viewed", Kind.EVENT, event_id, tenant_id=tenant_id
                )
                uow.commit()
        kept, data = self._open(event) if opened else (None, None)
        return EventWithDeliveries(event, kept, data, deliveries, explained)

    def send_test(self, tenant_id: str, endpoint_id: UUID, source_id: str) -> Accepted:
        """Send an ``endpoint.test`` event to one endpoint, whatever it subscribes to.

        Args:
            tenant_id: Whose.
            endpoint_id: Which endpoint.
            source_id: The event's id; the same one twice is sent once.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            find_endpoint(uow, tenant_id, endpoint_id)
            now = uow.now()
        raw = endpoint_test(
            endpoint_id, tenant_id=tenant_id, source_id=source_id, at=now
        )
        verdict = self._acceptance.accept([raw], via="test", only=endpoint_id)[0]
        if isinstance(verdict, Postponed):
            raise Unavailable(f"the event cannot be kept now: {verdict.detail}.")
        assert isinstance(verdict, Accepted), verdict
        return verdict

    def _open(self, event: Event) -> tuple[Kept | None, bytes | None]:
        try:
            plain = self._sealing.unseal(
                event.tenant_id,
                day_scope(event.id),
                EVENT_TABLE,
                event.id,
                bytes(event.sealed),
            )
        except CannotOpen:
            return None, None
        return events.unpack(plain)


def _not_there(uow: UnitOfWork, tenant_id: str, event_id: UUID) -> NotFound:
    shown = ids.show(Kind.EVENT, event_id)
    if uow.events.was_accepted(tenant_id, event_id):
        return NotFound(
            f"{shown} was accepted and counted, and is not kept: no subscription took"
            " it, and KEEP_SIGNALS is 'wanted'."
        )
    return NotFound(f"there is no event {shown}.")
