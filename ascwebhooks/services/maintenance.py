"""Maintenance: ringing what is due, making and dropping days, forgetting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy import Engine, text

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Window
from ascwebhooks.domain.people import FORGOTTEN_AFTER
from ascwebhooks.services import endings
from ascwebhooks.services.idempotency import LIFE
from ascwebhooks.services.rings import Rings
from ascwebhooks.storage import migrate, partitions
from ascwebhooks.storage.doors import Urgency
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: Retries that fell due within this past are rung each second; the sweep finds
#: what a longer pause of the beat left behind.
RETRY_WINDOW = timedelta(seconds=15)
_EXPIRE_BATCH = 1_000
#: So long a portal link that is over is told from one that never was.
_LINKS_KNOWN = timedelta(days=7)


class Maintenance:
    """What beat asks for; doing any of it twice does no harm."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        engine: Engine,
        rings: Rings,
        *,
        retention: timedelta,
        dedupe: timedelta,
        days_ahead: int,
    ) -> None:
        """Take the parts; the durations say how long rows are kept."""
        self._uow = uow
        self._engine = engine
        self._rings = rings
        self._retention = retention
        self._dedupe = dedupe
        self._days_ahead = days_ahead

    def ring_retries(self) -> int:
        """Ring the endpoints whose retries have just fallen due, or whose wait is over.

        Their wait: an open breaker, or a pause that the receiver asked for.
        """
        with self._uow() as uow:
            due = uow.mailboxes.due_again(RETRY_WINDOW, self._window())
            free = uow.mailboxes.free_again(RETRY_WINDOW)
        self._rings.ring(due)
        self._rings.ring(free, Urgency.FREED)
        return len({*due, *free})

    def sweep(self) -> int:
        """Ring every endpoint with something due that nobody serves.

        It finds what lost rings, lost workers and a flushed broker left behind,
        and ignores doors.
        """
        with self._uow() as uow:
            due = uow.mailboxes.due(self._window())
        self._rings.ring(due, Urgency.WHATEVER)
        if due:
            log.info("mailboxes_swept", endpoints=len(due))
        return len(due)

    def keep_partitions(self) -> None:
        """Make the days ahead and drop those past retention."""
        with self._engine.begin() as connection:
            migrate.make_partitions(connection, self._days_ahead)
            there = partitions.remnants(connection)
            now: datetime = connection.execute(
                text("SELECT clock_timestamp()")
            ).scalar_one()
        self._expire(now)
        last = (now.astimezone(UTC) - self._retention).date()
        for day in sorted(each for each in there if each < last):
            self._drop(day)

    def forget(self) -> None:
        """Delete what is past its time: dedupe keys, rejected events, sessions, …."""
        with self._uow() as uow:
            now = uow.now()
            keys = uow.events.forget_keys(now, self._dedupe)
            rejected = uow.rejected_events.purge(ids.lowest(now - self._retention))
            answers = uow.idempotency.forget(now - LIFE)
            notices = uow.notices.forget(now - self._retention)
            uow.budget_spending.forget_buckets(now)
            uow.sessions.end_expired(now)
            uow.portal_links.forget(now - _LINKS_KNOWN)
            uow.throttles.forget_old(now - FORGOTTEN_AFTER)
            uow.commit()
        if keys or rejected or answers or notices:
            log.info(
                "rows_forgotten",
                event_keys=keys,
                rejected_events=rejected,
                idempotency_keys=answers,
                notices=notices,
            )

    def _expire(self, now: datetime) -> None:
        """Dead-letter what is still pending a day before its partition goes."""
        before = ids.lowest(now - self._retention + timedelta(days=1))
        expired = _EXPIRE_BATCH
        while expired == _EXPIRE_BATCH:
            with self._uow() as uow:
                ended = uow.deliveries.expire(before, _EXPIRE_BATCH)
                endings.note(uow, ended)
                uow.commit()
            expired = len(ended)
            if expired:
                log.warning("deliveries_expired", deliveries=expired)

    def _drop(self, day: date) -> None:
        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            if partitions.pending(connection, day):
                log.warning("partition_kept", day=str(day), reason="pending deliveries")
                return
            partitions.drop(connection, day)
        log.info("partition_dropped", day=str(day))

    def _window(self) -> Window:
        return ids.window(datetime.now(UTC), self._retention)
