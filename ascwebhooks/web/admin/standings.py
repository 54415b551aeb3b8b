"""How an endpoint stands, in a word and with the reason: what a list shows first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.health import Breaker
from ascwebhooks.services.described import Described
from ascwebhooks.web.access import services

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
    return all_shown([found])[found.endpoint.id]


def all_shown(found: Sequence[Described]) -> dict[UUID, Shown]:
    """Return how endpoints stand, by their ids.

    Of those that fail it is said whether anything waits for them: nothing else is
    tried again.
    """
    fail = [each.endpoint.id for each in found if each.health.consecutive_failures]
    waited_for = services().overviews.waited_for(fail)
    return {
        each.endpoint.id: told(each, waits=each.endpoint.id in waited_for)
        for each in found
    }


def told(found: Described, *, waits: bool) -> Shown:
    """Return how an endpoint stands.

    Args:
        found: The endpoint.
        waits: Whether a delivery is pending for it.
    """
    return _stopped(found) or _barred(found, waits) or _served(found, waits)


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


def _barred(found: Described, waits: bool) -> Shown | None:
    health, now = found.health, found.seen_at
    failures = f"{health.consecutive_failures} failures in a row"
    if health.breaker is Breaker.OPEN:
        why = f"{failures}: nothing is sent for now, then one delivery tries."
        if not waits:
            why = f"{failures}; nothing waits for it now."
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
        one = "one delivery at a time" if waits else "the next delivery"
        why = f"{failures}: {one} finds out whether it is back."
        return Shown("Probing", "warning", "search", why, health.failing_since)
    return None


def _served(found: Described, waits: bool) -> Shown:
    health = found.health
    if health.consecutive_failures:
        many = health.consecutive_failures
        then = "it is tried again" if waits else "nothing waits for it now"
        why = f"{many} failure{'s' * (many > 1)} in a row; {then}."
        return Shown(
            "Failing", "danger", "exclamation-triangle", why, health.failing_since
        )
    if health.last_success_at is None:
        return Shown("Active", "neutral", "check-circle", "Nothing was sent yet.")
    return Shown("Healthy", "success", "check-circle", "The last delivery was taken.")
