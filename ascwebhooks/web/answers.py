"""How answers are written as JSON."""

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
