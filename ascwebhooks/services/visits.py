"""What a turn holds in hand: mailboxes it has the lease of, and claimed deliveries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from ascwebhooks.domain import ids, signing
from ascwebhooks.domain.deliveries import Outcome
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.ids import Kind
from ascwebhooks.outbound.lanes import Lane
from ascwebhooks.outbound.requests import Request
from ascwebhooks.services.recording import Made, Terms
from ascwebhooks.services.targets import Message, Target
from ascwebhooks.services.tracing import AttemptSpan, Tracing
from ascwebhooks.storage.claims import Claimed

#: More is claimed for a mailbox when no more than this waits in its lane.
LOW_WATER = 700


@dataclass(eq=False, slots=True)
class Visit:
    """One mailbox while this process holds its lease.

    Args:
        target: Where its deliveries go.
        token: The lease.
        epoch: The mailbox's when its lease was taken: the terms of what is claimed.
        lane: Its queue in the sender.
        claim_until: How long more is claimed for it, by ``time.monotonic``.
        alone: Its deliveries go out one by one: one of them may end the process.
        probe: Its breaker was open; one delivery finds out whether it still fails.
        wake: Called when so little waits in its lane that more should be claimed.
    """

    target: Target
    token: UUID
    epoch: int
    lane: Lane
    claim_until: float
    alone: bool
    wake: Callable[[], None]
    probe: bool = False
    jobs: dict[UUID, Job] = field(default_factory=dict)
    emptied: bool = False
    lost: bool = False
    barred: bool = False
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        """Sum up the terms, which stay as they are for as long as it lasts."""
        target = self.target
        self.terms = Terms(
            target.endpoint_id,
            self.token,
            target.policy,
            self.probe,
            self.epoch,
            target.destination.url,
        )

    @property
    def single(self) -> bool:
        """Whether it takes one delivery at a time, recorded before the next one."""
        return self.alone or self.probe or self.target.in_order

    def most(self, share: int) -> int:
        """Return how many may be claimed at once, of a share of ``share``."""
        if self.single:
            return 1
        rate = self.target.rate_limit_per_s
        return share if rate is None else max(1, min(share, rate))

    def hungry(self, now: float) -> bool:
        """Whether more should be claimed for it now."""
        if self.emptied or self.lost or now >= self.claim_until:
            return False
        if self.single:
            return not self.jobs
        return self.lane.queued <= self.low_water

    @property
    def low_water(self) -> int:
        """More is claimed when no more than this waits in its lane."""
        return min(LOW_WATER, (self.target.rate_limit_per_s or LOW_WATER) // 2)

    @property
    def stuck(self) -> bool:
        """Whether its lane lets nothing out, and nothing is left to change that."""
        return self.lane.stopped and len(self.jobs) == self.lane.queued > 0

    def rate_wait_s(self, now: float) -> float | None:
        """Return how long its rate makes the next request wait, if it has one."""
        if self.target.rate_limit_per_s is None:
            return None
        return max(0.0, self.lane.next_at - now)

    def over(self, now: float) -> bool:
        """Whether its lease can be given back."""
        return not self.jobs and (self.emptied or self.lost or now >= self.claim_until)


class Job:
    """One claimed delivery in the libcurl loop (``outbound.loop.Job``)."""

    __slots__ = (
        "_finish",
        "_span",
        "_tracing",
        "claimed",
        "message",
        "shown",
        "started_at",
        "visit",
    )

    def __init__(
        self,
        visit: Visit,
        claimed: Claimed,
        message: Message | None,
        finish: Callable[[Job, Outcome], None],
        tracing: Tracing | None = None,
    ) -> None:
        self.visit = visit
        self.claimed = claimed
        self.message = message
        self.started_at: datetime | None = None
        self.shown: tuple[tuple[str, str], ...] = ()
        self._finish = finish
        self._tracing = tracing
        self._span: AttemptSpan | None = None

    def prepare(self) -> Request:
        """Sign, as late as can be: the timestamp is this attempt's.

        Raises:
            CannotOpen: If the event did not open; the attempt fails as internal
                and is made again as the schedule says.
        """
        target, message = self.visit.target, self.message
        if self.visit.lane.queued == self.visit.low_water:
            self.visit.wake()
        if message is None:
            raise CannotOpen("the event does not open")
        self.started_at = now = datetime.now(UTC)
        timestamp = int(now.timestamp())
        signature = signing.sign(target.keys, message.id, timestamp, message.body)
        signed: tuple[tuple[str, str], ...] = (
            ("webhook-id", message.id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature),
        )
        traceparent = self._begin_span(message)
        if traceparent is not None:
            signed = (*signed, ("traceparent", traceparent))
        if message.headers:
            signed = (*message.headers, *signed)
        self.shown = (*target.shown_headers, *signed)
        return Request(
            target.destination,
            [f"{name}: {value}" for name, value in signed],
            message.body,
        )

    def _begin_span(self, message: Message) -> str | None:
        """Return the receiver's traceparent: the span's, or as the gateway gave it."""
        if self._tracing is None:
            return message.traceparent
        claimed, target = self.claimed, self.visit.target
        about: dict[str, str | int] = {
            "event_id": message.id,
            "delivery_id": ids.show(Kind.DELIVERY, claimed.id),
            "endpoint_id": target.shown_id,
            "tenant_id": target.tenant_id,
            "attempt": claimed.step + 1,
        }
        given = message.traceparent
        self._span = self._tracing.attempt(claimed.event_id, given, about)
        return self._span.traceparent

    def done(self, outcome: Outcome) -> None:
        """Hand what came of it to the desk."""
        if self._span is not None:
            self._span.end(outcome)
        self._finish(self, outcome)

    def made(self, outcome: Outcome) -> Made:
        """Return the attempt as it is recorded."""
        return Made(
            self.claimed,
            self.visit.terms,
            self.started_at or datetime.now(UTC),
            self.shown,
            outcome,
        )


def names(job: Job) -> dict[str, str | None]:
    """Return what identifies a delivery in the logs; never what it carries."""
    claimed, message = job.claimed, job.message
    return {
        "event_id": message.id if message else ids.show(Kind.EVENT, claimed.event_id),
        "delivery_id": ids.show(Kind.DELIVERY, claimed.id),
        "endpoint_id": job.visit.target.shown_id,
        "tenant_id": claimed.tenant_id,
        "traceparent": message.traceparent if message else None,
    }
