"""Gauges: how the whole installation stands, read when Prometheus asks.

They are the same whoever is asked, so the web process alone serves them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock

import redis
import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ascwebhooks.domain import ids
from ascwebhooks.errors import Unavailable
from ascwebhooks.storage.gauges import Standing
from ascwebhooks.storage.streams import Stream
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

CACHED_S = 5.0
_PREFIX = "ascwebhooks_"
#: A count that takes long is taken seldom: it uses a tenth of one connection.
_SHARE = 10
_TIMEOUT_MS = 5_000

_OF_STREAM = {
    "stream_lag": "Entries of the stream that nobody has read yet.",
    "stream_pending": "Entries of the stream that were read and are not settled.",
}
_OF_DATABASE = {
    "due_deliveries": "Pending deliveries whose time has come.",
    "oldest_due_seconds": "For how long the first of them has been due, where no pause,"
    " breaker or Retry-After holds it.",
    "dead_letters": "Deliveries in the dead letters.",
    "open_breakers": "Endpoints whose breaker is open.",
    "leases": "Mailboxes that a worker serves now.",
}


class Gauges(Collector):
    """Reads the stream and the database, at most every few seconds."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        stream: Stream,
        *,
        retention: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the parts; ``clock`` counts seconds."""
        self._uow = uow
        self._stream = stream
        self._retention = retention
        self._clock = clock
        self._lock = Lock()
        self._until = float("-inf")
        self._found: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; what cannot be read is missing, and ``up`` says so."""
        with self._lock:
            began = self._clock()
            if began >= self._until:
                self._found = [*self._of_stream(), *self._of_database()]
                now = self._clock()
                self._until = now + max(CACHED_S, _SHARE * (now - began))
            return self._found

    def read(self) -> dict[str, float]:
        """Return the gauges by name, without the prefix; what is missing is not there.

        ``broker_up`` and ``database_up`` are there in any case.
        """
        return {
            each.name.removeprefix(_PREFIX): each.samples[0].value
            for each in self.collect()
        }

    def _of_stream(self) -> list[Metric]:
        try:
            values: Sequence[float | None] = self._stream.lag()
        except redis.RedisError as error:
            log.warning("gauges_not_read", part="broker", error=repr(error))
            values = ()
        return _families("broker", _OF_STREAM, values)

    def _of_database(self) -> list[Metric]:
        try:
            values: Sequence[float] = self._standing()
        except Unavailable as error:
            log.warning("gauges_not_read", part="database", error=str(error.__cause__))
            values = ()
        return _families("database", _OF_DATABASE, values)

    def _standing(self) -> Standing:
        window = ids.window(datetime.now(UTC), self._retention)
        with self._uow() as uow:
            return uow.gauges.standing(window, _TIMEOUT_MS)


def _families(
    part: str, texts: dict[str, str], values: Sequence[float | None]
) -> list[Metric]:
    up = _gauge(f"{part}_up", f"Whether the {part} answered.", float(bool(values)))
    found = zip(texts.items(), values, strict=False)
    return [
        up,
        *(
            _gauge(name, text, value)
            for (name, text), value in found
            if value is not None
        ),
    ]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)
