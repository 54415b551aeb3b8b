"""What comes in to be accepted, and what becomes of each event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ascwebhooks.domain.events import Event
from ascwebhooks.domain.filters import Facts

#: How an event comes that tells what happened here.
OPERATIONS = "operations"


class Accepted(NamedTuple):
    """An event that is kept, or that was kept before."""

    id: UUID
    source_id: str
    duplicate: bool
    deliveries: int


class Refused(NamedTuple):
    """An event that is not kept, and why; it stands in the rejected events."""

    code: str
    detail: str


class Postponed(NamedTuple):
    """An event that cannot be taken now, by no fault of its own; nothing is kept."""

    detail: str


Verdict = Accepted | Refused | Postponed


class Resubmitted(NamedTuple):
    """Which rejected event comes again, and whether its bytes are those that came."""

    rejected_id: UUID
    as_it_came: bool


class Refusal(NamedTuple):
    """An event that will not be accepted, by its position in the intake."""

    position: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in, and on what terms (``acceptance.Acceptance.accept``)."""

    raws: Sequence[bytes]
    via: str
    tenant_id: str | None
    only: UUID | None
    resubmits: Resubmitted | None = None


def facts_of(event: Event, arrival: datetime) -> Facts:
    """Return an event as filters see it; ``arrival`` stands in for a missing time."""
    return Facts(
        type=event.type,
        source=event.source,
        subject=event.subject,
        time=event.time or arrival,
        tenant=event.tenant_id,
        data=event.data,
    )
