"""Statements that say how things stand, for metrics."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.standings import of_takers

# The first and the third read partial indexes alone; nothing here reads a row of
# what was delivered.
_STANDING = of_takers(
    "SELECT (SELECT count(*) FROM delivery d WHERE d.status = 'pending'"
    " AND d.next_attempt_at <= now() AND d.id >= :low AND d.id < :high),"
    " (SELECT coalesce(extract(epoch FROM now() - min(o.at)), 0) FROM mailbox m"
    " CROSS JOIN LATERAL (SELECT d.next_attempt_at AS at FROM delivery d"
    " WHERE d.endpoint_id = m.endpoint_id AND d.status = 'pending'"
    " AND d.next_attempt_at <= now() AND d.id >= :low AND d.id < :high"
    " ORDER BY d.next_attempt_at LIMIT 1) o WHERE TAKES_NOW),"
    " (SELECT count(*) FROM delivery d WHERE d.status = 'dead_lettered'"
    " AND d.id >= :low AND d.id < :high),"
    " (SELECT count(*) FROM mailbox WHERE breaker_openings > 0),"
    " (SELECT count(*) FROM mailbox WHERE lease_until > now())"
)


class Standing(NamedTuple):
    """How things stand; ``oldest_due_s`` is of whom can be served."""

    due: int
    oldest_due_s: float
    dead_lettered: int
    open_breakers: int
    leases: int


class GaugeRepository:
    """Numbers over all tenants."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def standing(self, window: Window, timeout_ms: int) -> Standing:
        """Count; a count that takes longer than ``timeout_ms`` is given up."""
        run = self._session.execute
        run(text(f"SET LOCAL statement_timeout = {int(timeout_ms)}"))
        row = run(_STANDING, window._asdict()).one()
        return Standing(row[0], float(row[1]), *row[2:])
