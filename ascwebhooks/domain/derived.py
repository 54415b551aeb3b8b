"""Derived events: what this service works out from signals, as events of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ascwebhooks.domain import events
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
