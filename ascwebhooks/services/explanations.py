"""Why not? What became of an event at each of its tenant's endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ascwebhooks.domain import explanations
from ascwebhooks.domain.deliveries import (
    EndpointState,
    Ordering,
    Status,
    mailbox_state,
)
from ascwebhooks.domain.explanations import Explanation, Flow
from ascwebhooks.domain.ids import Window
from ascwebhooks.services.described import standing
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Delivery, Endpoint, Event
from ascwebhooks.storage.unit_of_work import UnitOfWork

MAX_ENDPOINTS = 1_000


@dataclass(frozen=True)
class Explained:
    """An answer for each endpoint; ``more``: the tenant has others beside these."""

    items: Sequence[Explanation]
    more: bool


def explain(
    uow: UnitOfWork,
    event: Event,
    deliveries: Sequence[Delivery],
    *,
    window: Window,
    limit: int = MAX_ENDPOINTS,
) -> Explained:
    """Return what became of an event at each endpoint, the newest endpoint first.

    Those that it was meant for come before the others, deleted ones among them.

    Args:
        uow: The caller's transaction.
        event: Which.
        deliveries: All that it caused.
        window: Bounds of the ids of deliveries that are kept.
        limit: At most so many endpoints.
    """
    sent = {each.endpoint_id: each for each in deliveries[:limit]}
    reached = uow.endpoints.named(event.tenant_id, list(sent))
    others = [
        each
        for each in uow.endpoints.page(event.tenant_id, after=None, limit=limit + 1)
        if each.id not in sent
    ]
    room = limit - len(reached)
    flows = _flows(uow, [each for each in reached if _waits(sent[each.id])], window)
    regions = find_tenant(uow, event.tenant_id).allowed_regions
    items = [
        explanations.of_delivery(
            sent[each.id],
            each,
            mailbox_state(EndpointState(each.state), each.region, regions),
            flows.get(each.id),
        )
        for each in reached
    ]
    items += _not_sent(uow, event, others[:room])
    return Explained(items, more=len(others) > room or len(deliveries) > limit)


def _waits(delivery: Delivery) -> bool:
    return delivery.status == Status.PENDING


def _flows(
    uow: UnitOfWork, endpoints: Sequence[Endpoint], window: Window
) -> dict[UUID, Flow]:
    if not endpoints:
        return {}
    now = uow.now()
    in_order = [each.id for each in endpoints if each.ordering == Ordering.FIFO]
    first = uow.deliveries.first_in_order(in_order, window) if in_order else {}
    return {
        box.endpoint_id: Flow(standing(box), first.get(box.endpoint_id), now)
        for box in uow.mailboxes.of([each.id for each in endpoints])
    }


def _not_sent(
    uow: UnitOfWork, event: Event, endpoints: Sequence[Endpoint]
) -> list[Explanation]:
    subscriptions: dict[UUID, list[Any]] = defaultdict(list)
    wanted = [each.id for each in endpoints]
    for row in uow.endpoints.subscriptions(event.tenant_id, wanted):
        subscriptions[row.endpoint_id].append(row)
    return [
        explanations.of_nothing(event, each, subscriptions[each.id])
        for each in endpoints
    ]
