"""Words, colours and icons for what became of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ascwebhooks.domain.deliveries import ErrorClass, Status
from ascwebhooks.domain.explanations import Explanation, Result
from ascwebhooks.web.admin.words import ERRORS, REASONS


class Look(NamedTuple):
    """How a state is shown: a word, a kind of badge, an icon."""

    word: str
    kind: str
    icon: str


STATUSES = {
    Status.DELIVERED: Look("Delivered", "success", "check-circle"),
    Status.PENDING: Look("Pending", "info", "hourglass-split"),
    Status.DEAD_LETTERED: Look("Dead letter", "danger", "envelope-x"),
    Status.CANCELLED: Look("Cancelled", "neutral", "slash-circle"),
}
RETRYING = Look("Retrying", "warning", "arrow-repeat")
RESULTS = {
    Result.DELIVERED: STATUSES[Status.DELIVERED],
    Result.PENDING: STATUSES[Status.PENDING],
    Result.DEAD_LETTERED: STATUSES[Status.DEAD_LETTERED],
    Result.CANCELLED: STATUSES[Status.CANCELLED],
    Result.PAUSED: Look("Paused", "warning", "pause-fill"),
    Result.DISABLED: Look("Disabled", "danger", "x-octagon"),
    Result.FILTERED: Look("Filtered out", "neutral", "funnel"),
    Result.FILTER_FAILED: Look("Filter failed", "warning", "exclamation-triangle"),
    Result.CREATED_LATER: Look("Created later", "neutral", "clock"),
    Result.NOT_SUBSCRIBED: Look("Not subscribed", "neutral", "slash-circle"),
}
#: What each means to whoever has to mend it.
ERROR_ADVICE = {
    ErrorClass.HTTP_STATUS: "The receiver answered, and not with 2xx. Its answer says"
    " why, or its log does.",
    ErrorClass.REDIRECT: "The receiver answered with a redirect, which is never"
    " followed. Set the endpoint's URL to where it leads.",
    ErrorClass.DNS_ERROR: "The host name has no address. Check the endpoint's URL and"
    " its DNS.",
    ErrorClass.BLOCKED_ADDRESS: "The host's address is private or reserved, and"
    " nothing was sent there.",
    ErrorClass.CONNECT_ERROR: "Nobody listens there, or a firewall refused. Check that"
    " the receiver runs.",
    ErrorClass.CONNECT_TIMEOUT: "Nobody answered in time. Check the receiver and any"
    " firewall before it.",
    ErrorClass.TLS_ERROR: "The certificate is expired, for another host, or of an"
    " unknown issuer.",
    ErrorClass.TIMEOUT: "It took longer than the endpoint's timeout. The receiver may"
    " have got it all the same: answer first, work afterwards.",
    ErrorClass.BROKEN_RESPONSE: "The answer ended before it was whole. The receiver"
    " may have got it all the same.",
    ErrorClass.HEADERS_TOO_LARGE: "The answer's headers were larger than is read.",
    ErrorClass.INVALID_REQUEST: "The request could not be made: look at the endpoint's"
    " URL and its own headers.",
    ErrorClass.INTERNAL: "This is not the receiver's fault; the platform's log says"
    " more.",
}
_SENT = {
    Result.DELIVERED,
    Result.PENDING,
    Result.DEAD_LETTERED,
    Result.CANCELLED,
    Result.PAUSED,
    Result.DISABLED,
}


def split(
    items: Sequence[Explanation],
) -> tuple[list[Explanation], list[Explanation]]:
    """Return the endpoints that an event goes to, and the others."""
    sent = [each for each in items if each.outcome in _SENT]
    return sent, [each for each in items if each.outcome not in _SENT]


def status_of(status: str, attempts: int) -> Look:
    """Return how a delivery's status is shown."""
    if status == Status.PENDING and attempts:
        return RETRYING
    return STATUSES[Status(status)]


def result_of(result: str) -> Look:
    """Return how the answer for an endpoint is shown."""
    return RESULTS[Result(result)]


def error_words(error: str | None) -> str:
    """Return an error class in words."""
    return "" if error is None else ERRORS[error]


def error_advice(error: str | None) -> str:
    """Return what an error class means to whoever has to mend it."""
    return "" if error is None else ERROR_ADVICE[ErrorClass(error)]


def reason_words(reason: str | None) -> str:
    """Return in words why a delivery is in the dead letters."""
    return "" if reason is None else REASONS[reason]
