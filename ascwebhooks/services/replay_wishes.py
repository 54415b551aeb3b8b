"""Wishes: what a replay may be asked for, ids or a filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.replays import MAX_IDS, REPLAYABLE
from ascwebhooks.errors import InvalidInput


def wanted_of(
    deliveries: Sequence[UUID] | None, filter: DeliveryFilters | None
) -> DeliveryFilters | None:
    """Return the filter that is wanted, complete; None if ids are given.

    Raises:
        InvalidInput: If it is not either of them, or one is no good.
    """
    if (deliveries is None) == (filter is None):
        raise InvalidInput("give either deliveries or a filter.", field="deliveries")
    if filter is None:
        if not 1 <= len(deliveries or ()) <= MAX_IDS:
            raise InvalidInput(f"1 to {MAX_IDS} ids.", field="deliveries")
        return None
    given = {name: value for name, value in filter.items() if value is not None}
    status = str(given.pop("status", Status.DEAD_LETTERED))
    wanted = cast(DeliveryFilters, {"status": status, **given})
    if status not in REPLAYABLE:
        raise InvalidInput(
            f"what is {status} cannot be replayed.", field="filter.status"
        )
    if status != Status.DEAD_LETTERED and "died_since" in wanted:
        raise InvalidInput(f"what is {status} did not die.", field="filter.died_since")
    since, until = wanted.get("since"), wanted.get("until")
    if since and until and since >= until:
        raise InvalidInput("since is not before until.", field="filter.since")
    return wanted


def told_of(wanted: DeliveryFilters | None) -> dict[str, str] | None:
    """Return a filter for the audit log; None if ids were given."""
    if wanted is None:
        return None
    told = {name: str(value) for name, value in wanted.items()}
    if endpoint_id := wanted.get("endpoint_id"):
        told["endpoint_id"] = ids.show(Kind.ENDPOINT, endpoint_id)
    return told
