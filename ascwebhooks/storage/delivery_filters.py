"""Conditions of statements that find deliveries."""

from __future__ import annotations

from sqlalchemy import ColumnElement

from ascwebhooks.domain import ids
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.storage.models import Delivery

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
    return found
