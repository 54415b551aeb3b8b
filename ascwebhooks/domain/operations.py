"""Operational events: what happened to a tenant's endpoints and deliveries.

They go to whoever subscribes to them, like any event, and never feed their own
loop: a delivery of one of these types causes none when it dies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.ids import Kind

SOURCE = "/ascwebhooks"
#: The type of what is sent to an endpoint because somebody asked for it.
TEST = "endpoint.test"
Facts = dict[str, Any]


class Operation(StrEnum):
    """The types of operational events."""

    DISABLED = "endpoint.disabled"
    ENABLED = "endpoint.enabled"
    SECRET_ROTATED = "endpoint.secret_rotated"  # noqa: S105 - an event's type
    DEAD_LETTERED = "delivery.dead_lettered"


#: The same types from a gateway are no different: they would feed the same loop.
OPERATIONAL = frozenset(each.value for each in Operation)
_KINDS = {
    "endpoint_id": Kind.ENDPOINT,
    "delivery_id": Kind.DELIVERY,
    "event_id": Kind.EVENT,
}


def cloud_event(
    operation: str,
    *,
    key: UUID,
    tenant_id: str,
    at: datetime,
    named: Mapping[str, UUID | None],
    facts: Mapping[str, Any],
) -> bytes:
    """Return an operational event as a gateway would send it.

    The same arguments are the same bytes, so that a repeat is known as one.

    Args:
        operation: Its type.
        key: What tells it from every other one: its id.
        tenant_id: Whose.
        at: When it happened.
        named: ``endpoint_id``, and where it is about one ``delivery_id`` and
            ``event_id``.
        facts: What else ``data`` says.
    """
    shown = {
        name: ids.show(_KINDS[name], value)
        for name, value in named.items()
        if value is not None
    }
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(key),
            "source": SOURCE,
            "type": operation,
            "subject": shown["endpoint_id"],
            "time": events.iso(at),
            "tenantid": tenant_id,
            "data": {**shown, **dict(sorted(facts.items()))},
        }
    ).encode()


def disabled(
    reason: str | None,
    *,
    failures: int,
    since: datetime | None,
    last_status: int | None,
    last_error: str | None,
) -> Facts:
    """Return what is told of an endpoint that is disabled.

    Args:
        reason: Why.
        failures: How many there were in a row.
        since: When the first of them was.
        last_status: What the last attempt that failed was answered with, if it was.
        last_error: What went wrong with it.
    """
    return {
        "reason": reason,
        "consecutive_failures": failures,
        "first_failed_at": None if since is None else events.iso(since),
        "last_status": last_status,
        "last_error": last_error,
    }


def enabled(reason: str | None) -> Facts:
    """Return what is told of an endpoint that was disabled for ``reason``."""
    return {"reason": reason}


def secret_rotated(signature: str, overlap: timedelta) -> Facts:
    """Return what is told of a new secret; those before it sign for ``overlap``."""
    return {"signature": signature, "overlap_s": int(overlap.total_seconds())}


def endpoint_test(
    endpoint_id: UUID, *, tenant_id: str, source_id: str, at: datetime
) -> bytes:
    """Return the event that is sent to an endpoint because somebody asked for it."""
    shown = ids.show(Kind.ENDPOINT, endpoint_id)
    return json.dumps(
        {
            "specversion": "1.0",
            "id": source_id,
            "source": SOURCE,
            "type": TEST,
            "subject": shown,
            "time": events.iso(at),
            "tenantid": tenant_id,
            "data": {"endpoint_id": shown, "reason": "requested"},
        }
    ).encode()
