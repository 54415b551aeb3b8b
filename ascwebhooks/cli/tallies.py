"""What a receiver got: which events, how often, how soon, verified or not."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable

from ascwebhooks.embedded.receiver import Received


class Tally:
    """Counts deliveries of the events that it was told to expect.

    Safe to use from the receiver's threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent_s: dict[str, float] = {}
        self._latency_s: dict[str, float] = {}
        self._verified: set[str] = set()
        self._times: Counter[str] = Counter()
        self.refused = 0

    def sending(self, source_id: str) -> None:
        """Note that an event is handed over now."""
        with self._lock:
            self._sent_s[source_id] = time.monotonic()

    def received(self, delivery: Received) -> None:
        """Note a delivery; what was not expected does not count."""
        now_s = time.monotonic()
        source_id = _source_id(delivery.body)
        with self._lock:
            if source_id not in self._sent_s:
                return
            if not delivery.verified:
                self.refused += 1
                return
            self._verified.add(source_id)
            self._times[source_id] += 1
            self._latency_s.setdefault(source_id, now_s - self._sent_s[source_id])

    @property
    def verified(self) -> int:
        """How many events came with a right signature."""
        with self._lock:
            return len(self._verified)

    @property
    def duplicates(self) -> int:
        """How many deliveries came beyond the first of each event."""
        with self._lock:
            return self._times.total() - len(self._times)

    def latency_ms(self, share: float) -> float:
        """Return the latency that this share of the events did not exceed."""
        with self._lock:
            return percentile(self._latency_s.values(), share) * 1000


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that ``share`` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = -int(-len(ordered) * share // 1)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def _source_id(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("id", "")) if isinstance(found, dict) else ""
