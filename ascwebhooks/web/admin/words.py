"""What states and reasons are called on pages."""

from __future__ import annotations

from datetime import timedelta

from ascwebhooks.domain.deliveries import DeadReason, EndpointState, ErrorClass, Status
from ascwebhooks.domain.replays import ReplayState, Skipped

#: A word, and the kind of badge it is shown on.
Badge = tuple[str, str]

REASONS: dict[str, str] = {
    DeadReason.ATTEMPTS_EXHAUSTED: "All attempts failed",
    DeadReason.GONE: "Receiver said 410 Gone",
    DeadReason.ENDPOINT_DISABLED: "Endpoint was disabled",
    DeadReason.ENDPOINT_DELETED: "Endpoint was deleted",
    DeadReason.EXPIRED: "Kept too long without success",
    DeadReason.RESIDENCY: "Region is no longer allowed",
    DeadReason.CRASHES_WORKER: "Ended the worker each time",
}
ERRORS: dict[str, str] = {
    ErrorClass.HTTP_STATUS: "Answered with an error",
    ErrorClass.REDIRECT: "Answered with a redirect",
    ErrorClass.DNS_ERROR: "Name does not resolve",
    ErrorClass.BLOCKED_ADDRESS: "Address is not allowed",
    ErrorClass.CONNECT_ERROR: "Connection refused",
    ErrorClass.CONNECT_TIMEOUT: "Connecting took too long",
    ErrorClass.TLS_ERROR: "TLS failed",
    ErrorClass.TIMEOUT: "Answer took too long",
    ErrorClass.BROKEN_RESPONSE: "Answer was broken off",
    ErrorClass.HEADERS_TOO_LARGE: "Answer's headers too large",
    ErrorClass.INVALID_REQUEST: "Request could not be made",
    ErrorClass.INTERNAL: "Failed on our side",
}
_ENDPOINTS: dict[str, Badge] = {
    EndpointState.ACTIVE: ("Active", "success"),
    EndpointState.PAUSED: ("Paused", "warning"),
    EndpointState.DISABLED: ("Disabled", "danger"),
    EndpointState.DELETED: ("Deleted", "neutral"),
}
_REPLAYS: dict[str, Badge] = {
    ReplayState.RUNNING: ("Running", "info"),
    ReplayState.PAUSED: ("Paused", "warning"),
    ReplayState.CANCELLED: ("Cancelled", "neutral"),
    ReplayState.FINISHED: ("Finished", "success"),
}
_RESULTS: dict[str, Badge] = {
    Status.DELIVERED: ("Delivered", "success"),
    Status.PENDING: ("On its way", "info"),
    Status.DEAD_LETTERED: ("Failed again", "danger"),
    Status.CANCELLED: ("Cancelled", "neutral"),
}
SKIPPED: dict[str, str] = {
    Skipped.PENDING: "It was on its way already",
    Skipped.TAKEN: "Another replay took it",
    Skipped.DISABLED: "Its endpoint is disabled",
    Skipped.DELETED: "Its endpoint was deleted",
    Skipped.REGION: "Its endpoint's region is no longer allowed",
    Skipped.NOT_TAKEN_THEN: "Its endpoint took no deliveries then",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def endpoint_badge(state: str) -> Badge:
    """Return an endpoint's state as it is shown."""
    return _ENDPOINTS.get(state, (state, "neutral"))


def replay_badge(state: str) -> Badge:
    """Return a replay's state as it is shown."""
    return _REPLAYS.get(state, (state, "neutral"))


def result_badge(status: str) -> Badge:
    """Return what became of a delivery that was replayed, as it is shown."""
    return _RESULTS.get(status, (status, "neutral"))


def reason(code: str | None) -> str:
    """Return why a delivery is dead, in words."""
    return REASONS.get(code or "", code or "Unknown")


def failure(error: str | None, status_code: int | None) -> str:
    """Return what came of the last attempt, in words."""
    if error is None:
        return "No attempt was made" if status_code is None else f"HTTP {status_code}"
    if error == ErrorClass.HTTP_STATUS and status_code is not None:
        return f"HTTP {status_code}"
    text = ERRORS.get(error, error)
    return text if status_code is None else f"{text} (HTTP {status_code})"


def span(length: timedelta | None) -> str:
    """Return a length of time in its two largest units, as "2 h 5 min"."""
    if length is None:
        return ""
    left = round(length.total_seconds())
    parts: list[tuple[int, str]] = []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, name))
    shown = [f"{count} {name}" for count, name in parts[:2] if count]
    return " ".join(shown) or "less than 1 s"
