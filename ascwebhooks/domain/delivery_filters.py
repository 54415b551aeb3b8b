"""What lists of deliveries and replays can be narrowed to."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict
from uuid import UUID


class DeliveryFilters(TypedDict, total=False):
    """Which deliveries; None, or nothing, is any.

    ``since`` and ``until`` are of events: accepted at or after the one, and before
    the other.  ``died_since`` is of dead letters alone, and of when they became one.
    """

    status: str | None
    endpoint_id: UUID | None
    event_type: str | None
    since: datetime | None
    until: datetime | None
    died_since: datetime | None
    error: str | None
    status_code: int | None
    dead_reason: str | None
    replay_id: UUID | None
