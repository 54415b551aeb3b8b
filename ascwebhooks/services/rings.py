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

from ascwebhooks.storage.doors import Doors, Urgency
from ascwebhooks.storage.mailboxes import Due

log = structlog.get_logger()

#: One message carries so many endpoints; more would make one turn too long.
ENDPOINTS_A_MESSAGE = 64
_WAITING_LIMIT = 100_000

#: ``publish(endpoint ids, region, slow)`` hands one message to the broker.
Publish = Callable[[Sequence[UUID], str, bool], None]
#: ``waiting(region, slow)`` tells how many messages nobody has taken yet.
Waiting = Callable[[str, bool], int]
#: A queue gets no longer: perhaps nobody serves the region.
CROWDED = 1_000


class Rings:
    """The bell."""

    def __init__(self, doors: Doors, publish: Publish, waiting: Waiting) -> None:
        """Take what shuts doors, publishes, and counts what waits."""
        self._doors = doors
        self._publish = publish
        self._queue_length = waiting
        self._waiting: dict[Due, Urgency] = {}
        self._changed = Condition()
        self._thread: Thread | None = None
        self._closed = False

    def ring(self, due: Iterable[Due], urgency: Urgency = Urgency.USUAL) -> None:
        """Ring these endpoints soon; return at once.

        Args:
            due: Whom; the caller has committed what is due there.
            urgency: Whom of them in any case.
        """
        with self._changed:
            for each in due:
                if len(self._waiting) >= _WAITING_LIMIT:
                    log.warning("rings_dropped", waiting=len(self._waiting))
                    break
                self._waiting[each] = max(urgency, self._waiting.get(each, urgency))
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

    def _ring_all(self, taken: dict[Due, Urgency]) -> None:
        groups: dict[tuple[str, Urgency], list[UUID]] = defaultdict(list)
        for due, urgency in taken.items():
            groups[due.region, urgency].append(due.endpoint_id)
        for (region, urgency), endpoint_ids in groups.items():
            try:
                self._ring_region(endpoint_ids, region, urgency)
            except Exception as error:  # noqa: BLE001 - a thread's edge
                # Of whatever kind: the broker's libraries raise many. The sweeper
                # rings again.
                log.warning("ring_failed", region=region, error=repr(error))

    def _ring_region(
        self, endpoint_ids: list[UUID], region: str, urgency: Urgency
    ) -> None:
        fast, slow = self._doors.shut(endpoint_ids, urgency)
        try:
            self._publish_all(list(_batches(fast, ENDPOINTS_A_MESSAGE)), region, False)
            self._publish_all([[each] for each in slow], region, True)
        except Exception:
            self._doors.open(endpoint_ids)
            raise

    def _publish_all(
        self, messages: list[Sequence[UUID]], region: str, slow: bool
    ) -> None:
        """Publish messages, but no more than their queue is to hold.

        The doors of the others are opened: the sweep rings them when somebody has
        taken what waits.
        """
        if not messages:
            return
        room = max(0, CROWDED - self._queue_length(region, slow))
        for each in messages[:room]:
            self._publish(each, region, slow)
        if len(messages) > room:
            withheld = [each for some in messages[room:] for each in some]
            self._doors.open(withheld)
            log.warning(
                "rings_withheld", region=region, slow=slow, endpoints=len(withheld)
            )


def _batches(items: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
