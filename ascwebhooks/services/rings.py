"""Ringing: telling delivery workers whose mailbox has something due.

A ring may be lost at any point without harm: the sweeper finds what is due in
PostgreSQL.  So nobody waits for one: a thread of its own does the talking,
because a broker that is frozen blocks a publish for many seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Condition, Thread
from uuid import UUID

import structlog

from ascwebhooks.storage.doors import Doors
from ascwebhooks.storage.mailboxes import Due

log = structlog.get_logger()

#: One message carries so many endpoints; more would make one turn too long.
ENDPOINTS_A_MESSAGE = 64
_WAITING_LIMIT = 100_000

#: ``publish(endpoint ids, region, slow)`` hands one message to the broker.
Publish = Callable[[Sequence[UUID], str, bool], None]
#: ``waiting(region, slow)`` tells how many messages nobody has taken yet.
Waiting = Callable[[str, bool], int]
#: The sweep adds nothing to a queue this long: perhaps nobody serves the region.
CROWDED = 1_000


class Rings:
    """The bell."""

    def __init__(self, doors: Doors, publish: Publish, waiting: Waiting) -> None:
        """Take what shuts doors, publishes, and counts what waits."""
        self._doors = doors
        self._publish = publish
        self._queue_length = waiting
        self._waiting: dict[Due, bool] = {}
        self._changed = Condition()
        self._thread: Thread | None = None
        self._closed = False

    def ring(self, due: Iterable[Due], *, whatever: bool = False) -> None:
        """Ring these endpoints soon; return at once.

        Args:
            due: Whom; the caller has committed what is due there.
            whatever: Ring also those that were rung a moment ago.
        """
        with self._changed:
            for each in due:
                if len(self._waiting) >= _WAITING_LIMIT:
                    log.warning("rings_dropped", waiting=len(self._waiting))
                    break
                self._waiting[each] = whatever or self._waiting.get(each, False)
            self._start()
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Ring what waits, for ``timeout_s`` at most, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _start(self) -> None:
        if self._thread is None and self._waiting:
            self._thread = Thread(target=self._run, name="rings", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                taken, self._waiting = self._waiting, {}
                if not taken:
                    return
            self._ring_all(taken)

    def _ring_all(self, taken: dict[Due, bool]) -> None:
        groups: dict[tuple[str, bool], list[UUID]] = defaultdict(list)
        for due, whatever in taken.items():
            groups[due.region, whatever].append(due.endpoint_id)
        for (region, whatever), endpoint_ids in groups.items():
            try:
                self._ring_region(endpoint_ids, region, whatever=whatever)
            except Exception as error:  # noqa: BLE001 - a thread's edge
                # Of whatever kind: the broker's libraries raise many. The sweeper
                # rings again.
                log.warning("ring_failed", region=region, error=repr(error))

    def _ring_region(
        self, endpoint_ids: list[UUID], region: str, *, whatever: bool
    ) -> None:
        if whatever and self._queue_length(region, False) > CROWDED:
            log.warning("rings_withheld", region=region, endpoints=len(endpoint_ids))
            return
        fast, slow = self._doors.shut(endpoint_ids, whatever=whatever)
        try:
            for some in _batches(fast, ENDPOINTS_A_MESSAGE):
                self._publish(some, region, False)
            for each in slow:
                self._publish([each], region, True)
        except Exception:
            self._doors.open(endpoint_ids)
            raise


def _batches(items: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
