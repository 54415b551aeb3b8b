"""Strict tenants: which of their events the catalogue does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ascwebhooks.domain import event_schemas
from ascwebhooks.domain.events import Event, Rejected
from ascwebhooks.services.routes import TenantRoutes


def misfits(
    known: Sequence[tuple[int, Event]], routes: Mapping[str, TenantRoutes]
) -> dict[int, Rejected]:
    """Return why events are not taken, by their positions.

    Args:
        known: Events of tenants that exist, with their positions.
        routes: Of all these tenants.
    """
    strict = {tenant_id for tenant_id, route in routes.items() if route.strict}
    if not strict:
        return {}
    refused = {}
    for position, event in known:
        if event.tenant_id in strict:
            try:
                event_schemas.check(event.type, event.data)
            except Rejected as verdict:
                refused[position] = verdict
    return refused
