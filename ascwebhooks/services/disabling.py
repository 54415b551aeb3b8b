"""Disabling endpoints whose receivers said that they are gone.

In a thread of its own: it waits for the tenant's row, which others may hold, and no
lease and no attempt may wait for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event
from uuid import UUID

import structlog

from ascwebhooks import vital
from ascwebhooks.errors import Unavailable

log = structlog.get_logger()

_PAUSE_S = 1.0
_IDLE_S = 60.0


class Disabling:
    """Disables one endpoint after the other."""

    def __init__(
        self,
        disable: Callable[[str, UUID, str], None],
        done: Callable[[UUID], None],
    ) -> None:
        """Take what disables (tenant, endpoint, reason), and whom to tell."""
        self._disable = disable
        self._done = done
        self._gone: deque[tuple[str, UUID]] = deque()
        self._wake = Event()
        self._stopping = Event()
        self._thread = vital.thread(self._run, "disabling")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Try what is left once more, for ``timeout_s`` at most, and end.

        What it does not get to is found again: the receiver answers 410 again.
        """
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def gone(self, tenant_id: str, endpoint_id: UUID) -> None:
        """Disable an endpoint soon."""
        self._gone.append((tenant_id, endpoint_id))
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            self._work()
        self._work()

    def _work(self) -> None:
        for _ in range(len(self._gone)):
            tenant_id, endpoint_id = self._gone.popleft()
            try:
                self._disable(tenant_id, endpoint_id, "gone")
            except Unavailable as error:
                log.warning("endpoint_not_disabled_yet", error=str(error.__cause__))
                self._gone.append((tenant_id, endpoint_id))
                self._stopping.wait(_PAUSE_S)
                self._wake.set()
            except Exception:
                log.exception("endpoint_not_disabled")
            else:
                self._done(endpoint_id)
