"""Selections of dead letters: filters and ids, as URLs and forms carry them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from werkzeug.datastructures import MultiDict

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.events import iso
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.statistics import Span
from ascwebhooks.errors import InvalidInput
from ascwebhooks.web.admin.narrowing import Choice, parse_time
from ascwebhooks.web.api.fields import Id, Text

#: Of a selection by hand: the deliveries' ids.
CHOSEN = "delivery"
#: What is said as so long ago, and the time that it stands for.
_AGO = {"within": "since", "died": "died_since"}
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Time(fields.Field[datetime]):
    """A time (``narrowing.parse_time``)."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> datetime:
        at = parse_time(value)
        if at is None:
            raise ValidationError("Give a time such as 2026-11-23 08:00.")
        if at < _EARLIEST:
            raise ValidationError("That is too long ago.")
        return at


class _Query(Schema):
    endpoint_id = Id(Kind.ENDPOINT)
    reason = Choice(DeadReason, attribute="dead_reason")
    type = Text(attribute="event_type")
    error = Choice(ErrorClass)
    status_code = fields.Integer(validate=validate.Range(100, 999))
    since = Time()
    until = Time()
    within = Choice(Span)
    died_since = Time()
    died = Choice(Span)


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant.

    Args:
        filter: What they have in common.
        query: The same as a query or hidden fields have it.
        errors: What is wrong with what was given, by field; that was left out.
        chosen: Some of them, if those were chosen by hand.
    """

    filter: DeliveryFilters
    query: dict[str, str]
    errors: dict[str, str]
    chosen: list[UUID] | None = None

    @property
    def status(self) -> HTTPStatus:
        """That of an answer that shows what is selected."""
        return HTTPStatus.UNPROCESSABLE_ENTITY if self.errors else HTTPStatus.OK

    @property
    def what(self) -> dict[str, Any]:
        """What ``Replays`` is to be about."""
        if self.chosen is not None:
            return {"deliveries": self.chosen}
        return {"filter": self.filter}

    @property
    def fixed(self) -> list[tuple[str, str]]:
        """It as fields of a form: of "the last hour" since when, and the ids."""
        if self.chosen is not None:
            shown = (ids.show(Kind.DELIVERY, each) for each in self.chosen)
            return [(CHOSEN, each) for each in shown]
        return list(self.pinned.items())

    @property
    def pinned(self) -> dict[str, str]:
        """The query, of "the last hour" since when: an hour later it is the same."""
        kept = {name: value for name, value in self.query.items() if name not in _AGO}
        times = {name: self.filter.get(name) for name in _AGO.values()}
        return kept | {
            name: iso(at) for name, at in times.items() if isinstance(at, datetime)
        }

    @property
    def pinning(self) -> dict[str, str | None]:
        """What changes in this page's query to pin it; None is taken away.

        Nothing where something could not be read: that has to be said again.
        """
        return {} if self.errors else {**dict.fromkeys(_AGO), **self.pinned}


def read(given: MultiDict[str, str] | None = None) -> Selection:
    """Return what a query, or a form, selects."""
    values = request.args if given is None else given
    known = _Query().fields
    query = {
        name: value for name in known if (value := values.get(name, "").strip()) != ""
    }
    filter, errors = _load(query)
    for ago, name in _AGO.items():
        span = filter.pop(ago, None)
        if span is not None and name not in filter:
            filter[name] = datetime.now(UTC) - timedelta(seconds=span.back_s)
    if "since" in filter and "until" in filter and filter["since"] >= filter["until"]:
        errors["until"] = "It has to be later than since."
        del filter["until"]
    for name in errors:
        query.pop(name, None)
    chosen = values.getlist(CHOSEN)
    return Selection(
        cast(DeliveryFilters, filter), query, errors, _ids(chosen) if chosen else None
    )


def check(selection: Selection) -> Selection:
    """Return a selection all of which could be read.

    What could not be read must not be left out here: more would be replayed than was
    asked for.

    Raises:
        InvalidInput: If something could not.
    """
    for name, problem in selection.errors.items():
        raise InvalidInput(f"{name.replace('_', ' ')}: {problem}")
    return selection


def _load(query: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        return _Query(unknown=EXCLUDE).load(query), {}
    except ValidationError as error:
        problems = {
            str(name): str(found[0] if isinstance(found, list) else found)
            for name, found in error.messages_dict.items()
        }
        valid = {k: v for k, v in query.items() if k not in problems}
        return _Query(unknown=EXCLUDE).load(valid), problems


def _ids(texts: list[str]) -> list[UUID]:
    return sorted({ids.read(Kind.DELIVERY, each) for each in texts})
