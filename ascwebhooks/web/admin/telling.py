"""To whom events were delivered that tell of budgets and incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.web.access import services


class Told(NamedTuple):
    """What became of some events, and at which endpoints."""

    deliveries: Mapping[UUID, Sequence[Any]]
    endpoints: Mapping[UUID, Any]


def of_events(tenant_id: str, event_ids: Sequence[UUID]) -> Told:
    """Return to whom some of a tenant's events were delivered."""
    found = services().deliveries.of_events(tenant_id, event_ids)
    there = [each.endpoint_id for some in found.values() for each in some]
    return Told(found, services().endpoints.named(tenant_id, there))
