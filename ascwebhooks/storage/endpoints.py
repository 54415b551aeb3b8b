"""Statements about endpoints, their secrets and their subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, true
from sqlalchemy.orm import Session

from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.health import Condition
from ascwebhooks.storage.models import (
    Base,
    Endpoint,
    EndpointSecret,
    Mailbox,
    Subscription,
)

# Endpoints without a subscription too: a test event is sent to any.
_ROUTES = text(
    "SELECT e.tenant_id, e.id, s.id AS subscription_id, s.event_types, s.filter,"
    " e.region, e.state, e.ordering, t.allowed_regions"
    " FROM endpoint e JOIN tenant t ON t.id = e.tenant_id LEFT JOIN subscription s"
    " ON s.tenant_id = e.tenant_id AND s.endpoint_id = e.id AND s.enabled"
    " WHERE e.tenant_id = ANY(:tenants) AND e.deleted_at IS NULL"
)
_TARGETS = text(
    "SELECT e.*, array_agg(s.id ORDER BY s.created_at DESC, s.id DESC) AS secret_ids,"
    " array_agg(s.scheme ORDER BY s.created_at DESC, s.id DESC) AS schemes,"
    " array_agg(s.sealed ORDER BY s.created_at DESC, s.id DESC) AS secrets"
    " FROM endpoint e JOIN endpoint_secret s"
    " ON s.tenant_id = e.tenant_id AND s.endpoint_id = e.id"
    " AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())"
    " WHERE e.id = ANY(:ids) GROUP BY e.tenant_id, e.id"
)

_STATES = {
    Condition.PAUSED: EndpointState.PAUSED,
    Condition.DISABLED: EndpointState.DISABLED,
    Condition.HEALTHY: EndpointState.ACTIVE,
    Condition.FAILING: EndpointState.ACTIVE,
    Condition.BARRED: EndpointState.ACTIVE,
}
_CONDITIONS = {
    Condition.HEALTHY: [
        Mailbox.consecutive_failures == 0,
        func.coalesce(
            func.greatest(Mailbox.breaker_until, Mailbox.held_until) <= func.now(),
            true(),
        ),
    ],
    Condition.FAILING: [Mailbox.consecutive_failures > 0],
    Condition.BARRED: [
        func.greatest(Mailbox.breaker_until, Mailbox.held_until) > func.now()
    ],
}


# Locked before anything is done about it; the caller has locked the tenant.
_ASTRAY = text(
    "SELECT m.endpoint_id, m.region, e.state FROM mailbox m JOIN endpoint e"
    " ON e.tenant_id = m.tenant_id AND e.id = m.endpoint_id"
    " WHERE m.tenant_id = :tenant AND m.state IN ('active', 'paused', 'abroad')"
    " AND (m.state = 'abroad') = (m.region = ANY(:regions))"
    " ORDER BY m.endpoint_id FOR UPDATE OF m"
)
_FAILING = text(
    "SELECT tenant_id, endpoint_id FROM mailbox WHERE state = 'active'"
    " AND consecutive_failures >= :failures"
    " AND failing_since <= clock_timestamp() - :long"
    " AND last_failure_at > clock_timestamp() - :lately ORDER BY endpoint_id"
)


class Added(NamedTuple):
    """A new endpoint with all that belongs to it."""

    endpoint: Endpoint
    mailbox: Mailbox
    secret: EndpointSecret
    subscription: Subscription | None

    def parts(self) -> list[Base]:
        """Return what belongs to it, to be added after it."""
        return [each for each in self[1:] if each is not None]


class Astray(NamedTuple):
    """An endpoint whose mailbox is ``abroad`` without need, or ought to be."""

    endpoint_id: UUID
    region: str
    own_state: EndpointState


class EndpointRepository:
    """Endpoints of a tenant; a deleted one is found by nobody but deliveries."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_all(self, added: Sequence[Added]) -> None:
        """Add endpoints with all that belongs to each."""
        self._session.add_all([each.endpoint for each in added])
        self._session.flush()
        self._session.add_all([part for each in added for part in each.parts()])
        self._session.flush()

    def of_urls(self, tenant_id: str, urls: Sequence[str]) -> dict[str, UUID]:
        """Return at which of these URLs the tenant has an endpoint; the newest each."""
        found = self._session.execute(
            select(Endpoint.url, Endpoint.id)
            .where(
                Endpoint.tenant_id == tenant_id,
                Endpoint.url.in_(urls),
                Endpoint.deleted_at.is_(None),
            )
            .order_by(Endpoint.id)
        )
        return {row.url: row.id for row in found}

    def find(self, tenant_id: str, endpoint_id: UUID) -> Endpoint | None:
        """Return the endpoint, or None."""
        return self._session.scalars(
            select(Endpoint).where(
                Endpoint.tenant_id == tenant_id,
                Endpoint.id == endpoint_id,
                Endpoint.deleted_at.is_(None),
            )
        ).one_or_none()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        search: str | None = None,
        condition: Condition | None = None,
    ) -> Sequence[Endpoint]:
        """Return a tenant's endpoints, the newest first, those before ``after``.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            search: Those with this in their URL or description, in whatever case.
            condition: Those that are so now.
        """
        query = select(Endpoint).where(
            Endpoint.tenant_id == tenant_id, Endpoint.deleted_at.is_(None)
        )
        if search is not None:
            query = query.where(
                Endpoint.url.icontains(search, autoescape=True)
                | Endpoint.description.icontains(search, autoescape=True)
            )
        if condition is not None:
            query = query.join(Mailbox, Mailbox.endpoint_id == Endpoint.id).where(
                Endpoint.state == _STATES[condition], *_CONDITIONS.get(condition, ())
            )
        if after is not None:
            query = query.where(Endpoint.id < after)
        return self._session.scalars(
            query.order_by(Endpoint.id.desc()).limit(limit)
        ).all()

    def named(self, tenant_id: str, endpoint_ids: Sequence[UUID]) -> Sequence[Endpoint]:
        """Return those of these endpoints that are the tenant's, deleted ones too."""
        return self._session.scalars(
            select(Endpoint)
            .where(Endpoint.tenant_id == tenant_id, Endpoint.id.in_(endpoint_ids))
            .order_by(Endpoint.id.desc())
        ).all()

    def all_ids(self, tenant_id: str) -> Sequence[UUID]:
        """Return the ids of all of a tenant's endpoints."""
        return self._session.scalars(
            select(Endpoint.id).where(
                Endpoint.tenant_id == tenant_id, Endpoint.deleted_at.is_(None)
            )
        ).all()

    def subscriptions(
        self, tenant_id: str, endpoint_ids: Sequence[UUID]
    ) -> Sequence[Subscription]:
        """Return the subscriptions of these endpoints, the oldest first."""
        return self._session.scalars(
            select(Subscription)
            .where(
                Subscription.tenant_id == tenant_id,
                Subscription.endpoint_id.in_(endpoint_ids),
            )
            .order_by(Subscription.id)
        ).all()

    def drop_subscriptions(self, tenant_id: str, endpoint_id: UUID) -> None:
        """Delete an endpoint's subscriptions."""
        self._session.execute(
            delete(Subscription).where(
                Subscription.tenant_id == tenant_id,
                Subscription.endpoint_id == endpoint_id,
            )
        )

    def secrets(
        self, tenant_id: str, endpoint_ids: Sequence[UUID], now: datetime
    ) -> Sequence[EndpointSecret]:
        """Return the secrets in force of these endpoints, the newest first."""
        return self._session.scalars(
            select(EndpointSecret)
            .where(
                EndpointSecret.tenant_id == tenant_id,
                EndpointSecret.endpoint_id.in_(endpoint_ids),
                (EndpointSecret.expires_at.is_(None))
                | (EndpointSecret.expires_at > now),
            )
            .order_by(EndpointSecret.created_at.desc(), EndpointSecret.id.desc())
        ).all()

    def secrets_since(
        self, tenant_id: str, endpoint_id: UUID, moment: datetime
    ) -> Sequence[EndpointSecret]:
        """Return an endpoint's secrets that were in force then or are, newest first."""
        return self._session.scalars(
            select(EndpointSecret)
            .where(
                EndpointSecret.tenant_id == tenant_id,
                EndpointSecret.endpoint_id == endpoint_id,
                (EndpointSecret.expires_at.is_(None))
                | (EndpointSecret.expires_at > moment),
            )
            .order_by(EndpointSecret.created_at.desc(), EndpointSecret.id.desc())
        ).all()

    def add_secret(self, secret: EndpointSecret) -> None:
        """Add a signing secret."""
        self._session.add(secret)

    def routes(self, tenant_ids: Sequence[str]) -> Sequence[Row[Any]]:
        """Return what matching needs of these tenants: one row a subscription."""
        return self._session.execute(_ROUTES, {"tenants": list(tenant_ids)}).all()

    def targets(self, endpoint_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
        """Return endpoints, deleted ones too, with their secrets in force."""
        return self._session.execute(_TARGETS, {"ids": list(endpoint_ids)}).all()

    def astray(self, tenant_id: str, regions: Sequence[str]) -> list[Astray]:
        """Return whose mailbox is ``abroad`` without need or ought to be; locked.

        Args:
            tenant_id: Whose.
            regions: The tenant's allowed regions.
        """
        given = {"tenant": tenant_id, "regions": list(regions)}
        rows = self._session.execute(_ASTRAY, given)
        return [Astray(row[0], row[1], EndpointState(row[2])) for row in rows]

    def failing(
        self, failures: int, long: timedelta, lately: timedelta
    ) -> list[tuple[str, UUID]]:
        """Return active endpoints, as (tenant, endpoint), that fail and fail.

        Args:
            failures: So often in a row, at least.
            long: For so long, at least.
            lately: And once in so long, at least.
        """
        given = {"failures": failures, "long": long, "lately": lately}
        return [(row[0], row[1]) for row in self._session.execute(_FAILING, given)]

    def count_active(self) -> int:
        """Return how many endpoints are active."""
        return self._session.execute(
            select(func.count())
            .select_from(Endpoint)
            .where(Endpoint.state == EndpointState.ACTIVE)
        ).scalar_one()
