"""A task in a thread beside the supervisor's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(threading.Thread, Generic[T]):
    """Runs a task; ``result`` returns what it returned, or raises what it raised."""

    def __init__(self, task: Callable[[], T]) -> None:
        super().__init__(name="beside", daemon=True)
        self._task = task
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the task and keep what comes of it."""
        try:
            self._result.append(self._task())
        except BaseException as error:  # noqa: BLE001  (raised again by result)
            self._error = error

    def result(self) -> T:
        """Wait for the task; return its result or raise its error."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._result[0]
