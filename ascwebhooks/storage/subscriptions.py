"""Statements about subscriptions; those of a deleted endpoint are found by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, select, text
from sqlalchemy.orm import Session

from ascwebhooks.storage.models import Endpoint, Subscription

# Whether a subscription takes ``:event_type``.  A glob as LIKE has it; what means
# something to LIKE is escaped first; that is dear, and most begin with something else.
TAKES = (
    "EXISTS (SELECT FROM unnest(subscription.event_types) AS t(pattern)"
    " WHERE t.pattern = :event_type"
    " OR left(t.pattern, 1) IN ('*', left(:event_type, 1)) AND :event_type LIKE"
    r" replace(regexp_replace(t.pattern, '([\\%_])', '\\\1', 'g'), '*', '%'))"
)


class SubscriptionRepository:
    """Subscriptions of a tenant."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, subscription: Subscription) -> None:
        """Add a subscription."""
        self._session.add(subscription)
        self._session.flush()

    def find(self, tenant_id: str, subscription_id: UUID) -> Subscription | None:
        """Return the subscription, or None."""
        query = _of(tenant_id).where(Subscription.id == subscription_id)
        return self._session.scalars(query).one_or_none()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        endpoint_id: UUID | None = None,
        event_type: str | None = None,
    ) -> Sequence[Subscription]:
        """Return a tenant's subscriptions, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            endpoint_id: Only this endpoint's.
            event_type: Only those that take this type, or name this very glob.
        """
        query = _of(tenant_id)
        if endpoint_id is not None:
            query = query.where(Subscription.endpoint_id == endpoint_id)
        if event_type is not None:
            query = query.where(text(TAKES).bindparams(event_type=event_type))
        if after is not None:
            query = query.where(Subscription.id < after)
        return self._session.scalars(
            query.order_by(Subscription.id.desc()).limit(limit)
        ).all()

    def delete(self, subscription: Subscription) -> None:
        """Delete a subscription."""
        self._session.execute(
            delete(Subscription).where(
                Subscription.tenant_id == subscription.tenant_id,
                Subscription.id == subscription.id,
            )
        )


def _of(tenant_id: str) -> Select[Any]:
    return (
        select(Subscription)
        .join(
            Endpoint,
            (Endpoint.tenant_id == Subscription.tenant_id)
            & (Endpoint.id == Subscription.endpoint_id),
        )
        .where(Subscription.tenant_id == tenant_id, Endpoint.deleted_at.is_(None))
    )
