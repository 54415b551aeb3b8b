"""How an endpoint stands, in a word and with the reason: what a list shows first."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.health import Breaker
from ascwebhooks.services.described import Described

_DISABLED = {
    "gone": "The receiver answered 410 Gone. Resume it once the receiver is back.",
}


class Shown(NamedTuple):
    """A state as it is shown.

    Args:
        word: What it is called.
        kind: Its colour: ``success``, ``warning``, ``danger`` or ``neutral``.
        icon: Its icon.
        why: The reason, and what follows from it.
        since: Since when, if that is known.
        until: Until when, if that is known.
    """

    word: str
    kind: str
    icon: str
    why: str
    since: datetime | None = None
    until: datetime | None = None


def shown(found: Described) -> Shown:
    """Return how an endpoint stands; what stops it most comes first."""
    return _stopped(found) or _barred(found) or _served(found)


def _stopped(found: Described) -> Shown | None:
    endpoint = found.endpoint
    if endpoint.state == EndpointState.DISABLED:
        reason = endpoint.disabled_reason or ""
        why = _DISABLED.get(reason, reason or "New deliveries become dead letters.")
        return Shown("Disabled", "danger", "slash-circle", why)
    if endpoint.state == EndpointState.PAUSED:
        why = "Deliveries wait until somebody resumes it."
        return Shown("Paused", "warning", "pause-fill", why)
    return None


def _barred(found: Described) -> Shown | None:
    health, now = found.health, found.seen_at
    failures = f"{health.consecutive_failures} failures in a row"
    if health.breaker is Breaker.OPEN:
        why = f"{failures}: nothing is sent for now, then one delivery tries."
        return Shown(
            "Breaker open",
            "danger",
            "x-octagon",
            why,
            health.failing_since,
            health.breaker_until,
        )
    if health.held_until is not None and health.held_until > now:
        why = "The receiver asked for a pause (Retry-After)."
        return Shown("Held", "warning", "hourglass-split", why, None, health.held_until)
    if health.breaker is Breaker.HALF_OPEN:
        why = f"{failures}: one delivery at a time finds out whether it is back."
        return Shown("Probing", "warning", "search", why, health.failing_since)
    return None


def _served(found: Described) -> Shown:
    health = found.health
    if health.consecutive_failures:
        many = health.consecutive_failures
        why = f"{many} failure{'s' * (many > 1)} in a row; it is tried again."
        return Shown(
            "Failing", "danger", "exclamation-triangle", why, health.failing_since
        )
    if health.last_success_at is None:
        return Shown("Active", "neutral", "check-circle", "Nothing was sent yet.")
    return Shown("Healthy", "success", "check-circle", "The last delivery was taken.")
