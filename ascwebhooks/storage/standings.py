"""Statements that say how things stand now, of all tenants or of one, for pages.

Counts end at a bound: beyond it nobody reads the digits, and a million rows would be
walked over to find them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from ascwebhooks.domain.gauge_samples import Due, Ill
from ascwebhooks.domain.health import SLOW_AFTER_FAILURES
from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.limits import Bounded, TookTooLong

_TAKES_NOW = (
    "(m.state = 'active' AND m.breaker_openings = 0"
    " AND (m.held_until IS NULL OR m.held_until <= now()))"
)


def of_takers(statement: str) -> TextClause:
    """Return a statement with TAKES_NOW in it: whether mailbox m can be served.

    What waits for a breaker, or because the receiver asked for it, is not late for want
    of workers.
    """
    return text(statement.replace("TAKES_NOW", _TAKES_NOW))


# Partial indexes alone, each read up to the bound.
_STANDING = of_takers(
    "SELECT (SELECT count(*) FROM (SELECT FROM mailbox m CROSS JOIN LATERAL"
    " (SELECT FROM delivery d WHERE d.endpoint_id = m.endpoint_id"
    " AND d.status = 'pending' AND d.next_attempt_at <= now()"
    " AND d.id >= :low AND d.id < :high LIMIT :bound) d"
    " WHERE m.tenant_id = :tenant LIMIT :bound) due),"
    " (SELECT CAST(extract(epoch FROM now() - min(o.at)) AS float) FROM mailbox m"
    " CROSS JOIN LATERAL (SELECT d.next_attempt_at AS at FROM delivery d"
    " WHERE d.endpoint_id = m.endpoint_id AND d.status = 'pending'"
    " AND d.next_attempt_at <= now() AND d.id >= :low AND d.id < :high"
    " ORDER BY d.next_attempt_at LIMIT 1) o"
    " WHERE m.tenant_id = :tenant AND TAKES_NOW),"
    " (SELECT count(*) FROM (SELECT FROM delivery d WHERE d.tenant_id = :tenant"
    " AND d.status = 'dead_lettered' AND d.id >= :low AND d.id < :high"
    " LIMIT :bound) dead)"
)
_OF_TROUBLED = (
    " FROM mailbox m JOIN endpoint e ON e.tenant_id = m.tenant_id"
    " AND e.id = m.endpoint_id"
    " WHERE (CAST(:tenant AS text) IS NULL OR m.tenant_id = :tenant)"
    " AND e.deleted_at IS NULL AND (m.state = 'disabled' OR m.breaker_openings > 0"
    f" OR m.consecutive_failures >= {SLOW_AFTER_FAILURES} OR m.held_until > now())"
)
_TROUBLED = text(
    "SELECT m.tenant_id, m.endpoint_id, e.url, m.state, e.disabled_reason,"
    " m.breaker_openings > 0, m.breaker_until, m.held_until, m.failing_since,"
    " m.consecutive_failures, m.last_success_at"
    + _OF_TROUBLED
    + " ORDER BY m.state = 'disabled', m.breaker_openings > 0 DESC,"
    " m.failing_since NULLS LAST, m.endpoint_id LIMIT :limit"
)
_COUNT_TROUBLED = text(
    "SELECT count(*) FILTER (WHERE m.state <> 'disabled' AND m.breaker_openings > 0),"
    " count(*) FILTER (WHERE m.state <> 'disabled' AND m.breaker_openings = 0),"
    " count(*) FILTER (WHERE m.state = 'disabled')" + _OF_TROUBLED
)
# A probe of an index for each of them.
_WAITED_FOR = text(
    "SELECT w.id FROM unnest(CAST(:ids AS uuid[])) AS w(id) WHERE EXISTS"
    " (SELECT FROM delivery d WHERE d.endpoint_id = w.id AND d.status = 'pending'"
    " AND d.id >= :low AND d.id < :high)"
)
_ENDPOINTS = text(
    "SELECT count(*) FROM (SELECT FROM endpoint"
    " WHERE (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)"
    " AND deleted_at IS NULL LIMIT :bound) found"
)
# Of all tenants at once.  Going from endpoint to endpoint would look into each day's
# partition for every one of them; what is due is read in one go instead.
_DUE_BY_TENANT = of_takers(
    "SELECT m.tenant_id, CAST(sum(o.due) AS bigint), CAST(coalesce(extract(epoch FROM"
    " now() - min(o.at) FILTER (WHERE TAKES_NOW)), 0) AS float)"
    " FROM (SELECT d.endpoint_id, count(*) AS due, min(d.next_attempt_at) AS at"
    " FROM delivery d WHERE d.status = 'pending' AND d.next_attempt_at <= now()"
    " AND d.id >= :low AND d.id < :high GROUP BY d.endpoint_id) o"
    " JOIN mailbox m ON m.endpoint_id = o.endpoint_id GROUP BY m.tenant_id"
)
_DEAD_BY_TENANT = text(
    "SELECT d.tenant_id, count(*) FROM delivery d WHERE d.status = 'dead_lettered'"
    " AND d.id >= :low AND d.id < :high GROUP BY d.tenant_id"
)
_ILL_BY_TENANT = text(
    "SELECT m.tenant_id, count(*) FILTER (WHERE m.state <> 'disabled'),"
    " count(*) FILTER (WHERE m.state = 'disabled')"
    + _OF_TROUBLED
    + " GROUP BY m.tenant_id"
)


class Standing(NamedTuple):
    """How a tenant stands; counts end at the bound that was asked for.

    ``oldest_due_s``: for how long the first delivery has been due at an active
    endpoint; None if none is.
    """

    due: int
    oldest_due_s: float | None
    dead: int


class Troubled(NamedTuple):
    """An endpoint that is not well, or disabled."""

    tenant_id: str
    endpoint_id: UUID
    url: str
    state: str
    disabled_reason: str | None
    is_barred: bool
    breaker_until: datetime | None
    held_until: datetime | None
    failing_since: datetime | None
    failures: int
    last_success_at: datetime | None


class TroubledCounts(NamedTuple):
    """How many endpoints are not well: breaker open, failing without, disabled."""

    barred: int
    failing: int
    disabled: int


class StandingRepository:
    """How things stand now."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def limit(self, timeout_ms: int) -> None:
        """Give up any statement of this transaction that takes longer."""
        self._session.execute(text(f"SET LOCAL statement_timeout = {int(timeout_ms)}"))

    def of(self, tenant_id: str, window: Window, bound: int) -> Standing:
        """Return how a tenant stands, counting up to ``bound``."""
        given = {**window._asdict(), "tenant": tenant_id, "bound": bound}
        return Standing(*self._session.execute(_STANDING, given).one())

    def troubled(self, tenant_id: str | None, limit: int) -> list[Troubled]:
        """Return endpoints that are not well, the worst first.

        Args:
            tenant_id: Whose; None for all tenants.
            limit: How many.
        """
        given = {"tenant": tenant_id, "limit": limit}
        return [Troubled(*row) for row in self._session.execute(_TROUBLED, given)]

    def count_troubled(self, tenant_id: str | None) -> TroubledCounts:
        """Return how many endpoints are not well."""
        rows = self._session.execute(_COUNT_TROUBLED, {"tenant": tenant_id})
        return TroubledCounts(*rows.one())

    def waited_for(
        self, endpoint_ids: Collection[UUID], window: Window
    ) -> frozenset[UUID]:
        """Return those of these endpoints for which a delivery is pending."""
        given = {**window._asdict(), "ids": list(endpoint_ids)}
        return frozenset(self._session.scalars(_WAITED_FOR, given))

    def endpoints(self, tenant_id: str | None, bound: int) -> int:
        """Return how many endpoints there are, up to ``bound``."""
        given = {"tenant": tenant_id, "bound": bound}
        found: int = self._session.execute(_ENDPOINTS, given).scalar_one()
        return found

    def due_by_tenant(self, window: Window, within: timedelta) -> dict[str, Due] | None:
        """Return what is due of whom; None if it takes longer than ``within``."""
        rows = self._bounded(_DUE_BY_TENANT, window._asdict(), within)
        return None if rows is None else {row[0]: Due(row[1], row[2]) for row in rows}

    def dead_by_tenant(
        self, window: Window, within: timedelta
    ) -> dict[str, int] | None:
        """Return how many dead letters there are of whom; None if it takes longer."""
        rows = self._bounded(_DEAD_BY_TENANT, window._asdict(), within)
        return None if rows is None else {row[0]: row[1] for row in rows}

    def ill_by_tenant(self, within: timedelta) -> dict[str, Ill] | None:
        """Return whose endpoints are not well; None if it takes longer."""
        rows = self._bounded(_ILL_BY_TENANT, {"tenant": None}, within)
        return None if rows is None else {row[0]: Ill(row[1], row[2]) for row in rows}

    def _bounded(
        self, query: TextClause, given: Mapping[str, object], within: timedelta
    ) -> Sequence[tuple[Any, ...]] | None:
        try:
            with Bounded(self._session, within):
                return [tuple(row) for row in self._session.execute(query, given)]
        except TookTooLong:
            return None
