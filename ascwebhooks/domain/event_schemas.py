"""Holding events against the catalogue, for tenants that are strict.

What is told of a misfit is where it is and what the schema wants there.  It is shown to
people and logged, so nothing of the event is in it: no value, and no name that is a
value, as those of what was redacted are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.domain.events import Rejected

UNKNOWN_TYPE = "unknown_type"
SCHEMA_MISMATCH = "schema_mismatch"
#: So many of an event's problems are told.
_TOLD = 5
_WORDS = {
    "type": "must be of type {}",
    "pattern": "must match {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "anyOf": "must have {}",
}
_decode = msgspec.json.Decoder().decode


class _Parts(NamedTuple):
    """A type's schema cut up, so that a misfit is told of field by field.

    Telling of every error at once takes seconds where a list of 100,000 is wrong; the
    first one of each field takes no time.
    """

    itself: Draft202012Validator
    fields: Mapping[str, Draft202012Validator]


def check(event_type: str, data: bytes) -> None:
    """Return if an event is one of the catalogue's.

    Args:
        event_type: Its type.
        data: Valid JSON.

    Raises:
        Rejected: If the catalogue has no such type, or the type's schema refuses the
            data; the detail names the place.

    Source:
        JSON Schema 2020-12, Validation.  ``format`` is asserted (§7.2.2).
    """
    if event_type not in CATALOGUE:
        raise Rejected(
            UNKNOWN_TYPE,
            "the catalogue has no such type, and this tenant takes no others.",
        )
    value = _value(data)
    if not _whole(event_type).is_valid(value):
        raise Rejected(SCHEMA_MISMATCH, _told(_problems(event_type, value)))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(dict(schema), validate_formats=True, offline=True)


@cache
def _whole(event_type: str) -> Draft202012Validator:
    """Return what holds data against a type's schema, made when it is first wanted."""
    return _validator(CATALOGUE[event_type].schema)


@cache
def _parts(event_type: str) -> _Parts:
    schema = CATALOGUE[event_type].schema
    itself = {name: each for name, each in schema.items() if name != "properties"}
    fields = schema["properties"].items()
    return _Parts(_validator(itself), {name: _validator(each) for name, each in fields})


def _value(data: bytes) -> Any:
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        # A number beyond a float's range somewhere.
        return json.loads(data)


def _problems(event_type: str, value: Any) -> Iterator[str]:
    """Return what is wrong: with the data itself, and in each field the first."""
    schema, parts = CATALOGUE[event_type].schema, _parts(event_type)
    if (error := _first(parts.itself, value)) is not None:
        yield _told_of(error, schema)
    if isinstance(value, dict):
        for name, validator in parts.fields.items():
            if name in value and (error := _first(validator, value[name])) is not None:
                yield _told_of(error, schema["properties"][name], name)


def _first(validator: Draft202012Validator, value: Any) -> ValidationError | None:
    try:
        validator.validate(value)
    except ValidationError as error:
        return error
    return None


def _told(problems: Iterable[str]) -> str:
    told = list(islice(problems, _TOLD + 1))
    more = ["and more"] if len(told) > _TOLD else []
    return "; ".join([*told[:_TOLD], *more]) + "."


def _told_of(error: ValidationError, schema: Mapping[str, Any], *under: str) -> str:
    """Return where a schema refused something, and what it wants there.

    Args:
        error: What the schema said.
        schema: Of the data, or of the field in it.
        under: The field's name.
    """
    above: Any = schema
    for step in error.schema_path[:-1]:
        above = above[step]
    names = {*under, *_names(schema)}
    path = [*under, *error.instance_path]
    if isinstance(error.kind, ValidationErrorKind.Required):
        return f"{_place([*path, error.kind.property], names)} is missing"
    return f"{_place(path, names)} {_wanted(above, str(error.schema_path[-1]))}"


def _wanted(schema: Mapping[str, Any], keyword: str) -> str:
    wanted = schema[keyword]
    if keyword in {"format", "pattern"} and "format" in schema:
        return f"must be a {schema['format']} of RFC 3339"
    if keyword == "type" and isinstance(wanted, list):
        wanted = " or ".join(wanted)
    if keyword == "anyOf":
        wanted = " or ".join(each["required"][0] for each in wanted)
    return _WORDS.get(keyword, f"does not fit {keyword}").format(wanted)


def _place(path: Iterable[str | int], names: Collection[str]) -> str:
    """Return a path as filters write it; ``*`` for a name that is not the schema's."""
    place = "data"
    for step in path:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in names:
            place += ".*"
        else:
            place += f'["{step}"]' if "." in step else f".{step}"
    return place


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from _names(inner)
