"""Statements about roll-ups: tallies of attempts by minute and hour.

The minute of an endpoint is written in the transaction that records its attempts, or
dead-letters its deliveries without one, so that none is lost.  It comes last there,
and in the order of the endpoints: whoever waits for one is not waited for.  The
minutes of a tenant and of the platform, and all hours, are sums of those and made
later; making them again does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from ascwebhooks.domain.statistics import BUCKETS, Grain, Tally
from ascwebhooks.storage.arrays import columns, uuids
from ascwebhooks.storage.results import affected

#: Stands for all endpoints of a tenant.
ALL_ENDPOINTS = UUID(int=0)
#: Stands for all tenants; no tenant has it.
PLATFORM = ""

_COUNTED = (
    "delivered",
    "failed",
    "dead_lettered",
    "ended",
    *(f"ms_{n}" for n in range(BUCKETS)),
)
_NAMES = ", ".join(_COUNTED)


def _of_counts(statement: str) -> TextClause:
    """Return a statement in which ``{…}`` stand for all that is counted."""
    return text(
        statement.replace("{counts}", _NAMES)
        .replace("{sums}", ", ".join(f"sum(r.{each})" for each in _COUNTED))
        .replace("{added}", _set("{0} = r.{0} + excluded.{0}"))
        .replace("{replaced}", _set("{0} = excluded.{0}"))
        .replace(
            "{arrays}",
            ", ".join(f"CAST(:c{n + 2} AS int[])" for n in range(len(_COUNTED))),
        )
    )


def _set(pattern: str) -> str:
    return ", ".join(pattern.format(each) for each in _COUNTED)


_ADD = _of_counts(
    "INSERT INTO rollup AS r (tenant_id, endpoint_id, grain_s, at, {counts})"
    " SELECT w.tenant_id, w.endpoint_id, 60, :at, {counts}"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]), {arrays})"
    " AS w(tenant_id, endpoint_id, {counts})"
    " ON CONFLICT (endpoint_id, grain_s, at, tenant_id) DO UPDATE SET {added}"
)
# The minutes of tenants and of the platform, from those of their endpoints.
_SUM_MINUTES = _of_counts(
    "INSERT INTO rollup (tenant_id, endpoint_id, grain_s, at, {counts})"
    " SELECT coalesce(r.tenant_id, :platform), :all, 60, r.at, {sums} FROM rollup r"
    " WHERE r.grain_s = 60 AND r.at >= :since AND r.endpoint_id <> :all"
    " GROUP BY GROUPING SETS ((r.at, r.tenant_id), (r.at))"
    " ON CONFLICT (endpoint_id, grain_s, at, tenant_id) DO UPDATE SET {replaced}"
)
# The hours of all of these, from their minutes.
_SUM_HOURS = _of_counts(
    "INSERT INTO rollup (tenant_id, endpoint_id, grain_s, at, {counts})"
    " SELECT r.tenant_id, r.endpoint_id, 3600, date_trunc('hour', r.at, 'UTC'), {sums}"
    " FROM rollup r WHERE r.grain_s = 60 AND r.at >= :since"
    " GROUP BY 1, 2, 4"
    " ON CONFLICT (endpoint_id, grain_s, at, tenant_id) DO UPDATE SET {replaced}"
)
_READ = _of_counts(
    "SELECT endpoint_id, at, {counts} FROM rollup"
    " WHERE endpoint_id = ANY(CAST(:endpoints AS uuid[])) AND tenant_id = :tenant"
    " AND grain_s = :grain AND at >= :since AND at < :until"
)
_MOST_DEAD = text(
    "SELECT tenant_id, sum(dead_lettered + ended) FROM rollup WHERE endpoint_id = :all"
    " AND (grain_s = 3600 AND at >= :since AND at < :settled"
    " OR grain_s = 60 AND at >= greatest(:since, :settled))"
    " AND tenant_id <> :platform GROUP BY tenant_id"
    " HAVING sum(dead_lettered + ended) > 0 ORDER BY 2 DESC, 1 LIMIT :limit"
)
_FORGET = text("DELETE FROM rollup WHERE grain_s = :grain AND at < :before")


class RollupRepository:
    """Tallies of attempts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, at: datetime, tallies: Mapping[tuple[str, UUID], Tally]) -> None:
        """Add to the tallies of a minute.

        Args:
            at: When the minute began.
            tallies: By tenant and endpoint.
        """
        rows = [
            (tenant_id, endpoint_id, *tally[:3], tally.ended, *tally.durations)
            for (tenant_id, endpoint_id), tally in sorted(
                tallies.items(), key=lambda each: each[0][1]
            )
        ]
        if rows:
            self._session.execute(_ADD, {**columns(rows), "at": at})

    def sum_minutes(self, since: datetime) -> None:
        """Make the minutes of tenants and of the platform from ``since`` on."""
        given = {"since": since, "all": ALL_ENDPOINTS, "platform": PLATFORM}
        self._session.execute(_SUM_MINUTES, given)

    def sum_hours(self, since: datetime) -> None:
        """Make the hours from ``since`` on, the beginning of an hour."""
        self._session.execute(_SUM_HOURS, {"since": since})

    def read(
        self,
        tenant_id: str,
        endpoint_ids: Sequence[UUID],
        grain: Grain,
        since: datetime,
        until: datetime,
    ) -> list[tuple[UUID, datetime, Tally]]:
        """Return tallies of endpoints, each with when its time began.

        Args:
            tenant_id: Whose; ``PLATFORM`` for all together.
            endpoint_ids: Which; ``ALL_ENDPOINTS`` for all of the tenant's together.
            grain: Minutes or hours.
            since: Those that began then or later.
            until: Those that began before.
        """
        rows = self._session.execute(
            _READ,
            {
                "tenant": tenant_id,
                "endpoints": uuids(endpoint_ids),
                "grain": grain.value,
                "since": since,
                "until": until,
            },
        )
        return [(row[0], row[1], _tally(row)) for row in rows]

    def most_dead(
        self, since: datetime, settled: datetime, limit: int
    ) -> list[tuple[str, int]]:
        """Return the tenants of which most deliveries became dead letters.

        Args:
            since: From when on.
            settled: Until when hours are read: those that are summed up for good.
            limit: How many tenants.
        """
        given = {
            "all": ALL_ENDPOINTS,
            "platform": PLATFORM,
            "since": since,
            "settled": settled,
            "limit": limit,
        }
        rows = self._session.execute(_MOST_DEAD, given)
        return [(row[0], int(row[1])) for row in rows]

    def forget(self, grain: Grain, before: datetime, past: timedelta) -> int:
        """Delete what is older than ``past`` before ``before``; return how many."""
        given = {"grain": grain.value, "before": before - past}
        return affected(self._session.execute(_FORGET, given))


def _tally(row: Row[Any]) -> Tally:
    counted = tuple(row)[2:]
    return Tally(counted[0], counted[1], counted[2], counted[4:], counted[3])
