"""What a tracer has to do; without one nothing of this costs anything.

The trace of an event is the gateway's, or one that its id makes.  Its span of
accepting has an id that the event's makes too, so an attempt in another process,
days later, knows its parent without anything being kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from ascwebhooks.domain.deliveries import Outcome
from ascwebhooks.domain.events import Event


class AttemptSpan(Protocol):
    """The span of one attempt, from signing on."""

    @property
    def traceparent(self) -> str:
        """What the receiver is sent: this span's own context."""
        ...

    def end(self, outcome: Outcome) -> None:
        """End it with what came of the attempt."""
        ...


class Tracing(Protocol):
    """Makes the spans; its methods are quick and do not raise."""

    def accepted(
        self, events: Sequence[tuple[UUID, Event]], *, via: str, began_ns: int
    ) -> None:
        """Make a span for each event of a batch that was just committed.

        Args:
            events: With their ids.
            via: How they came.
            began_ns: When accepting began, in nanoseconds since 1970.
        """
        ...

    def attempt(
        self, event_id: UUID, traceparent: str | None, about: Mapping[str, str | int]
    ) -> AttemptSpan:
        """Begin the span of an attempt.

        Args:
            event_id: What is sent.
            traceparent: The gateway's, if it gave one.
            about: More to say, under names without their prefix.
        """
        ...

    def close(self) -> None:
        """Send what has not been sent."""
        ...
