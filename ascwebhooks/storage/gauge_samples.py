"""Statements about samples of gauges: how it stood, by minute and hour.

An hour is made once, from its minutes, when they are all there.  The platform has a
row for each minute that was sampled, so its last hour says how far hours have come.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from ascwebhooks.domain.gauge_samples import Sample, Taken
from ascwebhooks.domain.statistics import Grain
from ascwebhooks.storage.arrays import numbers
from ascwebhooks.storage.results import affected
from ascwebhooks.storage.rollups import PLATFORM

_NAMES = ", ".join(Sample._fields)
_TYPES = {"oldest_due_s": "float"}


def _of_levels(statement: str) -> TextClause:
    """Return a statement in which ``{…}`` stand for all that is sampled."""
    arrays = (
        f"CAST(:c{n + 1} AS {_TYPES.get(name, 'int')}[])"
        for n, name in enumerate(Sample._fields)
    )
    return text(
        statement.replace("{levels}", _NAMES)
        .replace("{given}", ", ".join(f":{each}" for each in Sample._fields))
        .replace("{highest}", ", ".join(f"max({each})" for each in Sample._fields))
        .replace("{arrays}", ", ".join(arrays))
        .replace(
            "{replaced}",
            ", ".join(f"{each} = excluded.{each}" for each in Sample._fields),
        )
    )


_HAS = text(
    "SELECT EXISTS (SELECT FROM gauge_sample"
    " WHERE tenant_id = :platform AND grain_s = 60 AND at = :at)"
)
_OF_PLATFORM = _of_levels(
    "INSERT INTO gauge_sample (tenant_id, grain_s, at, {levels})"
    " VALUES (:platform, 60, :at, {given}) ON CONFLICT DO NOTHING"
)
_OF_TENANTS = _of_levels(
    "INSERT INTO gauge_sample (tenant_id, grain_s, at, {levels})"
    " SELECT w.tenant_id, 60, :at, {levels}"
    " FROM unnest(CAST(:c0 AS text[]), {arrays}) AS w(tenant_id, {levels})"
)
_LAST_HOUR = text(
    "SELECT max(at) FROM gauge_sample WHERE tenant_id = :platform AND grain_s = 3600"
)
_HOURS_TO_MAKE = text(
    "SELECT DISTINCT date_trunc('hour', at, 'UTC') FROM gauge_sample"
    " WHERE tenant_id = :platform AND grain_s = 60"
    " AND (CAST(:since AS timestamptz) IS NULL OR at >= :since) AND at < :until"
    " ORDER BY 1"
)
_MAKE_HOUR = _of_levels(
    "INSERT INTO gauge_sample (tenant_id, grain_s, at, {levels})"
    " SELECT tenant_id, 3600, :at, {highest} FROM gauge_sample"
    " WHERE grain_s = 60 AND at >= :at AND at < :ends"
    " GROUP BY tenant_id ORDER BY tenant_id"
    " ON CONFLICT (tenant_id, grain_s, at) DO UPDATE SET {replaced}"
)
_READ = _of_levels(
    "SELECT tenant_id, CAST(floor(extract(epoch FROM at - :begins) / :step_s) AS int),"
    " {highest} FROM gauge_sample WHERE tenant_id = ANY(:tenants)"
    " AND (grain_s = 3600 AND at >= :begins AND at < :made"
    " OR grain_s = 60 AND at >= :begins AND at >= :made) GROUP BY 1, 2"
)
_FORGET = text("DELETE FROM gauge_sample WHERE grain_s = :grain AND at < :before")


class GaugeSampleRepository:
    """How it stood."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def has(self, at: datetime) -> bool:
        """Return whether a minute was sampled."""
        given = {"platform": PLATFORM, "at": at}
        return bool(self._session.execute(_HAS, given).scalar_one())

    def add(self, at: datetime, taken: Taken) -> bool:
        """Write a minute down, unless somebody else did; return whether.

        Args:
            at: When the minute began.
            taken: What was sampled in it.
        """
        given = {"platform": PLATFORM, "at": at, **taken.platform._asdict()}
        if not affected(self._session.execute(_OF_PLATFORM, given)):
            return False
        if taken.tenants:
            values = zip(*taken.tenants.values(), strict=True)
            arrays = {f"c{n}": numbers(each) for n, each in enumerate(values, 1)}
            named = {"at": at, "c0": list(taken.tenants), **arrays}
            self._session.execute(_OF_TENANTS, named)
        return True

    def made_until(self) -> datetime | None:
        """Return when the last hour that was made ended; None if there is none."""
        row = self._session.execute(_LAST_HOUR, {"platform": PLATFORM})
        last: datetime | None = row.scalar_one()
        return None if last is None else last + timedelta(hours=1)

    def hours_to_make(self, until: datetime) -> list[datetime]:
        """Return when hours before ``until`` began that have but minutes."""
        given = {"platform": PLATFORM, "since": self.made_until(), "until": until}
        return list(self._session.scalars(_HOURS_TO_MAKE, given))

    def make_hour(self, at: datetime) -> None:
        """Make the hour that began then from its minutes."""
        self._session.execute(_MAKE_HOUR, {"at": at, "ends": at + timedelta(hours=1)})

    def read(
        self, tenant_id: str, begins: datetime, step_s: int, made: datetime
    ) -> list[tuple[str, int, Sample]]:
        """Return the highest samples of each step, of a tenant and of the platform.

        Args:
            tenant_id: Whose; may be ``PLATFORM``.
            begins: When the first step begins.
            step_s: How long each is, in seconds.
            made: Until when hours are read; minutes after that.

        Returns:
            Whose it is, the number of the step, and the sample.
        """
        given = {
            "tenants": [tenant_id, PLATFORM],
            "begins": begins,
            "step_s": step_s,
            "made": made,
        }
        rows = self._session.execute(_READ, given)
        return [(row[0], row[1], Sample(*row[2:])) for row in rows]

    def forget(self, grain: Grain, before: datetime) -> int:
        """Delete what is older; return how many."""
        given = {"grain": grain.value, "before": before}
        return affected(self._session.execute(_FORGET, given))
