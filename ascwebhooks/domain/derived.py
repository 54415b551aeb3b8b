"""Derived events: what this service works out from signals, as events of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.events import Event

#: Nobody else may publish events of this source: their ids can be guessed.
SOURCE = "/ascwebhooks/triggers"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return events.iso(value)
        case Decimal():
            return f"{value:f}"
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def derived(
    type: str,
    *,
    id: str,
    tenant_id: str,
    at: datetime,
    subject: str,
    data: Mapping[str, Any],
) -> Event:
    """Return an event as if it had come in.

    Args:
        type: Its type.
        id: What tells it from every other one of the tenant's: made of what it is
            about, so that the same cause cannot make it twice.
        tenant_id: Whose.
        at: When it happened.
        subject: What it is about.
        data: JSON, with aware times and exact sums (written as text).
    """
    return Event(
        tenant_id=tenant_id,
        type=type,
        source=SOURCE,
        source_id=id,
        subject=subject,
        time=at,
        time_text=events.iso(at),
        traceparent=None,
        tracestate=None,
        dataschema=None,
        severitytext=None,
        correlationid=None,
        data=msgspec.json.encode(_plain(dict(data))),
    )


def derived_id(event: Event, now: datetime) -> UUID:
    """Return the id that a derived event gets when it is written ``now``.

    Made of what it is about, so that rows can name an event before it is there.
    """
    name = f"{event.tenant_id}\0{event.source_id}".encode()
    chance = hashlib.sha256(name).digest()[: ids.random_bytes(1)]
    return ids.uuid7(int(now.timestamp() * 1000), chance)
