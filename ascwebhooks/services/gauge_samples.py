"""Samples of gauges: taken each minute, kept as hours, read as histories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import redis
import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.gauge_samples import History, Sample, Taken, history, taken
from ascwebhooks.domain.statistics import Grain, Span
from ascwebhooks.services.statistics import HOURS_KEPT, MINUTES_KEPT, UNSETTLED
from ascwebhooks.storage.rollups import PLATFORM
from ascwebhooks.storage.streams import Stream
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: Each of three counts may take so long; together they take a sixth of a connection.
WITHIN = timedelta(seconds=3)


class GaugeSamples:
    """Writes down how things stand, and tells how they stood."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        stream: Stream,
        *,
        retention: timedelta,
        within: timedelta = WITHIN,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            stream: What gateways write to.
            retention: How long deliveries are kept.
            within: How long each count may take.
        """
        self._uow = uow
        self._stream = stream
        self._retention = retention
        self._within = within

    def sample(self) -> bool:
        """Sample this minute, unless it has been; return whether."""
        with self._uow() as uow:
            if uow.gauge_samples.has(Grain.MINUTE.floor(uow.now())):
                return False
        lag = self._lag()
        with self._uow() as uow:
            at, found = uow.now(), self._take(uow, lag)
        return self.write(at, found)

    def write(self, at: datetime, found: Taken) -> bool:
        """Write down what was found in the minute of ``at``, unless somebody did.

        Returns:
            Whether it was written.
        """
        with self._uow() as uow:
            is_first = uow.gauge_samples.add(Grain.MINUTE.floor(at), found)
            uow.commit()
        return is_first

    def keep(self) -> None:
        """Make the hours that are over, and forget what is old."""
        with self._uow() as uow:
            now = uow.now()
            settled = Grain.HOUR.floor(now - UNSETTLED)
            hours = uow.gauge_samples.hours_to_make(settled)
        for hour in hours:
            with self._uow() as uow:
                uow.gauge_samples.make_hour(hour)
                uow.commit()
        with self._uow() as uow:
            uow.gauge_samples.forget(Grain.MINUTE, now - MINUTES_KEPT)
            uow.gauge_samples.forget(Grain.HOUR, now - HOURS_KEPT)
            uow.commit()

    def history(self, tenant_id: str | None, span: Span) -> History:
        """Return how it stood with a tenant; with all together for None."""
        with self._uow() as uow:
            now, made = uow.now(), None
            begins = span.begins(now)
            if span.grain is Grain.HOUR:
                made = uow.gauge_samples.made_until()
            whose = PLATFORM if tenant_id is None else tenant_id
            rows = uow.gauge_samples.read(whose, begins, span.step_s, made or begins)
        found = {step: each for name, step, each in rows if name == PLATFORM}
        if tenant_id is not None:
            own = {step: each for name, step, each in rows if name == tenant_id}
            found = {
                step: own.get(step, Sample()).beside(each)
                for step, each in found.items()
            }
        return history(found, span, now)

    def _take(self, uow: UnitOfWork, lag: int | None) -> Taken:
        window = ids.window(uow.now(), self._retention)
        due = uow.standings.due_by_tenant(window, self._within)
        dead = uow.standings.dead_by_tenant(window, self._within)
        ill = uow.standings.ill_by_tenant(self._within)
        found = taken(due, dead, ill, lag)
        missing = [
            name for name, each in found.platform._asdict().items() if each is None
        ]
        if missing:
            log.warning("gauges_not_sampled", gauges=missing)
        return found

    def _lag(self) -> int | None:
        try:
            return self._stream.lag()[0]
        except redis.RedisError:
            return None
