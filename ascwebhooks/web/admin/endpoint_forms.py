"""The form of an endpoint: its fields, what they show, and what they ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from ascwebhooks.domain import schedules
from ascwebhooks.domain.deliveries import MAX_RATE_PER_S, Ordering
from ascwebhooks.domain.filters import MAX_CHARACTERS
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.retry import DEFAULT_SCHEDULE_S
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.domain.urls import MAX_URL_LENGTH
from ascwebhooks.errors import InvalidInput, PreconditionFailed
from ascwebhooks.services.described import Described
from ascwebhooks.web.admin import event_types
from ascwebhooks.web.admin.event_types import Group
from ascwebhooks.web.admin.forms import Line, Words
from ascwebhooks.web.api.fields import Text


def _whole(low: int, high: int, **options: Any) -> fields.Integer:
    wrong = f"a whole number from {low} to {high:,}."
    return fields.Integer(
        validate=validate.Range(low, high, error=wrong),
        error_messages={"invalid": wrong, "required": wrong},
        **options,
    )


class Lines(fields.List[str]):
    """Several fields of the same name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Text(), load_default=list, **options)


class WishFields(Schema):
    """Which events, and which of those: ``types`` are ticked, the others written."""

    types = Lines()
    event_types = Words(load_default=list)
    filter = Text(load_default=None, validate=validate.Length(max=MAX_CHARACTERS))


class EndpointFields(WishFields):
    """What can be chosen of an endpoint at any time."""

    url = Line(
        required=True,
        validate=validate.Length(max=MAX_URL_LENGTH),
        error_messages={"required": "Where should deliveries go? Give an https URL."},
    )
    description = Line(load_default="", validate=validate.Length(max=500))
    header_name = Lines()
    header_value = Lines()
    headers = fields.String()
    format = fields.String(required=True, validate=validate.OneOf([*Format]))
    retry_schedule_s = Line(load_default="")
    timeout_s = _whole(1, 30, required=True)
    max_in_flight = _whole(1, 1_000, required=True)
    rate_limit_per_s = _whole(1, MAX_RATE_PER_S, load_default=None)
    ordering = fields.String(required=True, validate=validate.OneOf([*Ordering]))
    region = Line(required=True)


class NewEndpoint(EndpointFields):
    """An endpoint to create."""

    signature = fields.String(required=True, validate=validate.OneOf([*Scheme]))


class ChangedEndpoint(EndpointFields):
    """A form that was opened on an endpoint as it was at ``seen``."""

    seen = fields.String(required=True)


def fresh(region: str) -> dict[str, Any]:
    """Return what the form of a new endpoint shows."""
    return {
        "types": [],
        "format": Format.STANDARD,
        "retry_schedule_s": schedules.show(DEFAULT_SCHEDULE_S),
        "timeout_s": 15,
        "max_in_flight": 20,
        "ordering": Ordering.NONE,
        "region": region,
        "signature": Scheme.HMAC,
    }


def present(found: Described, groups: Sequence[Group]) -> dict[str, Any]:
    """Return what the form of an endpoint shows."""
    row = found.endpoint
    wanted = [] if is_shared(found) else types_of(found)
    ticked, written = event_types.split(wanted, groups)
    plain = (
        "url description format timeout_s max_in_flight rate_limit_per_s ordering"
        " region"
    )
    return {
        **{name: getattr(row, name) for name in plain.split()},
        "types": ticked,
        "event_types": " ".join(written),
        "filter": found.filter,
        "header_name": list(found.header_names),
        "header_value": ["" for _ in found.header_names],
        "retry_schedule_s": schedules.show(row.retry_schedule_s),
        "seen": version(found),
    }


def wishes(read: dict[str, Any]) -> dict[str, Any]:
    """Return the event types and the filter that were asked for."""
    types = [*read.pop("types"), *read.pop("event_types")]
    return {
        "event_types": list(dict.fromkeys(types)),
        "filter": (read.pop("filter") or "").strip() or None,
    }


def asked(read: dict[str, Any], kept: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a form asks for, by the names of ``Endpoints.create``.

    Args:
        read: What was sent, read by the schema.
        kept: Names of headers whose values are kept where none is given.

    Raises:
        InvalidInput: If headers or the schedule cannot be read.
    """
    read.pop("headers", None)
    found = wishes(read)
    headers = _headers(read.pop("header_name"), read.pop("header_value"), kept)
    schedule = schedules.parse(read.pop("retry_schedule_s"))
    return {**read, **found, "headers": headers, "retry_schedule_s": schedule}


def types_of(found: Described) -> list[str]:
    """Return all types and globs that an endpoint's subscriptions name."""
    named = (name for each in found.subscriptions for name in each.event_types)
    return list(dict.fromkeys(named))


def is_shared(found: Described) -> bool:
    """Return whether it has several subscriptions, to be changed one by one."""
    return len(found.subscriptions) > 1


def version(found: Described) -> str:
    """Return what changes with every change that the form could undo."""
    moments = [found.endpoint.updated_at, *(x.updated_at for x in found.subscriptions)]
    ids = [str(each.id) for each in found.subscriptions]
    text = " ".join([*(each.isoformat() for each in moments), *ids])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def unchanged_since(seen: str) -> Callable[[Described], None]:
    """Return a check that an endpoint is as it was when its form was opened."""

    def check(found: Described) -> None:
        if version(found) != seen:
            raise PreconditionFailed(
                "somebody changed this endpoint since you opened the form; nothing was"
                " saved. Open it again in another tab to see how it is now."
            )

    return check


def _headers(
    names: Sequence[str], values: Sequence[str], kept: Sequence[str]
) -> dict[str, str | None]:
    if len(names) != len(values):
        raise ValidationError("Send a value for each name.", "headers")
    headers: dict[str, str | None] = {}
    for name, value in zip(map(str.strip, names), values, strict=True):
        if not name and not value:
            continue
        if name in headers:
            raise InvalidInput(f"headers: {name!a} is given twice.", field="headers")
        headers[name] = None if not value and name in kept else value
    return headers
