"""How answers are put together, and written as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from flask.json.provider import JSONProvider

_encode = msgspec.json.Encoder().encode


class Json(JSONProvider):
    """JSON by msgspec: a ``msgspec.Raw`` goes out byte for byte.

    So an event's data is shown as it came, with its own spacing and numbers.
    """

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return ``obj`` as JSON."""
        return _encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Return the value in ``s``."""
        return msgspec.json.decode(s)


class With:
    """A row with more to show beside it, for a schema to read."""

    def __init__(self, row: object, **more: Any) -> None:
        self._row = row
        self._more = more

    def __getattr__(self, name: str) -> Any:
        """Return what was added, or else the row's own."""
        if name in self._more:
            return self._more[name]
        return getattr(self._row, name)
