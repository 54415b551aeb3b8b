"""What a delivery is, what an attempt came to, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import msgspec

from ascwebhooks.domain.retry import RetryPolicy, retry_delay


class Status(StrEnum):
    """Where a delivery is; the last three are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"


#: So many pending deliveries are ended in one transaction at most: others wait for it.
END_BATCH = 5_000


class DeadReason(StrEnum):
    """Why a delivery is in the dead letters."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    GONE = "gone"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_DELETED = "endpoint_deleted"
    EXPIRED = "expired"
    RESIDENCY = "residency"
    CRASHES_WORKER = "crashes_worker"


class EndpointState(StrEnum):
    """Whether an endpoint takes part in delivery."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"


#: More is no limit to speak of: one lease sends no faster.
MAX_RATE_PER_S = 10_000


class Ordering(StrEnum):
    """In what order an endpoint gets its deliveries; FIFO is that of acceptance."""

    NONE = "none"
    FIFO = "fifo"


class MailboxState(StrEnum):
    """Whether an endpoint is served: its state, or that its region is not allowed.

    Only what is ``ACTIVE`` is rung and leased.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"
    ABROAD = "abroad"


class ErrorClass(StrEnum):
    """What went wrong with an attempt, as the tenant is told it.

    The detail (an address, libcurl's words) is for the operator alone.
    """

    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    DNS_ERROR = "dns_error"
    BLOCKED_ADDRESS = "blocked_address"
    CONNECT_ERROR = "connect_error"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    BROKEN_RESPONSE = "broken_response"
    HEADERS_TOO_LARGE = "headers_too_large"
    INVALID_REQUEST = "invalid_request"
    INTERNAL = "internal"


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds since the attempt began; None where it did not get that far.

    Each is cumulative, as libcurl counts: ``dns_ms ≤ connect_ms ≤ tls_ms ≤
    first_byte_ms ≤ total_ms``.
    """

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0


_NO_TIMINGS = Timings()


class Outcome(msgspec.Struct, frozen=True):
    """What came of one attempt: an answer, or the reason there is none.

    ``error`` is None only for a whole 2xx answer.  ``status_code`` is set
    whenever a status line arrived, also when the rest of the answer was broken.
    """

    status_code: int | None
    error: ErrorClass | None = None
    detail: str | None = None
    retry_after: timedelta | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_truncated: bool = False
    address: str | None = None
    timings: Timings = _NO_TIMINGS


def mailbox_state(
    state: EndpointState, region: str, allowed_regions: Collection[str]
) -> MailboxState:
    """Return whether an endpoint is served.

    Args:
        state: The endpoint's own.
        region: Where it is served.
        allowed_regions: Where its tenant may be.
    """
    if state in _OPEN and region not in allowed_regions:
        return MailboxState.ABROAD
    return MailboxState(state.value)


#: Why what is pending at such a mailbox is dead; None where it is not.
DEAD_IN: Mapping[MailboxState, DeadReason | None] = {
    MailboxState.ACTIVE: None,
    MailboxState.PAUSED: None,
    MailboxState.DISABLED: DeadReason.ENDPOINT_DISABLED,
    MailboxState.DELETED: DeadReason.ENDPOINT_DELETED,
    MailboxState.ABROAD: DeadReason.RESIDENCY,
}
_OPEN = frozenset({EndpointState.ACTIVE, EndpointState.PAUSED})


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next."""

    status: Status
    retry_in: timedelta | None = None
    dead_reason: DeadReason | None = None
    disable_endpoint: bool = False


_DELIVERED = Decision(Status.DELIVERED)


def decide(outcome: Outcome, step: int, policy: RetryPolicy, spread: float) -> Decision:
    """Return what ``outcome`` leads to.

    Only a whole 2xx succeeds; a redirect is a failure, since following it would
    let a receiver choose where we connect.  410 ends the delivery and the
    endpoint.

    Args:
        outcome: What came of the attempt.
        step: How many attempts of this schedule have been made, this one
            included; a retry by hand starts the schedule anew at 1.
        policy: The endpoint's retry policy.
        spread: Uniform in [0, 1); the caller draws it.

    Source:
        Standard Webhooks, "Delivery success and failure".
    """
    if outcome.error is None:
        return _DELIVERED
    if outcome.status_code == 410:
        return Decision(
            Status.DEAD_LETTERED, dead_reason=DeadReason.GONE, disable_endpoint=True
        )
    wait = retry_delay(policy, step, spread, outcome.retry_after)
    if wait is None:
        return Decision(Status.DEAD_LETTERED, dead_reason=DeadReason.ATTEMPTS_EXHAUSTED)
    return Decision(Status.PENDING, retry_in=wait)
