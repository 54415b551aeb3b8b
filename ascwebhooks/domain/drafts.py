"""Endpoints to be made, as files and lists of them have them; read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from ascwebhooks.domain.deliveries import MAX_RATE_PER_S, Ordering
from ascwebhooks.domain.filters import MAX_CHARACTERS
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.matching import MAX_EVENT_TYPES
from ascwebhooks.domain.retry import DEFAULT_SCHEDULE_S, MAX_DELAY_S, MAX_DELAYS
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.domain.urls import MAX_URL_LENGTH

#: What is wrong, by the name of the field.
Errors = dict[str, list[str]]

#: What is wrong with a whole row stands under this name.
ROW = "row"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to be made; ``web.api.endpoints.NewEndpoint`` says the same."""

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL_LENGTH)]
    description: Annotated[str, Meta(max_length=500)] = ""
    event_types: Annotated[tuple[str, ...], Meta(max_length=MAX_EVENT_TYPES)] = ()
    filter: Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)] | None = None
    headers: Mapping[str, str] = {}
    timeout_s: Annotated[int, Meta(ge=1, le=30)] = 15
    max_in_flight: Annotated[int, Meta(ge=1, le=1000)] = 20
    retry_schedule_s: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=MAX_DELAY_S)], ...],
        Meta(max_length=MAX_DELAYS),
    ] = DEFAULT_SCHEDULE_S
    region: str | None = None
    format: Format = Format.STANDARD
    signature: Scheme = Scheme.HMAC
    ordering: Ordering = Ordering.NONE
    rate_limit_per_s: Annotated[int, Meta(ge=1, le=MAX_RATE_PER_S)] | None = None


_TYPES = get_type_hints(Draft, include_extras=True)
#: What may be null; every other field is either there or not.
_NULL = {"filter", "rate_limit_per_s"}


def read(row: object) -> tuple[Draft | None, Errors]:
    """Return the endpoint that a row describes, or else all that is wrong with it."""
    if not isinstance(row, dict):
        return None, {ROW: ["an endpoint is a JSON object."]}
    found: dict[str, Any] = {}
    errors: Errors = {}
    for name, value in row.items():
        try:
            found[name] = _field(name, value)
        except ValueError as error:
            errors[str(name)] = [str(error)]
    if "url" not in row:
        errors["url"] = ["Missing data for required field."]
    return (None, errors) if errors else (Draft(**found), {})


def _field(name: str, value: Any) -> Any:
    if name not in _TYPES:
        raise ValueError("Unknown field.")
    if value is None and name not in _NULL:
        raise ValueError("Field may not be null.")
    try:
        made = msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}.".replace(" - at `$", " at `")) from error
    for text in _texts(value):
        if not _can_be_stored(text):
            raise ValueError("it has a character that cannot be stored.")
    return made


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])


def _can_be_stored(text: str) -> bool:
    """Return whether PostgreSQL takes it: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
