"""Statements about violations of policies, counted by minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from ascwebhooks.domain.usage import Minute
from ascwebhooks.domain.violations import ViolationKey
from ascwebhooks.storage.arrays import columns
from ascwebhooks.storage.results import affected

_ADD = text(
    "INSERT INTO violation_count AS v (tenant_id, at, policy, team, violations)"
    " SELECT * FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS timestamptz[]),"
    " CAST(:c2 AS text[]), CAST(:c3 AS text[]), CAST(:c4 AS bigint[]))"
    " ORDER BY 1, 2, 3, 4 ON CONFLICT (tenant_id, at, policy, team)"
    " DO UPDATE SET violations = v.violations + excluded.violations"
)
_KNOWN = text(
    "SELECT tenant_id, at, policy, team FROM violation_count"
    " JOIN unnest(CAST(:c0 AS text[]), CAST(:c1 AS timestamptz[])) AS w(tenant_id, at)"
    " USING (tenant_id, at)"
)
_RECENT = text(
    "SELECT tenant_id, at, policy, team, violations FROM violation_count"
    " WHERE tenant_id = ANY(:tenants) AND at >= :since"
)
_FORGET = text("DELETE FROM violation_count WHERE at < :before")


class ViolationRepository:
    """Counts of violations."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def known(self, minutes: Iterable[Minute]) -> dict[Minute, set[ViolationKey]]:
        """Return the keys that there are, by tenant and minute."""
        found: dict[Minute, set[ViolationKey]] = defaultdict(set)
        wanted = columns(sorted(set(minutes)))
        for row in self._session.execute(_KNOWN, wanted):
            found[row[0], row[1]].add(ViolationKey(*row))
        return found

    def add(self, counts: Mapping[ViolationKey, int]) -> None:
        """Add to minutes; the rows stay locked until the commit."""
        if counts:
            rows = [(*key, count) for key, count in counts.items()]
            self._session.execute(_ADD, columns(rows))

    def recent(
        self, tenant_ids: Sequence[str], since: datetime
    ) -> dict[str, dict[ViolationKey, int]]:
        """Return the minutes of tenants from ``since`` on."""
        given = {"tenants": list(tenant_ids), "since": since}
        found: dict[str, dict[ViolationKey, int]] = {each: {} for each in tenant_ids}
        for row in self._session.execute(_RECENT, given):
            found[row[0]][ViolationKey(*row[:4])] = row[4]
        return found

    def forget(self, before: datetime) -> int:
        """Delete minutes older than this; return how many."""
        return affected(self._session.execute(_FORGET, {"before": before}))
