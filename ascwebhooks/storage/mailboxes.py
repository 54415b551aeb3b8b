"""Statements about mailboxes: leases, health, and who has something due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, select, text, update
from sqlalchemy.orm import Session

from ascwebhooks.domain.ids import Window
from ascwebhooks.storage.arrays import columns, uuids
from ascwebhooks.storage.models import Mailbox


class Leased(NamedTuple):
    """A mailbox whose lease was just taken.

    ``rate_wait_s``: how long its rate makes the next request wait.
    """

    endpoint_id: UUID
    tenant_id: str
    abandoned_leases: int
    consecutive_failures: int
    breaker_openings: int
    epoch: int
    rate_wait_s: float


class Health(NamedTuple):
    """How an endpoint has been doing."""

    endpoint_id: UUID
    tenant_id: str
    lease_token: UUID | None
    state: str
    consecutive_failures: int
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    slow: bool
    abandoned_leases: int
    breaker_openings: int
    breaker_until: datetime | None
    held_until: datetime | None
    epoch: int
    seen_at: datetime


class Due(NamedTuple):
    """An endpoint that is to be rung."""

    endpoint_id: UUID
    region: str


class Returned(NamedTuple):
    """A lease that is given back.

    ``cleared``: whether what was begun under it was ended, so that leases abandoned
    before are held against nothing any more.  ``rate_wait_s``: how long the
    endpoint's rate makes the next request wait; None where it has none.
    """

    endpoint_id: UUID
    token: UUID
    cleared: bool
    rate_wait_s: float | None = None


class Ended(NamedTuple):
    """An endpoint that takes no part in delivery any more."""

    endpoint_id: UUID
    tenant_id: str
    state: str


# Nobody serves an endpoint whose breaker is open, or whose receiver asked to be left
# alone for a while.
_FREE = (
    "(lease_until IS NULL OR lease_until < clock_timestamp())"
    " AND (breaker_until IS NULL OR breaker_until <= clock_timestamp())"
    " AND (held_until IS NULL OR held_until <= clock_timestamp())"
)


def _of_free(statement: str) -> TextClause:
    """Return a statement about mailboxes that may be served, which is ``{free}``."""
    return text(statement.replace("{free}", _FREE))


# A lease that is taken although it was never given back was abandoned.
_TAKE = _of_free(
    "UPDATE mailbox m SET lease_token = :token,"
    " lease_until = clock_timestamp() + :lease,"
    " abandoned_leases = least(m.abandoned_leases"
    " + CASE WHEN m.lease_token IS NULL THEN 0 ELSE 1 END, 1000)"
    " FROM (SELECT endpoint_id FROM mailbox"
    " WHERE endpoint_id = ANY(CAST(:ids AS uuid[]))"
    " AND state = 'active' AND region = :region AND {free}"
    " ORDER BY endpoint_id FOR UPDATE SKIP LOCKED) free"
    " WHERE m.endpoint_id = free.endpoint_id"
    " RETURNING m.endpoint_id, m.tenant_id, m.abandoned_leases,"
    " m.consecutive_failures, m.breaker_openings, m.epoch,"
    " CAST(greatest(0, coalesce(extract(epoch FROM m.rate_at - clock_timestamp()), 0))"
    " AS float)"
)
_RENEW = text(
    "UPDATE mailbox m SET lease_until = clock_timestamp() + :lease"
    " FROM (SELECT b.endpoint_id FROM mailbox b"
    " JOIN unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[])) AS w(endpoint_id, token)"
    " ON b.endpoint_id = w.endpoint_id AND b.lease_token = w.token"
    " ORDER BY b.endpoint_id FOR UPDATE OF b) mine"
    " WHERE m.endpoint_id = mine.endpoint_id"
    " RETURNING m.endpoint_id, CASE m.state WHEN 'active' THEN m.epoch END"
)
_RELEASE = text(
    "UPDATE mailbox m SET lease_token = NULL, lease_until = NULL,"
    " abandoned_leases = CASE WHEN mine.cleared THEN 0 ELSE m.abandoned_leases END,"
    " rate_at = clock_timestamp() + make_interval(secs => mine.rate_wait_s)"
    " FROM (SELECT b.endpoint_id, w.cleared, w.rate_wait_s FROM mailbox b"
    " JOIN unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS bool[]),"
    " CAST(:c3 AS float[])) AS w(endpoint_id, token, cleared, rate_wait_s)"
    " ON b.endpoint_id = w.endpoint_id AND b.lease_token = w.token"
    " ORDER BY b.endpoint_id FOR UPDATE OF b) mine"
    " WHERE m.endpoint_id = mine.endpoint_id"
)
_TERMS = text(
    "SELECT endpoint_id, CASE state WHEN 'active' THEN epoch END FROM mailbox"
    " WHERE endpoint_id = ANY(CAST(:ids AS uuid[]))"
)
# The clock is read once a row is locked, and not before it waits for that: by then the
# transaction has a number, for which replays wait (``services.walking``).
_LOCK = text(
    "WITH locked AS MATERIALIZED (SELECT endpoint_id, tenant_id, lease_token, state,"
    " consecutive_failures, failing_since, last_success_at, last_failure_at, slow,"
    " abandoned_leases, breaker_openings, breaker_until, held_until, epoch"
    " FROM mailbox"
    " WHERE endpoint_id = ANY(CAST(:ids AS uuid[])) ORDER BY endpoint_id FOR UPDATE)"
    " SELECT *, clock_timestamp() FROM locked"
)
_SAVE = text(
    "UPDATE mailbox m SET consecutive_failures = w.failures,"
    " failing_since = w.since, last_success_at = w.success,"
    " last_failure_at = w.failure, slow = w.slow, abandoned_leases = w.abandoned,"
    " breaker_openings = w.openings, breaker_until = w.until, held_until = w.held"
    " FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS uuid[]),"
    " CAST(:c3 AS text[]), CAST(:c4 AS int[]), CAST(:c5 AS timestamptz[]),"
    " CAST(:c6 AS timestamptz[]), CAST(:c7 AS timestamptz[]), CAST(:c8 AS bool[]),"
    " CAST(:c9 AS int[]), CAST(:c10 AS int[]), CAST(:c11 AS timestamptz[]),"
    " CAST(:c12 AS timestamptz[]), CAST(:c13 AS bigint[]), CAST(:c14 AS timestamptz[]))"
    " AS w(id, tenant, token, state, failures, since, success, failure, slow,"
    " abandoned, openings, until, held, epoch, seen) WHERE m.endpoint_id = w.id"
)
# One probe of an index for each mailbox, not a pass over everything that is due.  Of
# an endpoint in order the first one alone counts: those behind it wait for it.
_DUE = (
    "SELECT m.endpoint_id, m.region FROM mailbox m WHERE m.state = 'active'"
    " AND {free} AND CASE m.ordering WHEN 'fifo' THEN"
    " (SELECT d.next_attempt_at FROM delivery d"
    " WHERE d.endpoint_id = m.endpoint_id AND d.status = 'pending'"
    " AND d.position IS NOT NULL AND d.id >= :low AND d.id < :high"
    " ORDER BY d.position LIMIT 1) <= statement_timestamp()"
    " ELSE (SELECT true FROM delivery d WHERE d.endpoint_id = m.endpoint_id"
    " AND d.status = 'pending' AND d.next_attempt_at <= statement_timestamp()"
    " AND d.id >= :low AND d.id < :high LIMIT 1) END"
)
_DUE_ALL = _of_free(_DUE)
# Only what fell due lately: behind it lie the dead entries of all that was just
# delivered, and a probe that finds nothing would walk over each of them.
_DUE_AMONG = _of_free(
    _DUE.replace(
        "statement_timestamp() AND d.id",
        "statement_timestamp()"
        " AND d.next_attempt_at > statement_timestamp() - CAST(:past AS interval)"
        " AND d.id",
        1,
    )
    + " AND m.endpoint_id = ANY(CAST(:ids AS uuid[]))"
)
_DUE_AGAIN = _of_free(
    "SELECT m.endpoint_id, m.region FROM mailbox m JOIN"
    " (SELECT DISTINCT d.endpoint_id FROM delivery d"
    " WHERE d.status = 'pending' AND d.attempt_count > 0"
    " AND d.next_attempt_at <= statement_timestamp()"
    " AND d.next_attempt_at > statement_timestamp() - :past"
    " AND d.id >= :low AND d.id < :high) due USING (endpoint_id)"
    " WHERE m.state = 'active' AND {free}"
)
# Whose breaker lets a delivery probe, or whose receiver asked for no longer pause.
_FREE_AGAIN = _of_free(
    "SELECT m.endpoint_id, m.region FROM mailbox m"
    " WHERE greatest(m.breaker_until, m.held_until) <= clock_timestamp()"
    " AND greatest(m.breaker_until, m.held_until) > clock_timestamp() - :past"
    " AND m.state = 'active' AND {free}"
)


_ENDED = text(
    "SELECT m.endpoint_id, m.tenant_id, m.state FROM mailbox m CROSS JOIN LATERAL"
    " (SELECT FROM delivery d WHERE d.endpoint_id = m.endpoint_id"
    " AND d.status = 'pending' AND d.id >= :low AND d.id < :high LIMIT 1) left_over"
    " WHERE m.state IN ('disabled', 'deleted', 'abroad')"
)


class MailboxRepository:
    """Mailboxes.  Whoever locks several does so in the order of their ids."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(
        self, endpoint_ids: Sequence[UUID], token: UUID, lease: timedelta, region: str
    ) -> list[Leased]:
        """Take the leases that are free; active endpoints of the region only."""
        rows = self._session.execute(
            _TAKE,
            {
                "ids": uuids(endpoint_ids),
                "token": token,
                "lease": lease,
                "region": region,
            },
        )
        return [Leased(*row) for row in rows]

    def renew(
        self, held: Sequence[tuple[UUID, UUID]], lease: timedelta
    ) -> dict[UUID, int | None]:
        """Extend leases, given as (endpoint, token); return those still ours.

        Each with the mailbox's epoch, or None if it is not to be served any more.
        """
        rows = self._session.execute(_RENEW, {**columns(held), "lease": lease})
        return {row[0]: row[1] for row in rows}

    def terms(self, endpoint_ids: Sequence[UUID]) -> dict[UUID, int | None]:
        """Return each mailbox's epoch, or None if it is not to be served any more."""
        rows = self._session.execute(_TERMS, {"ids": uuids(endpoint_ids)})
        return {row[0]: row[1] for row in rows}

    def release(self, returned: Sequence[Returned]) -> None:
        """Give leases back."""
        self._session.execute(_RELEASE, columns(returned))

    def lock(self, endpoint_ids: Sequence[UUID]) -> list[Health]:
        """Return these mailboxes, locked until the commit."""
        rows = self._session.execute(_LOCK, {"ids": uuids(endpoint_ids)})
        return [Health(*row) for row in rows]

    def save(self, health: Sequence[Health]) -> None:
        """Write back how endpoints have been doing; the lease stays as it is."""
        if health:
            self._session.execute(_SAVE, columns(health))

    def due(self, window: Window) -> list[Due]:
        """Return every endpoint that has something due and that nobody serves."""
        return [Due(*row) for row in self._session.execute(_DUE_ALL, window._asdict())]

    def due_among(
        self, endpoint_ids: Sequence[UUID], past: timedelta, window: Window
    ) -> list[Due]:
        """Return those of these endpoints where something fell due in the ``past``."""
        rows = self._session.execute(
            _DUE_AMONG, {**window._asdict(), "ids": uuids(endpoint_ids), "past": past}
        )
        return [Due(*row) for row in rows]

    def ended(self, window: Window) -> list[Ended]:
        """Return who is disabled, deleted or abroad and has something pending."""
        return [Ended(*row) for row in self._session.execute(_ENDED, window._asdict())]

    def due_again(self, past: timedelta, window: Window) -> list[Due]:
        """Return the endpoints whose retries fell due within the ``past``."""
        rows = self._session.execute(_DUE_AGAIN, {**window._asdict(), "past": past})
        return [Due(*row) for row in rows]

    def free_again(self, past: timedelta) -> list[Due]:
        """Return the endpoints that may be served again since the ``past``."""
        rows = self._session.execute(_FREE_AGAIN, {"past": past})
        return [Due(*row) for row in rows]

    def set_state(self, endpoint_id: UUID, state: str) -> None:
        """Say whether an endpoint is served (``domain.deliveries.mailbox_state``)."""
        self._session.execute(
            update(Mailbox)
            .where(Mailbox.endpoint_id == endpoint_id)
            .values(state=state)
        )

    def set_region(self, endpoint_id: UUID, region: str) -> None:
        """Copy an endpoint's region: its workers alone lease it."""
        self._session.execute(
            update(Mailbox)
            .where(Mailbox.endpoint_id == endpoint_id)
            .values(region=region)
        )

    def set_ordering(self, endpoint_id: UUID, ordering: str) -> None:
        """Copy an endpoint's ordering."""
        self._session.execute(
            update(Mailbox)
            .where(Mailbox.endpoint_id == endpoint_id)
            .values(ordering=ordering)
        )

    def supersede(self, endpoint_id: UUID) -> None:
        """Have whoever serves an endpoint give back what is not sent, and begin anew.

        For whatever changes how, where or what is sent: what was claimed before was
        claimed under other terms.
        """
        self._session.execute(
            update(Mailbox)
            .where(Mailbox.endpoint_id == endpoint_id)
            .values(epoch=Mailbox.epoch + 1)
            .execution_options(synchronize_session=False)
        )

    def forget_failures(self, endpoint_id: UUID) -> None:
        """Begin anew with an endpoint that was resumed or enabled by hand."""
        self._session.execute(
            update(Mailbox)
            .where(Mailbox.endpoint_id == endpoint_id)
            .values(
                consecutive_failures=0,
                failing_since=None,
                slow=False,
                breaker_openings=0,
                breaker_until=None,
                held_until=None,
            )
        )

    def of(self, endpoint_ids: Sequence[UUID]) -> Sequence[Mailbox]:
        """Return the mailboxes of endpoints, as they are now."""
        return self._session.scalars(
            select(Mailbox)
            .where(Mailbox.endpoint_id.in_(endpoint_ids))
            .execution_options(populate_existing=True)
        ).all()
