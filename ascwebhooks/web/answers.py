"""How answers are put together, and written as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from flask.json.provider import JSONProvider
from marshmallow import EXCLUDE, Schema, fields

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


class Answer(Schema):
    """What is shown: every field is always there, if only as null.

    Fields may be added later, so no description forbids others.
    """

    class Meta:
        """Answers are not read; this is for their description."""

        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Describe the field as one that is always there."""
        field_obj.required = True


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
