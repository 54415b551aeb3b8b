"""Deliveries: finding them, reading their attempts, retrying and cancelling one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Unpack
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import EndpointState, MailboxState
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.formats import Format, format_sent
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.recording import ATTEMPT_TABLE, Detail, decode_detail
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.services.targets import Targets
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import Attempt, Delivery
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: How long a list may be looked for before it is said to be too much.
SEARCH_WITHIN = timedelta(seconds=5)
_LATE = timedelta(seconds=2)


@dataclass(frozen=True)
class Opened:
    """An attempt with what was sealed of it, and the body that it sent.

    Both are None if their key was destroyed, or nobody asked for them.
    """

    attempt: Attempt
    detail: Detail | None
    body: bytes | None


@dataclass(frozen=True)
class DeliveryWithAttempts:
    """A delivery, its attempts, and the body of the last or the first to come."""

    delivery: Delivery
    attempts: Sequence[Opened]
    body: bytes | None


class Deliveries:
    """Use cases of deliveries outside of a turn."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        targets: Targets,
        ring: Callable[[list[Due]], None],
    ) -> None:
        """Take the parts."""
        self._uow = uow
        self._sealing = sealing
        self._targets = targets
        self._ring = ring

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None = None,
        before: UUID | None = None,
        limit: int = 50,
        **wanted: Unpack[DeliveryFilters],
    ) -> Sequence[Delivery]:
        """Return a tenant's deliveries, the newest first (``storage.deliveries``).

        Raises:
            NotFound: If there is no such tenant.
            SearchTooLong: If what is wanted is too rare among too many.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            uow.search_within(SEARCH_WITHIN)
            return uow.deliveries.page(
                tenant_id, after=after, before=before, limit=limit, **wanted
            )

    def named(self, tenant_id: str, delivery_ids: Sequence[UUID]) -> Sequence[Delivery]:
        """Return those of these deliveries that are the tenant's, the newest first."""
        with self._uow() as uow:
            return uow.deliveries.named(tenant_id, delivery_ids)

    def of_events(
        self, tenant_id: str, event_ids: Sequence[UUID]
    ) -> dict[UUID, Sequence[Delivery]]:
        """Return what became of some of a tenant's events, the oldest delivery first.

        Args:
            tenant_id: Whose.
            event_ids: Which; each is looked for on its own, so they are to be few.
        """
        with self._uow() as uow:
            return {
                each: uow.deliveries.of_event(tenant_id, each)
                for each in dict.fromkeys(event_ids)
            }

    def news(
        self,
        tenant_id: str | None,
        than: UUID | None,
        watched: Sequence[UUID] = (),
        limit: int = 500,
    ) -> tuple[UUID, Sequence[Delivery]]:
        """Return deliveries that are new, and how others are by now.

        What is committed late has an earlier id than what was seen already, so those
        of the last seconds come again; whoever asks knows them by their ids.

        Args:
            tenant_id: Whose; None: whosever they are.
            than: What this returned before; None for those of from now on.
            watched: The others.
            limit: How many new ones at most.

        Returns:
            What to ask with the next time, and the deliveries.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            if tenant_id is not None:
                find_tenant(uow, tenant_id)
            since = than or ids.lowest(uow.now())
            early = ids.lowest(ids.moment(since) - _LATE)
            late = uow.deliveries.newer(tenant_id, early, limit)
            new = uow.deliveries.newer(tenant_id, since, limit)
            known = uow.deliveries.by_ids(watched) if watched else ()
        found = {each.id: each for each in (*known, *late, *new)}
        return (new[-1].id if new else since), [found[each] for each in sorted(found)]

    def get(
        self, tenant_id: str, delivery_id: UUID, *, opened: bool = True
    ) -> DeliveryWithAttempts:
        """Return a delivery with its attempts.

        Args:
            tenant_id: Whose.
            delivery_id: Which.
            opened: Whether with headers and bodies; a look at them is recorded in
                the audit log.

        Raises:
            NotFound: If the tenant has no such delivery.
        """
        if not opened:
            return self._outline(tenant_id, delivery_id)
        with self._uow() as uow:
            delivery = _find(uow, tenant_id, delivery_id)
            bodies = self._bodies(uow, delivery.event_id)
            endpoint = uow.endpoints.find(tenant_id, delivery.endpoint_id)
            attempts = [
                self._opened(each, bodies)
                for each in uow.deliveries.attempts(delivery_id)
            ]
            _record(uow, "delivery.viewed", tenant_id, delivery_id)
            uow.commit()
        if attempts:
            return DeliveryWithAttempts(delivery, attempts, attempts[-1].body)
        format = Format.STANDARD if endpoint is None else endpoint.format
        return DeliveryWithAttempts(delivery, attempts, bodies.get(format))

    def _outline(self, tenant_id: str, delivery_id: UUID) -> DeliveryWithAttempts:
        with self._uow() as uow:
            delivery = _find(uow, tenant_id, delivery_id)
            rows = uow.deliveries.attempts(delivery_id)
        closed = [Opened(each, None, None) for each in rows]
        return DeliveryWithAttempts(delivery, closed, None)

    def retry(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """Make a delivery due now: a pending one as it is, any other anew.

        A pending one keeps its place in its schedule.  One that had ended begins
        its schedule again; its attempts stay.

        Raises:
            NotFound: If the tenant has no such delivery.
            Conflict: If its endpoint is disabled or deleted, or in a region that the
                tenant no longer allows.
        """
        with self._uow() as uow:
            delivery = _find(uow, tenant_id, delivery_id)
            endpoint = uow.endpoints.find(tenant_id, delivery.endpoint_id)
            if endpoint is None:
                raise Conflict("the delivery's endpoint was deleted.")
            if endpoint.state == EndpointState.DISABLED:
                raise Conflict("the delivery's endpoint is disabled; resume it first.")
            # The mailbox before the delivery, as everywhere; then the state holds.
            box = uow.mailboxes.lock([endpoint.id])[0]
            if box.state in (MailboxState.DISABLED, MailboxState.DELETED):
                raise Conflict("the delivery's endpoint was disabled a moment ago.")
            if endpoint.region not in find_tenant(uow, tenant_id).allowed_regions:
                raise Conflict(
                    f"the tenant no longer allows {endpoint.region!r}, the region of"
                    " the delivery's endpoint."
                )
            delivery = uow.deliveries.reopen(tenant_id, delivery_id)
            due = Due(endpoint.id, endpoint.region)
            uow.after_commit(lambda: self._ring([due]))
            _record(uow, "delivery.retried", tenant_id, delivery_id)
            uow.commit()
        log.info(
            "delivery_retried_by_hand",
            tenant_id=tenant_id,
            delivery_id=ids.show(Kind.DELIVERY, delivery_id),
        )
        return delivery

    def cancel(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """Cancel a pending delivery: it is not tried again.

        A request that is out meanwhile stays as an attempt and changes nothing.
        What waits behind it at an endpoint in order goes on.

        Raises:
            NotFound: If the tenant has no such delivery.
            Conflict: If it has ended already.
        """
        with self._uow() as uow:
            found = _find(uow, tenant_id, delivery_id)
            # The mailbox before the delivery, as everywhere.  Whoever has claimed it
            # and not sent it gives it back.
            uow.mailboxes.supersede(found.endpoint_id)
            delivery = uow.deliveries.cancel(tenant_id, delivery_id)
            if delivery is None:
                raise Conflict(f"the delivery is {found.status} already.")
            endpoint = uow.endpoints.find(tenant_id, delivery.endpoint_id)
            if endpoint is not None:
                due = Due(endpoint.id, endpoint.region)
                uow.after_commit(lambda: self._ring([due]))
            _record(uow, "delivery.cancelled", tenant_id, delivery_id)
            uow.commit()
        log.info(
            "delivery_cancelled",
            tenant_id=tenant_id,
            delivery_id=ids.show(Kind.DELIVERY, delivery_id),
        )
        return delivery

    def _opened(self, attempt: Attempt, bodies: Mapping[str, bytes]) -> Opened:
        detail = self._open(attempt)
        if detail is None:
            return Opened(attempt, None, None)
        # The endpoint may have another format by now.
        return Opened(attempt, detail, bodies.get(format_sent(detail.request_headers)))

    def _open(self, attempt: Attempt) -> Detail | None:
        try:
            plain = self._sealing.unseal(
                attempt.tenant_id,
                day_scope(attempt.delivery_id),
                ATTEMPT_TABLE,
                attempt.id,
                bytes(attempt.sealed),
            )
        except CannotOpen:
            return None
        return decode_detail(plain)

    def _bodies(self, uow: UnitOfWork, event_id: UUID) -> dict[str, bytes]:
        wanted = [(event_id, format) for format in Format]
        messages = zip(Format, self._targets.messages(uow, wanted), strict=True)
        return {format: each.body for format, each in messages if each is not None}


def _record(uow: UnitOfWork, action: str, tenant_id: str, delivery_id: UUID) -> None:
    uow.audit.record(action, Kind.DELIVERY, delivery_id, tenant_id=tenant_id)


def _find(uow: UnitOfWork, tenant_id: str, delivery_id: UUID) -> Delivery:
    delivery = uow.deliveries.find(tenant_id, delivery_id)
    if delivery is None:
        shown = ids.show(Kind.DELIVERY, delivery_id)
        raise NotFound(f"there is no delivery {shown}.")
    return delivery
