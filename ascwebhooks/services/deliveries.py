"""Deliveries: finding them, reading their attempts, retrying and cancelling one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
        limit: int = 50,
        **wanted: Unpack[DeliveryFilters],
    ) -> Sequence[Delivery]:
        """Return a tenant's deliveries, the newest first (``storage.deliveries``).

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return uow.deliveries.page(tenant_id, after=after, limit=limit, **wanted)

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
        messages = self._targets.messages(uow, wanted)
        return {format: each.body for (_, format), each in messages.items()}


def _record(uow: UnitOfWork, action: str, tenant_id: str, delivery_id: UUID) -> None:
    uow.audit.record(action, Kind.DELIVERY, delivery_id, tenant_id=tenant_id)


def _find(uow: UnitOfWork, tenant_id: str, delivery_id: UUID) -> Delivery:
    delivery = uow.deliveries.find(tenant_id, delivery_id)
    if delivery is None:
        shown = ids.show(Kind.DELIVERY, delivery_id)
        raise NotFound(f"there is no delivery {shown}.")
    return delivery
