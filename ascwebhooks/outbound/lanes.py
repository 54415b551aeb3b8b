"""An endpoint's queue inside the sender, and when its next request may go out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from ascwebhooks.domain.deliveries import ErrorClass, Outcome
from ascwebhooks.domain.health import BREAKER_FAILURES, pause, streak
from ascwebhooks.outbound.requests import Job

#: After these the window is halved: the receiver was not reached, or not in time.
_NARROWING = frozenset(
    {
        ErrorClass.CONNECT_ERROR,
        ErrorClass.CONNECT_TIMEOUT,
        ErrorClass.DNS_ERROR,
        ErrorClass.TIMEOUT,
        ErrorClass.TLS_ERROR,
    }
)
#: After these, and after success, it grows: a whole answer came.
_WIDENING = frozenset({ErrorClass.HTTP_STATUS, ErrorClass.REDIRECT})


class Lane:
    """A first-in, first-out queue of jobs that says when the next one may start.

    The window starts small and grows by one with each whole answer, up to
    ``cap``; a timeout or a failed connection halves it.  So endpoints that hang
    cannot fill the sender before it is known that they do.

    While its endpoint fails, no more go out than would open the breaker: by the
    time the failures are recorded, a fast receiver could have failed hundreds.  And
    nothing more goes out once it asked to be left alone.  Nothing goes out past
    ``until`` either: by then another process may serve the endpoint.

    ``put`` and ``take_all`` may be called from any thread, the rest belongs to
    the loop.  One operation on a deque is atomic, so there is no lock.

    Args:
        cap: How many requests may be out at once, at least 1.
        start_window: How many may be out before anything is known.
        failures: How many failures in a row there are; None if the breaker is not
            to be minded.
        interval_s: How long after the start of one request the next may start.
        start_at: When the first may, by ``time.monotonic``.
        until: When the lease ends, by ``time.monotonic``.
    """

    __slots__ = (
        "_active",
        "_failures",
        "_held",
        "_interval_s",
        "_jobs",
        "_next_at",
        "_window",
        "cap",
        "scheduled",
        "until",
    )

    def __init__(
        self,
        cap: int,
        start_window: int = 4,
        *,
        failures: int | None = None,
        interval_s: float = 0.0,
        start_at: float = 0.0,
        until: float = math.inf,
    ) -> None:
        self.cap = cap
        #: Moved by whoever renews the lease, in a thread of its own.
        self.until = until
        #: Whether the loop has this lane in its round; the loop's alone.
        self.scheduled = False
        self._window = max(1, min(cap, start_window))
        self._failures = failures
        self._held = False
        self._interval_s = interval_s
        self._next_at = start_at
        self._jobs: deque[Job] = deque()
        self._active = 0

    @property
    def queued(self) -> int:
        """How many jobs have not been started."""
        return len(self._jobs)

    @property
    def active(self) -> int:
        """How many jobs have been started and are not done."""
        return self._active

    @property
    def window(self) -> int:
        """How many may be out now."""
        return max(1, min(self._window, self.cap))

    @property
    def next_at(self) -> float:
        """When the pace lets the next one start, by ``time.monotonic``."""
        return self._next_at

    def put(self, jobs: Iterable[Job]) -> None:
        """Add ``jobs`` at the end."""
        self._jobs.extend(jobs)

    def take_all(self) -> list[Job]:
        """Take back what was not started, in order."""
        taken: list[Job] = []
        try:
            while True:
                taken.append(self._jobs.popleft())
        except IndexError:
            return taken

    def take(self, now: float) -> Job | None:
        """Start the next job; None if there is none or it may not start yet.

        Args:
            now: ``time.monotonic()``.
        """
        if self._full() or now < self._next_at or now >= self.until:
            return None
        try:
            job = self._jobs.popleft()
        except IndexError:
            return None
        self._active += 1
        if self._interval_s:
            # From now, not from when it might have been: what is late is not made
            # up for, or two would arrive closer together than the rate allows.
            self._next_at = now + self._interval_s
        return job

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to go out before what came of it is recorded."""
        return self._held or (self._failures or 0) >= BREAKER_FAILURES

    def _full(self) -> bool:
        if self._held or self._active >= self._window:
            return True
        if self._active >= max(1, self.cap):
            return True
        return bool(self._failures) and (
            self._active + (self._failures or 0) >= BREAKER_FAILURES
        )

    def paced(self, now: float) -> bool:
        """Return whether something waits here for ``next_at``."""
        return now < self._next_at and bool(self._jobs)

    def finished(self, outcome: Outcome) -> None:
        """Count one job out, and learn from what came of it."""
        self._active -= 1
        error = outcome.error
        if self._failures is not None:
            self._failures = streak(self._failures, outcome)
        self._held = self._held or pause(outcome) is not None
        if error is None or error in _WIDENING:
            if self._window < self.cap:
                self._window += 1
        elif error in _NARROWING:
            self._window = max(1, self._window // 2)
