"""Fields of our own: ids, times, and text that PostgreSQL can hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from ascwebhooks.domain import budget_drafts, budgets, events, filters, ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class Id(fields.Field[UUID]):
    """A TypeID outside, a UUID inside."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        metadata = {"example": f"{kind}_01kb0c6v4ze8tbc5t6q1s2n3xy"}
        super().__init__(
            metadata={**metadata, **options.pop("metadata", {})}, **options
        )
        self._kind = kind

    def _serialize(self, value: UUID | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else ids.show(self._kind, value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> UUID:
        try:
            return ids.read(self._kind, str(value))
        except NotFound as error:
            raise ValidationError(str(error)) from error


class Moment(fields.AwareDateTime):
    """RFC 3339, in UTC with Z when it is shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=validate.Range(min=_FIRST), **options)

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else events.iso(value)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> datetime:
        try:
            return super()._deserialize(value, *args, **options).astimezone(UTC)
        except OverflowError as error:
            raise self.make_error(
                "invalid", input=value, obj_type="datetime"
            ) from error


class MomentOfId(fields.Field[UUID]):
    """The time that an id carries, shown as ``Moment`` shows one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(attribute="id", dump_only=True, **options)

    def _serialize(self, value: UUID | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else events.iso(ids.moment(value))


class Text(fields.String):
    """Text without what PostgreSQL cannot hold: NUL and half surrogate pairs."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> str:
        text: str = super()._deserialize(value, *args, **options)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValidationError(
                "half of a surrogate pair is no character."
            ) from error
        if "\0" in text:
            raise ValidationError("NUL characters cannot be stored.")
        return text


def pattern(found: re.Pattern[str]) -> str:
    """Return a pattern that is matched to the end, as JSON Schema spells it."""
    return "^" + found.pattern.removesuffix(r"\Z") + "$"


class FilterText(Text):
    """A filter: a CEL expression, or null for none."""

    def __init__(self) -> None:
        super().__init__(
            allow_none=True,
            validate=validate.Length(1, filters.MAX_CHARACTERS),
            metadata={
                "description": "A CEL expression over `type`, `source`, `subject`,"
                " `time`, `tenant` and `data`; only `true` takes an event.",
                "example": "data.spend > data.budget",
            },
        )


class Blob(fields.Field[bytes]):
    """Bytes of unknown encoding, shown as text."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.decode(errors="replace")


class Whole(fields.Integer):
    """A JSON integer; neither a string, a fraction nor a boolean."""

    def __init__(self, low: int, high: int, **options: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(low, high), **options)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return int(value)


class Amount(fields.Field[Decimal]):
    """A sum of money: text or a number in, text out, each digit kept."""

    def __init__(self, **options: Any) -> None:
        metadata = {
            "type": ["string", "number"],
            "example": "100.00",
            **options.pop("metadata", {}),
        }
        super().__init__(metadata=metadata, **options)

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else f"{value:f}"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        try:
            return budget_drafts.amount(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class Percent(fields.Field[Decimal]):
    """A percentage: a number."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        return None if value is None else budgets.number(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if isinstance(value, str):
            raise ValidationError("give a number.")
        try:
            return budget_drafts.amount(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class Number(fields.Float):
    """A JSON number; neither text nor a boolean."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        super().__init__(validate=validate.Range(low, high), **options)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        number: float = super()._deserialize(value, *args, **options)
        return number


class Flag(fields.Boolean):
    """A JSON boolean; neither text nor a number, 0 and 1 among them."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value
