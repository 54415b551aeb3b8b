"""Statements about what was spent of budgets, and which of their lines were crossed.

Whoever writes here holds the tenant's row, and so does whoever changes a budget: what
is in force stays so until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Row, select, text, update
from sqlalchemy.orm import Session

from ascwebhooks.storage.arrays import columns
from ascwebhooks.storage.budget_tables import BudgetAlert, BudgetRow, BudgetSpend


class NewCharge(NamedTuple):
    """What is added to a row of ``budget_spend``."""

    tenant_id: str
    budget_id: UUID
    period_start: datetime
    period_end: datetime
    spent: Decimal
    unattributed: Decimal
    requests: int
    unpriced: int


class Line(NamedTuple):
    """A line of a budget in one period: a key of ``budget_alert``."""

    tenant_id: str
    budget_id: UUID
    period_start: datetime
    basis: str
    threshold: Decimal


class Window(NamedTuple):
    """Which rows of a budget count: those that begin from ``since`` on."""

    tenant_id: str
    budget_id: UUID
    since: datetime
    until: datetime


# In the order of the key: two writers in different orders would deadlock.
_CHARGE = text(
    "INSERT INTO budget_spend AS s (tenant_id, budget_id, period_start, period_end,"
    " spent, unattributed, requests, unpriced)"
    " SELECT * FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS timestamptz[]), CAST(:c4 AS numeric[]),"
    " CAST(:c5 AS numeric[]), CAST(:c6 AS bigint[]), CAST(:c7 AS bigint[]))"
    " ORDER BY 1, 2, 3"
    " ON CONFLICT (tenant_id, budget_id, period_start) DO UPDATE SET"
    " spent = s.spent + excluded.spent,"
    " unattributed = s.unattributed + excluded.unattributed,"
    " requests = s.requests + excluded.requests,"
    " unpriced = s.unpriced + excluded.unpriced"
    " RETURNING tenant_id, budget_id, period_start, spent"
)
_WINDOWS = text(
    "SELECT w.tenant_id, w.budget_id, sum(s.spent)"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS timestamptz[]))"
    " AS w(tenant_id, budget_id, since, until)"
    " JOIN budget_spend s ON s.tenant_id = w.tenant_id"
    " AND s.budget_id = w.budget_id AND s.period_start >= w.since"
    " AND s.period_start < w.until GROUP BY 1, 2"
)
_FIRE = text(
    "INSERT INTO budget_alert AS a (tenant_id, budget_id, period_start, basis,"
    " threshold, fired_at)"
    " SELECT w.*, :now FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS text[]), CAST(:c4 AS numeric[])) AS w"
    " ORDER BY 1, 2, 3, 4, 5"
    " ON CONFLICT (tenant_id, budget_id, period_start, basis, threshold)"
    " DO UPDATE SET fired_at = excluded.fired_at, recovered_at = NULL,"
    " times = a.times + 1 WHERE a.recovered_at IS NOT NULL"
    " RETURNING tenant_id, budget_id, period_start, basis, threshold, times"
)
_RECOVER = text(
    "UPDATE budget_alert a SET recovered_at = :now"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS text[]), CAST(:c4 AS numeric[]))"
    " AS w(tenant_id, budget_id, period_start, basis, threshold)"
    " WHERE a.tenant_id = w.tenant_id AND a.budget_id = w.budget_id"
    " AND a.period_start = w.period_start AND a.basis = w.basis"
    " AND a.threshold = w.threshold AND a.recovered_at IS NULL"
    " RETURNING a.tenant_id, a.budget_id, a.period_start, a.basis, a.threshold,"
    " a.times"
)
_IN_FORCE = text(
    "SELECT a.tenant_id, a.budget_id, a.period_start, a.basis, a.threshold, a.times"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS timestamptz[]))"
    " AS w(tenant_id, budget_id, since, until)"
    " JOIN budget_alert a ON a.tenant_id = w.tenant_id AND a.budget_id = w.budget_id"
    " AND a.period_start >= w.since AND a.period_start < w.until"
    " WHERE a.recovered_at IS NULL ORDER BY a.threshold"
)
# A line that fires again, a length later, takes the place of what it said before.
_FIRED_LAST = text(
    "SELECT tenant_id, budget_id, period_start, basis, threshold FROM"
    " (SELECT DISTINCT ON (a.tenant_id, a.budget_id, a.threshold) a.*"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS timestamptz[]))"
    " AS w(tenant_id, budget_id, since, until)"
    " JOIN budget_alert a ON a.tenant_id = w.tenant_id AND a.budget_id = w.budget_id"
    " AND a.period_start >= w.since AND a.period_start < w.until"
    " WHERE a.basis = 'actual'"
    " ORDER BY a.tenant_id, a.budget_id, a.threshold, a.period_start DESC) last"
    " WHERE recovered_at IS NULL ORDER BY threshold"
)

_TOTALS = text(
    "SELECT w.tenant_id, w.budget_id, sum(s.spent) AS spent,"
    " sum(s.unattributed) AS unattributed, sum(s.requests)::bigint AS requests,"
    " sum(s.unpriced)::bigint AS unpriced"
    " FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS uuid[]),"
    " CAST(:c2 AS timestamptz[]), CAST(:c3 AS timestamptz[]))"
    " AS w(tenant_id, budget_id, since, until)"
    " JOIN budget_spend s ON s.tenant_id = w.tenant_id"
    " AND s.budget_id = w.budget_id AND s.period_start >= w.since"
    " AND s.period_start < w.until GROUP BY 1, 2"
)
_FORGET = text(
    "DELETE FROM budget_spend s USING budget b WHERE b.tenant_id = s.tenant_id"
    " AND b.id = s.budget_id AND b.period ->> 'type' = 'rolling'"
    " AND s.period_end < :now - interval '1 day' - make_interval("
    " hours => coalesce((b.period ->> 'hours')::int, 24 * (b.period ->> 'days')::int))"
)


class BudgetSpendRepository:
    """What was spent, and which lines were crossed."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def charge(
        self, charges: Sequence[NewCharge]
    ) -> dict[tuple[str, UUID, datetime], Decimal]:
        """Add to what was spent, each row once; return what is spent now.

        The rows stay locked: whoever charges the same budget waits for the commit.
        """
        if not charges:
            return {}
        rows = self._session.execute(_CHARGE, columns(charges))
        return {(row[0], row[1], row[2]): row[3] for row in rows}

    def windows(self, windows: Sequence[Window]) -> dict[tuple[str, UUID], Decimal]:
        """Return what is spent in the buckets of windows, 0 not among it."""
        if not windows:
            return {}
        rows = self._session.execute(_WINDOWS, columns(windows))
        return {(row[0], row[1]): row[2] for row in rows}

    def fire(self, lines: Sequence[Line], now: datetime) -> list[tuple[Line, int]]:
        """Have lines fire; return which were armed, and how often they have fired."""
        if not lines:
            return []
        rows = self._session.execute(_FIRE, {**columns(lines), "now": now})
        return [(Line(*row[:5]), row[5]) for row in rows]

    def name(self, lines: Sequence[Line], event_id: UUID) -> None:
        """Note of lines that fired together which event tells of it."""
        first = lines[0]
        self._session.execute(
            update(BudgetAlert)
            .where(
                BudgetAlert.tenant_id == first.tenant_id,
                BudgetAlert.budget_id == first.budget_id,
                BudgetAlert.period_start == first.period_start,
                BudgetAlert.basis == first.basis,
                BudgetAlert.threshold.in_([each.threshold for each in lines]),
            )
            .values(event_id=event_id)
        )

    def recover(self, lines: Sequence[Line], now: datetime) -> list[tuple[Line, int]]:
        """Arm lines again; return which had fired, and how often."""
        if not lines:
            return []
        rows = self._session.execute(_RECOVER, {**columns(lines), "now": now})
        return [(Line(*row[:5]), row[5]) for row in rows]

    def in_force(self, windows: Sequence[Window]) -> list[Line]:
        """Return the lines that fired since, and were not armed again."""
        if not windows:
            return []
        return [
            Line(*row[:5]) for row in self._session.execute(_IN_FORCE, columns(windows))
        ]

    def fired_last(self, windows: Sequence[Window]) -> list[Line]:
        """Return of each line of budgets when it fired last, if it is not armed since.

        Args:
            windows: Of which budgets, and how far back is looked.
        """
        if not windows:
            return []
        rows = self._session.execute(_FIRED_LAST, columns(windows))
        return [Line(*row) for row in rows]

    def alerts(self, window: Window) -> Sequence[BudgetAlert]:
        """Return the alerts of a budget, whether armed again or not."""
        return self._session.scalars(
            select(BudgetAlert)
            .where(
                BudgetAlert.tenant_id == window.tenant_id,
                BudgetAlert.budget_id == window.budget_id,
                BudgetAlert.period_start >= window.since,
                BudgetAlert.period_start < window.until,
            )
            .order_by(BudgetAlert.fired_at, BudgetAlert.basis, BudgetAlert.threshold)
        ).all()

    def fired(
        self, tenant_id: str, since: datetime, until: datetime, limit: int
    ) -> list[tuple[BudgetAlert, BudgetRow]]:
        """Return a tenant's alerts that fired in a time, the oldest first."""
        query = (
            select(BudgetAlert, BudgetRow)
            .join(
                BudgetRow,
                (BudgetRow.tenant_id == BudgetAlert.tenant_id)
                & (BudgetRow.id == BudgetAlert.budget_id),
            )
            .where(
                BudgetAlert.tenant_id == tenant_id,
                BudgetAlert.fired_at >= since,
                BudgetAlert.fired_at < until,
            )
        )
        order = (BudgetAlert.fired_at, BudgetAlert.budget_id, BudgetAlert.threshold)
        rows = self._session.execute(query.order_by(*order).limit(limit))
        return [(row[0], row[1]) for row in rows]

    def periods(
        self, tenant_id: str, budget_id: UUID, *, limit: int
    ) -> Sequence[BudgetSpend]:
        """Return periods of a budget with usage, the newest first."""
        query = select(BudgetSpend).where(
            BudgetSpend.tenant_id == tenant_id, BudgetSpend.budget_id == budget_id
        )
        return self._session.scalars(
            query.order_by(BudgetSpend.period_start.desc()).limit(limit)
        ).all()

    def totals(
        self, windows: Sequence[Window]
    ) -> dict[tuple[str, UUID], Row[tuple[Decimal, Decimal, int, int]]]:
        """Return spent, unattributed, requests and unpriced since each window began."""
        if not windows:
            return {}
        rows = self._session.execute(_TOTALS, columns(windows))
        return {(row[0], row[1]): row for row in rows}

    def forget_buckets(self, now: datetime) -> None:
        """Delete buckets that no window reaches back to."""
        self._session.execute(_FORGET, {"now": now})
