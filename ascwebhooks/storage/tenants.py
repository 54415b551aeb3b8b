"""Statements about tenants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ascwebhooks.storage.models import Tenant

# A row's lock goes to whoever shares it before whoever waits for it alone, and would
# keep a change waiting for as long as batches overlap.  These locks are given in turn.
_QUEUE = text(
    "SELECT pg_advisory_xact_lock_shared(key) FROM"
    " (SELECT hashtextextended('tenant ' || id, 0) AS key"
    " FROM unnest(CAST(:ids AS text[])) AS given(id) ORDER BY 1) keys"
)
_QUEUE_ALONE = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('tenant ' || :id, 0))"
)
_VERSIONS = text(
    "SELECT id, subscriptions_version, strict FROM tenant"
    " WHERE id = ANY(:ids) AND deleted_at IS NULL ORDER BY id FOR SHARE"
)


class TenantRepository:
    """Tenants; a deleted one is found by nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, tenant: Tenant) -> bool:
        """Add a tenant; return False if its id is or was taken."""
        self._session.add(tenant)
        try:
            self._session.flush()
        except IntegrityError:
            return False
        return True

    def find(self, tenant_id: str) -> Tenant | None:
        """Return the tenant, or None."""
        return self._session.scalars(
            select(Tenant).where(Tenant.id == tenant_id, Tenant.deleted_at.is_(None))
        ).one_or_none()

    def page(
        self,
        *,
        after: str | None,
        limit: int,
        only: Sequence[str] | None = None,
        search: str | None = None,
    ) -> Sequence[Tenant]:
        """Return tenants in order of id, those after ``after``.

        Args:
            after: The last id of the page before, or None for the first.
            limit: How many.
            only: Those of these ids.
            search: Those with this in their id or name, in whatever case.
        """
        query = select(Tenant).where(Tenant.deleted_at.is_(None))
        if after is not None:
            query = query.where(Tenant.id > after)
        if only is not None:
            query = query.where(Tenant.id.in_(only))
        if search is not None:
            query = query.where(
                Tenant.id.icontains(search, autoescape=True)
                | Tenant.name.icontains(search, autoescape=True)
            )
        return self._session.scalars(query.order_by(Tenant.id).limit(limit)).all()

    def versions(
        self, tenant_ids: Sequence[str], *, in_turn: bool = True
    ) -> Sequence[Row[Any]]:
        """Return ``(id, subscriptions_version, strict)`` and hold it until the commit.

        The shared lock makes a change to subscriptions wait for the batches that
        were accepted under the old ones: after the change, none is.

        Args:
            tenant_ids: Which.
            in_turn: Whether to wait behind a change that waits already.  Not if the
                change may be waiting for the caller's other transaction.
        """
        given = {"ids": list(tenant_ids)}
        if in_turn:
            self._session.execute(_QUEUE, given)
        return self._session.execute(_VERSIONS, given).all()

    def known(self, tenant_ids: Sequence[str]) -> set[str]:
        """Return which of these ids are tenants'."""
        query = select(Tenant.id).where(
            Tenant.id.in_(tenant_ids), Tenant.deleted_at.is_(None)
        )
        return set(self._session.scalars(query))

    def change_subscriptions(self, tenant_id: str) -> None:
        """Count a change to the tenant's endpoints or subscriptions.

        It comes first in every transaction that makes one: it is the lock that
        such transactions and accepting take in the same order.
        """
        self._session.execute(_QUEUE_ALONE, {"id": tenant_id})
        self._session.execute(
            update(Tenant)
            .where(Tenant.id == tenant_id)
            .values(
                subscriptions_version=Tenant.subscriptions_version + 1,
                # The tenant itself is as it was: its ETag must not change.
                updated_at=Tenant.updated_at,
            )
        )

    def delete(self, tenant: Tenant, at: datetime) -> None:
        """Mark a tenant as deleted."""
        tenant.deleted_at = at

    def count(self) -> int:
        """Return how many there are."""
        return self._session.execute(
            select(func.count()).select_from(Tenant).where(Tenant.deleted_at.is_(None))
        ).scalar_one()
