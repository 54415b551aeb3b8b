"""An endpoint's queue inside the sender, and how many of it may be out at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ascwebhooks.outbound.requests import Job


class Lane:
    """A first-in, first-out queue of jobs with a window that learns.

    The window starts small and grows by one with each whole answer, up to
    ``cap``; a timeout or a failed connection halves it.  So endpoints that hang
    cannot fill the sender before it is known that they do.

    ``put`` and ``take_all`` may be called from any thread, the rest belongs to
    the loop.  One operation on a deque is atomic, so there is no lock.

    Args:
        cap: How many requests may be out at once, at least 1.
        start_window: How many may be out before anything is known.
    """

    __slots__ = ("_active", "_jobs", "_window", "cap", "scheduled")

    def __init__(self, cap: int, start_window: int = 4) -> None:
        self.cap = cap
        #: Whether the loop has this lane in its round; the loop's alone.
        self.scheduled = False
        self._window = max(1, min(cap, start_window))
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

    def take(self) -> Job | None:
        """Start the next job; None if there is none or the window is full."""
        if self._active >= self._window or self._active >= max(1, self.cap):
            return None
        try:
            job = self._jobs.popleft()
        except IndexError:
            return None
        self._active += 1
        return job

    def finished(self) -> None:
        """Count one job out of the window."""
        self._active -= 1

    def widen(self) -> None:
        """Grow the window: a whole answer came."""
        if self._window < self.cap:
            self._window += 1

    def narrow(self) -> None:
        """Halve the window: no connection, or no answer in time."""
        self._window = max(1, self._window // 2)
