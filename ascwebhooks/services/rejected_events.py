"""Rejected events: what was not accepted, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput, NotFound
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.batches import REJECTED_TABLE
from ascwebhooks.services.intakes import Accepted, Resubmitted, Verdict
from ascwebhooks.services.sealing import PLATFORM, Sealing, day_scope
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import RejectedEvent
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


@dataclass(frozen=True)
class RejectedWithRaw:
    """A rejected event and the bytes that came, unless their key was destroyed."""

    rejected: RejectedEvent
    raw: bytes | None


class RejectedEvents:
    """Use cases of rejected events; without a tenant they are the platform's."""

    def __init__(
        self, uow: Callable[[], UnitOfWork], sealing: Sealing, acceptance: Acceptance
    ) -> None:
        """Take the parts."""
        self._uow = uow
        self._sealing = sealing
        self._acceptance = acceptance

    def page(
        self, tenant_id: str | None, *, after: UUID | None = None, limit: int = 50
    ) -> Sequence[RejectedEvent]:
        """Return rejected events, the newest first; all of them without a tenant.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            if tenant_id is not None:
                find_tenant(uow, tenant_id)
            return uow.rejected_events.page(tenant_id, after=after, limit=limit)

    def get(
        self, tenant_id: str | None, rejected_id: UUID, *, opened: bool = True
    ) -> RejectedWithRaw:
        """Return a rejected event.

        Args:
            tenant_id: Whose; None: whosever it is.
            rejected_id: Which.
            opened: Whether with the bytes that came; a look at them is recorded in
                the audit log.

        Raises:
            NotFound: If there is none, or it is not this tenant's.
        """
        with self._uow() as uow:
            row = _find(uow, tenant_id, rejected_id)
            if not opened:
                return RejectedWithRaw(row, None)
            _record(uow, "rejected_event.viewed", row)
            uow.commit()
        return RejectedWithRaw(row, self._open(row))

    def delete(self, tenant_id: str | None, rejected_id: UUID) -> None:
        """Delete a rejected event.

        Raises:
            NotFound: If there is none, or it is not this tenant's.
        """
        with self._uow() as uow:
            row = _find(uow, tenant_id, rejected_id)
            _record(uow, "rejected_event.deleted", row)
            uow.rejected_events.remove(row)
            uow.commit()

    def resubmit(
        self, tenant_id: str | None, rejected_id: UUID, edited: bytes | None = None
    ) -> Verdict:
        """Accept a rejected event after all, or say why it is refused again.

        Accepted, also as a duplicate, it is no longer among the rejected, in the
        same transaction.  Refused, it stays; as it came, with the new reason.

        Args:
            tenant_id: Whose; what is accepted is this tenant's, too.  None: the
                platform's view, in which an edited event may be any tenant's.
            rejected_id: Which.
            edited: A CloudEvent in JSON instead of what came.

        Raises:
            NotFound: If there is none, or it is not this tenant's.
            InvalidInput: If what came is not all there and nothing is given instead.
        """
        with self._uow() as uow:
            row = _find(uow, tenant_id, rejected_id)
        # As it came, it comes on the terms it came on: a tenant's key that named
        # another tenant does not get there by an operator's hand.
        owner = tenant_id or (row.tenant_id if edited is None else None)
        (verdict,) = self._acceptance.accept(
            [self._whole(row) if edited is None else edited],
            via="resubmit",
            tenant_id=owner,
            resubmits=Resubmitted(rejected_id, as_it_came=edited is None),
        )
        log.info(
            "rejected_event_resubmitted",
            tenant_id=owner,
            rejected_id=ids.show(Kind.REJECTED_EVENT, rejected_id),
            edited=edited is not None,
            accepted=isinstance(verdict, Accepted),
        )
        return verdict

    def _whole(self, row: RejectedEvent) -> bytes:
        if row.truncated:
            raise InvalidInput(
                f"of its {row.size_bytes} bytes not all were kept; give the event.",
                field="event",
            )
        raw = self._open(row)
        if raw is None:
            raise InvalidInput(
                "what came cannot be opened any more; give the event.", field="event"
            )
        return raw

    def _open(self, row: RejectedEvent) -> bytes | None:
        try:
            return self._sealing.unseal(
                row.tenant_id or PLATFORM,
                day_scope(row.id),
                REJECTED_TABLE,
                row.id,
                bytes(row.sealed),
            )
        except CannotOpen:
            return None


def _record(uow: UnitOfWork, action: str, row: RejectedEvent) -> None:
    uow.audit.record(
        action, Kind.REJECTED_EVENT, row.id, tenant_id=row.tenant_id, code=row.code
    )


def _find(uow: UnitOfWork, tenant_id: str | None, rejected_id: UUID) -> RejectedEvent:
    row = uow.rejected_events.find(rejected_id, tenant_id)
    if row is None:
        shown = ids.show(Kind.REJECTED_EVENT, rejected_id)
        raise NotFound(f"there is no rejected event {shown}.")
    return row
