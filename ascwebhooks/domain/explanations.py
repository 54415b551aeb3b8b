"""What became of an event at an endpoint, and why it was not sent there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, MailboxState, Status
from ascwebhooks.domain.health import Standing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.matching import Matcher, Subscription
from ascwebhooks.domain.operations import Operation


class Result(StrEnum):
    """What became of it.

    Of ``PAUSED`` and all before it there is a delivery; of ``DISABLED`` too, but for
    the events of dead letters.
    """

    DELIVERED = "delivered"
    PENDING = "pending"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    DISABLED = "disabled"
    ABROAD = "abroad"
    FILTERED = "filtered"
    FILTER_FAILED = "filter_failed"
    CREATED_LATER = "created_later"
    NOT_SUBSCRIBED = "not_subscribed"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The answer for one endpoint; what does not apply is None.

    ``filter``: the subscription's as it is now; ``filter_changed``: whether the
    subscription was changed after the event came.
    """

    endpoint_id: UUID
    outcome: Result
    detail: str
    delivery_id: UUID | None = None
    at: datetime | None = None
    next_attempt_at: datetime | None = None
    reason: DeadReason | None = None
    subscription_id: UUID | None = None
    filter: str | None = None
    filter_changed: bool | None = None
    error: str | None = None


_WAITING = {
    MailboxState.PAUSED: (
        Result.PAUSED,
        "The endpoint is paused; the delivery waits until it is resumed.",
    ),
    MailboxState.DISABLED: (
        Result.DISABLED,
        "The endpoint is disabled; the delivery waits until it is enabled.",
    ),
    MailboxState.ABROAD: (
        Result.PENDING,
        "The tenant does not allow the endpoint's region; the delivery is about to"
        " become a dead letter.",
    ),
}
_DEAD = {
    DeadReason.ATTEMPTS_EXHAUSTED: "Every attempt of the schedule failed.",
    DeadReason.GONE: "The receiver answered 410.",
    DeadReason.ENDPOINT_DISABLED: "The endpoint is or was disabled.",
    DeadReason.ENDPOINT_DELETED: "The endpoint was deleted.",
    DeadReason.EXPIRED: "It was still pending when retention was about to drop it.",
    DeadReason.RESIDENCY: "The tenant did not allow the endpoint's region.",
    DeadReason.CRASHES_WORKER: "Sending it ended the worker, again and again.",
}


@dataclass(frozen=True)
class Flow:
    """What a pending delivery may have to wait for, besides its own time.

    ``first``: the delivery that is the first in order at the endpoint, if it has one.
    """

    standing: Standing
    first: UUID | None
    now: datetime


def of_delivery(
    delivery: Any, endpoint: Any, place: MailboxState, flow: Flow | None = None
) -> Explanation:
    """Return what became of an event at an endpoint that it was meant for.

    Args:
        delivery: Its row.
        endpoint: The endpoint's row.
        place: Whether the endpoint is served.
        flow: How the endpoint stands; of interest while the delivery is pending.
    """
    status = Status(delivery.status)
    common = {"endpoint_id": endpoint.id, "delivery_id": delivery.id}
    if status is Status.PENDING:
        return _pending(delivery, place, flow, common)
    reason = delivery.dead_reason and DeadReason(delivery.dead_reason)
    detail = _DEAD[reason] if reason else _ENDED[status]
    if reason is DeadReason.RESIDENCY:
        detail += _now(place, endpoint.region)
    return Explanation(
        outcome=Result(status.value),
        detail=detail,
        at=delivery.completed_at,
        reason=reason,
        error=None if status is Status.DELIVERED else delivery.last_error,
        **common,
    )


_ENDED = {
    Status.DELIVERED: "The receiver took it.",
    Status.DEAD_LETTERED: "It is in the dead letters.",
    Status.CANCELLED: "Somebody cancelled the delivery.",
}


def _now(place: MailboxState, region: str) -> str:
    if place is MailboxState.ABROAD:
        return f" Nor does it now: {region!r}."
    if place in (MailboxState.ACTIVE, MailboxState.PAUSED):
        return f" It does now ({region!r}): retry or replay the delivery."
    return ""


def _pending(
    delivery: Any, state: MailboxState, flow: Flow | None, common: Mapping[str, Any]
) -> Explanation:
    made = delivery.attempt_count
    next_at = delivery.next_attempt_at
    outcome, detail = _WAITING.get(
        state,
        (Result.PENDING, _tried(made)),
    )
    hindered = flow and state is MailboxState.ACTIVE and _hindered(delivery, flow)
    if hindered:
        until, why = hindered
        next_at, detail = max(next_at, until or next_at), f"{detail} {why}"
    return Explanation(
        outcome=outcome,
        detail=detail,
        next_attempt_at=next_at,
        error=delivery.last_error,
        **common,
    )


def _tried(made: int) -> str:
    if not made:
        return "Not tried yet."
    return "1 attempt failed." if made == 1 else f"{made} attempts failed."


def _hindered(delivery: Any, flow: Flow) -> tuple[datetime | None, str] | None:
    """Return until when, if that is known, and by what a delivery is kept waiting."""
    standing = flow.standing
    if standing.held_until and standing.held_until > flow.now:
        return standing.held_until, "The receiver asked for a pause (Retry-After)."
    if standing.until and standing.until > flow.now:
        return standing.until, (
            f"The endpoint's breaker is open after {standing.failures} failures in a"
            " row; then the oldest delivery that is due probes."
        )
    if flow.first not in (None, delivery.id):
        shown = ids.show(Kind.DELIVERY, flow.first)
        return None, f"The endpoint keeps order, and {shown} comes first."
    return None


def of_nothing(event: Any, endpoint: Any, subscriptions: Iterable[Any]) -> Explanation:
    """Return why an event was not sent to an endpoint.

    Args:
        event: Its row.
        endpoint: The endpoint's row.
        subscriptions: The rows of those it has now.
    """
    if ids.milliseconds(endpoint.id) > ids.milliseconds(event.id):
        return Explanation(
            endpoint_id=endpoint.id,
            outcome=Result.CREATED_LATER,
            detail="The endpoint was created after the event came.",
            at=ids.moment(endpoint.id),
        )
    out = (event.not_sent or {}).get("out_of_service", {})
    if reason := out.get(ids.show(Kind.ENDPOINT, endpoint.id)):
        return _out_of_service(endpoint.id, DeadReason(reason))
    mine = list(subscriptions)
    refused = [each for each in mine if _kept_from(event, each) is not None]
    if refused:
        return _refused(event, min(refused, key=lambda each: not _error(event, each)))
    return Explanation(
        endpoint_id=endpoint.id,
        outcome=Result.NOT_SUBSCRIBED,
        detail=_unsubscribed(event, mine),
    )


def _out_of_service(endpoint_id: UUID, reason: DeadReason) -> Explanation:
    abroad = reason is DeadReason.RESIDENCY
    was = (
        "The tenant did not allow the endpoint's region"
        if abroad
        else "The endpoint was disabled"
    )
    return Explanation(
        endpoint_id=endpoint_id,
        outcome=Result.ABROAD if abroad else Result.DISABLED,
        detail=f"{was} when it came, and dead letters leave no dead letters.",
        reason=reason,
    )


def _kept_from(event: Any, subscription: Any) -> str | None:
    """Return the error, or ``""`` for a plain no, or None if it was not asked."""
    not_sent = event.not_sent or {}
    shown = ids.show(Kind.SUBSCRIPTION, subscription.id)
    if shown in not_sent.get("filtered", ()):
        return ""
    error: str | None = not_sent.get("failed", {}).get(shown)
    return error


def _error(event: Any, subscription: Any) -> str | None:
    return _kept_from(event, subscription) or None


def _refused(event: Any, subscription: Any) -> Explanation:
    error = _error(event, subscription)
    return Explanation(
        endpoint_id=subscription.endpoint_id,
        outcome=Result.FILTER_FAILED if error else Result.FILTERED,
        detail="Its filter could not be evaluated." if error else "Its filter said no.",
        subscription_id=subscription.id,
        filter=subscription.filter,
        filter_changed=subscription.updated_at > ids.moment(event.id),
        error=error,
    )


def _unsubscribed(event: Any, subscriptions: Iterable[Any]) -> str:
    enabled = [
        Subscription(each.endpoint_id, tuple(each.event_types))
        for each in subscriptions
        if each.enabled
    ]
    if Matcher(enabled).match(event.type).endpoints:
        if event.type == Operation.DEAD_LETTERED:
            return (
                "A subscription takes its type now; none did then, or the endpoint"
                " was out of service."
            )
        return "A subscription takes its type now; none did then, or it was a test."
    return "No enabled subscription takes its type."
