"""Metrics of one process: what it counts and measures, for Prometheus to fetch.

Nothing here names a tenant, an endpoint or an event: the number of series does
not grow with customers.  Where work comes in batches a batch is observed at once,
which is why the histograms are of our own: theirs takes a lock and walks all
buckets for each value.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.services.recording import Made

ATTEMPT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
#: From milliseconds to the last retry of the default schedule, three days and more.
LATENCY_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    *(300, 900, 3600, 14_400, 43_200, 86_400, 172_800, 345_600),
)
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_OUTCOMES = {
    Status.DELIVERED: "delivered",
    Status.PENDING: "retried",
    Status.DEAD_LETTERED: "dead_lettered",
}
_NO_ERROR = "none"


class BatchHistogram(Collector):
    """A histogram that takes many values at the price of one lock."""

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], label: str = ""
    ) -> None:
        """Take the upper bounds of the buckets, ascending; +Inf is added.

        Args:
            name: With its unit at the end.
            documentation: For people.
            bounds: The upper bounds.
            label: The name of the one label; none if empty.
        """
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(float(each) for each in bounds)
        self._names = [*map(floatToGoString, self._bounds), "+Inf"]
        self._label = label
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._lock = Lock()
        if not label:
            self.observe(())

    def observe(self, values: Iterable[float], label: str = "") -> None:
        """Count values, all under one label."""
        bounds, kept = self._bounds, list(values)
        places = [bisect_left(bounds, value) for value in kept]
        with self._lock:
            counts = self._counts.setdefault(label, [0] * (len(bounds) + 1))
            for place in places:
                counts[place] += 1
            self._sums[label] = self._sums.get(label, 0.0) + sum(kept)

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram as it stands."""
        names = [self._label] if self._label else []
        family = HistogramMetricFamily(self._name, self._documentation, labels=names)
        with self._lock:
            found = [
                (key, [*row], self._sums[key]) for key, row in self._counts.items()
            ]
        for label, counts, total in sorted(found):
            seen, buckets = 0, []
            for name, count in zip(self._names, counts, strict=True):
                seen += count
                buckets.append((name, float(seen)))
            family.add_metric([label] if self._label else [], buckets, total)
        yield family


class Metrics(Collector):
    """What one process counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._accepted = self._counter("events_accepted", "Events accepted.", "via")
        self._duplicates = self._counter(
            "events_duplicate", "Events that had been accepted before.", "via"
        )
        self._rejected = self._counter("events_rejected", "Events rejected.", "code")
        self._deliveries = self._counter(
            "deliveries",
            "Attempts by what became of the delivery: delivered, retried later,"
            " dead_lettered.",
            "outcome",
        )
        self._attempts = self._counter(
            "attempts", "Attempts by error class; none is a success.", "error"
        )
        self._duration = self._histogram(
            "attempt_duration_seconds", "From resolving to the last byte.", ATTEMPT_S
        )
        self._latency = self._histogram(
            "delivery_latency_seconds",
            "From accepting an event to a recorded success.",
            LATENCY_S,
        )
        self._batches = self._histogram(
            "batch_size", "Rows in one batch: accept, claim or record.", BATCH, "stage"
        )
        for outcome in _OUTCOMES.values():
            self._deliveries.labels(outcome)

    def collect(self) -> Iterable[Metric]:
        """Yield all of it, for an exposition."""
        return self._registry.collect()

    def accepted(
        self, via: str, *, events: int, duplicates: int, codes: Mapping[str, int]
    ) -> None:
        """Count a batch that was committed; ``codes`` says why some were rejected."""
        self._batches.observe((events + duplicates + sum(codes.values()),), "accept")
        self._accepted.labels(via).inc(events)
        self._duplicates.labels(via).inc(duplicates)
        for code, count in codes.items():
            self._rejected.labels(code).inc(count)

    def claimed(self, count: int) -> None:
        """Count a claim that found something."""
        self._batches.observe((count,), "claim")

    def recorded(self, made: Sequence[Made], statuses: Sequence[Status | None]) -> None:
        """Count a batch of attempts that was committed.

        Args:
            made: The attempts.
            statuses: What became of the delivery of each, if it was moved on.

        The latency is by this process's clock, which ``doctor`` compares with
        PostgreSQL's.
        """
        now_ms = time.time() * 1000
        self._batches.observe((len(made),), "record")
        self._duration.observe(each.outcome.timings.total_ms / 1000 for each in made)
        errors = Tally([each.outcome.error or _NO_ERROR for each in made])
        for error, count in errors.items():
            self._attempts.labels(str(error)).inc(count)
        for status, count in Tally(statuses).items():
            if status in _OUTCOMES:
                self._deliveries.labels(_OUTCOMES[status]).inc(count)
        self._latency.observe(
            max(0.0, now_ms - ids.milliseconds(each.claimed.event_id)) / 1000
            for each, status in zip(made, statuses, strict=True)
            if each.outcome.error is None and status is not None
        )

    def _counter(self, name: str, documentation: str, label: str) -> Counter:
        return Counter(
            name, documentation, [label], "ascwebhooks", registry=self._registry
        )

    def _histogram(
        self, name: str, documentation: str, bounds: Sequence[float], label: str = ""
    ) -> BatchHistogram:
        made = BatchHistogram(f"ascwebhooks_{name}", documentation, bounds, label)
        self._registry.register(made)
        return made
