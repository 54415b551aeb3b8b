"""Rejected events: what was not accepted, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound
from ascwebhooks.services.batches import REJECTED_TABLE
from ascwebhooks.services.sealing import PLATFORM, Sealing, day_scope
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import RejectedEvent
from ascwebhooks.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class RejectedWithRaw:
    """A rejected event and the bytes that came, unless their key was destroyed."""

    rejected: RejectedEvent
    raw: bytes | None


class RejectedEvents:
    """Use cases of rejected events; without a tenant they are the platform's."""

    def __init__(self, uow: Callable[[], UnitOfWork], sealing: Sealing) -> None:
        """Take the parts."""
        self._uow = uow
        self._sealing = sealing

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

    def get(self, tenant_id: str | None, rejected_id: UUID) -> RejectedWithRaw:
        """Return a rejected event with the bytes that came.

        Raises:
            NotFound: If there is none, or it is not this tenant's.
        """
        with self._uow() as uow:
            row = _find(uow, tenant_id, rejected_id)
            return RejectedWithRaw(row, self._open(row))

    def delete(self, tenant_id: str | None, rejected_id: UUID) -> None:
        """Delete a rejected event.

        Raises:
            NotFound: If there is none, or it is not this tenant's.
        """
        with self._uow() as uow:
            uow.rejected_events.remove(_find(uow, tenant_id, rejected_id))
            uow.commit()

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


def _find(uow: UnitOfWork, tenant_id: str | None, rejected_id: UUID) -> RejectedEvent:
    row = uow.rejected_events.find(rejected_id, tenant_id)
    if row is None:
        shown = ids.show(Kind.REJECTED_EVENT, rejected_id)
        raise NotFound(f"there is no rejected event {shown}.")
    return row
