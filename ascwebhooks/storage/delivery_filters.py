"""Conditions of statements that find deliveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.storage.models import Delivery

#: A statement that names more than these takes too long to plan.
_MANY_ENDPOINTS = 2_000
_EQUAL = {
    "status": Delivery.status,
    "endpoint_id": Delivery.endpoint_id,
    "event_type": Delivery.event_type,
    "error": Delivery.last_error,
    "status_code": Delivery.last_status_code,
    "dead_reason": Delivery.dead_reason,
    "replay_id": Delivery.replay_id,
}


def conditions(tenant_id: str, wanted: DeliveryFilters) -> list[ColumnElement[bool]]:
    """Return what the deliveries that are wanted have in common."""
    found: list[ColumnElement[bool]] = [Delivery.tenant_id == tenant_id]
    given = {name: value for name, value in wanted.items() if value is not None}
    found += [column == given[name] for name, column in _EQUAL.items() if name in given]
    since, until = wanted.get("since"), wanted.get("until")
    # Bounds of ids, because those are what partitions are made of.
    if since is not None:
        found.append(Delivery.id >= ids.lowest(since))
    if until is not None:
        found.append(Delivery.id < ids.lowest(until))
    died_since = wanted.get("died_since")
    if died_since is not None:
        found.append(Delivery.status == Status.DEAD_LETTERED)
        found.append(Delivery.completed_at >= died_since)
    return found


def hints(
    wanted: DeliveryFilters, endpoint_ids: Callable[[], Sequence[UUID]]
) -> list[ColumnElement[bool]]:
    """Return what follows from a filter anyway, and lets an index find rare rows.

    What is pending, and each type, is indexed by endpoint; what failed apart.

    Args:
        wanted: The filter.
        endpoint_ids: Returns all of the tenant's endpoints, deleted ones too.
    """
    found: list[ColumnElement[bool]] = []
    pending = wanted.get("status") == Status.PENDING
    by_endpoint = pending or wanted.get("event_type") is not None
    if by_endpoint and wanted.get("endpoint_id") is None:
        owned = endpoint_ids()
        if len(owned) <= _MANY_ENDPOINTS:
            found.append(Delivery.endpoint_id.in_(owned))
    if wanted.get("dead_reason") is not None:
        found.append(Delivery.status == Status.DEAD_LETTERED)
    code = wanted.get("status_code")
    if code is not None and not 200 <= code < 300:
        found.append(Delivery.last_error.is_not(None))
    return found
