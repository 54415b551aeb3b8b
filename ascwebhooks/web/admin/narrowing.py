"""What a list is narrowed to, by the query of its URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from ascwebhooks.errors import NotFound, SearchTooLong
from ascwebhooks.web.admin.lists import Page

OWN = "own"
#: How long ago the presets begin, by their names in URLs.
RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
RANGE_CHOICES = (
    ("", "Any time"),
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    (OWN, "From … to …"),
)
#: What is no filter: where a page begins.
_PLACES = {"after", "before"}


class Narrowed(NamedTuple):
    """A list as far as it was found.

    Args:
        page: Its rows; None if there is none to show.
        errors: What is wrong with the query, a sentence each.
        too_long: Whether looking for it was given up.
        is_narrowed: Whether the query narrows it at all.
    """

    page: Page | None
    errors: list[str]
    too_long: bool
    is_narrowed: bool

    @property
    def status(self) -> HTTPStatus:
        """The answer's."""
        if self.errors:
            return HTTPStatus.UNPROCESSABLE_ENTITY
        if self.too_long:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.OK


def parse_time(given: str) -> datetime | None:
    """Return a time in UTC; None if it is none.

    Args:
        given: As ``datetime-local`` writes it, or in ISO 8601; without a zone UTC.
            A '+' in a URL that was typed by hand comes as a space.
    """
    text = given.strip()
    for each in (text, text.replace(" ", "+")):
        with suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(each)
            aware = found if found.tzinfo else found.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
    return None


class Utc(fields.Field[datetime]):
    """A time (``parse_time``)."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        moment = parse_time(str(value))
        if moment is None:
            raise ValidationError(f"{value!r} is no time.")
        if moment.year < 1970:
            raise ValidationError("Times begin in 1970.")
        return moment


class Choice(fields.Field[str]):
    """One of what a list of choices offers; of another it says what there is.

    Args:
        offered: What there is, as URLs have it; of an enumeration its members.
        options: Those of every field.
    """

    def __init__(self, offered: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self._offered = {str(each): each for each in offered}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        found = self._offered.get(str(value))
        if found is None:
            there_is = ", ".join(self._offered)
            raise ValidationError(f"{str(value)[:64]!r} is none of {there_is}.")
        return found


class Times(Schema):
    """A preset, or a range of one's own."""

    range = Choice([*RANGES, OWN])
    since = Utc()
    until = Utc()


def read(schema: type[Schema]) -> tuple[dict[str, Any], list[str]]:
    """Return what the query asks for, and what is wrong with it.

    Args:
        schema: A ``Times`` with more filters; the preset becomes ``since``.
    """
    given = {name: value.strip() for name, value in request.args.items()}
    if given.get("range", OWN) != OWN:
        given.pop("since", None)
        given.pop("until", None)
    try:
        found = schema(unknown=EXCLUDE).load({k: v for k, v in given.items() if v})
    except ValidationError as error:
        return {}, [
            f"{name}: {' '.join(map(str, told))}"
            for name, told in sorted(error.messages_dict.items())
        ]
    wanted: dict[str, Any] = dict(found)
    chosen = wanted.pop("range", OWN)
    if chosen in RANGES:
        wanted["since"] = datetime.now(UTC) - RANGES[chosen]
    since, until = wanted.get("since"), wanted.get("until")
    if since and until and since >= until:
        return {}, ["until: It has to be later than since."]
    return wanted, []


def find(schema: type[Schema], fetch: Callable[[dict[str, Any]], Page]) -> Narrowed:
    """Return the list that the query asks for.

    Args:
        schema: Reads the query.
        fetch: Is given what the schema made of it.
    """
    wanted, errors = read(schema)
    given = {name for name, value in request.args.items() if value} - _PLACES
    page, too_long = None, False
    if not errors:
        try:
            page = fetch(wanted)
        except SearchTooLong:
            too_long = True
        except NotFound as error:
            errors = [str(error)]
    return Narrowed(page, errors, too_long, bool(given - {"range"}) or "range" in given)
