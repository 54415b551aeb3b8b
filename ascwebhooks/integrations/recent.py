"""What was seen lately, within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A mapping that forgets what was put first once it is full."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[str, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Value | None:
        """Return what was put last under a name; None if nothing is known."""
        return self._found.get(name)

    def put(self, name: str, value: Value) -> None:
        """Remember a value."""
        with self._lock:
            self._found[name] = value
            self._found.move_to_end(name)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
