"""When a failed delivery is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ascwebhooks.errors import InvalidInput

#: The nine delays after the first attempt (Standard Webhooks' own example).
DEFAULT_SCHEDULE_S = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
MAX_DELAY_S = 7 * 86400
MAX_DELAYS = 20


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays between attempts; ``len(delays) + 1`` attempts are made in all."""

    delays: tuple[timedelta, ...] = tuple(
        timedelta(seconds=each) for each in DEFAULT_SCHEDULE_S
    )
    jitter: float = 0.2
    retry_after_cap: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        """Refuse what could not be followed."""
        if not 0 <= self.jitter < 1:
            raise ValueError("jitter must be in [0, 1)")
        if any(delay <= timedelta(0) for delay in self.delays):
            raise ValueError("every delay must be positive")


def retry_delay(
    policy: RetryPolicy,
    attempt: int,
    spread: float,
    retry_after: timedelta | None = None,
) -> timedelta | None:
    """Return how long to wait after the failed attempt number ``attempt``.

    The planned delay is spread over ``±policy.jitter`` so that the deliveries
    of one outage do not come back together.  A longer ``Retry-After`` wins,
    up to ``policy.retry_after_cap``; a shorter one is ignored.

    Args:
        policy: The endpoint's retry policy.
        attempt: Number of the attempt that failed, the first being 1.
        spread: Uniform in [0, 1); the caller draws it.
        retry_after: What the receiver asked for, if it did.

    Returns:
        The wait, or None when no attempt is left.

    Raises:
        ValueError: If ``attempt`` is below 1.

    Source:
        Standard Webhooks, "Deliverability and reliability";
        RFC 9110 §10.2.3 for Retry-After.
    """
    if attempt < 1:
        raise ValueError(f"attempt must be at least 1, got {attempt}")
    if attempt > len(policy.delays):
        return None
    planned = policy.delays[attempt - 1] * (1 + policy.jitter * (2 * spread - 1))
    if retry_after is None:
        return planned
    return max(planned, min(retry_after, policy.retry_after_cap))


def planned(
    delays: Sequence[timedelta], step: int, next_at: datetime
) -> list[datetime]:
    """Return when attempts are made from now on if each of them fails, spread aside.

    Args:
        delays: Those of the endpoint's schedule.
        step: How many attempts of the schedule have been made.
        next_at: When the next one is due.
    """
    moments = [next_at]
    for delay in delays[step:]:
        moments.append(moments[-1] + delay)
    return moments


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return what a ``Retry-After`` header asks for, or None if it is unreadable.

    Args:
        value: The header's value: seconds or an HTTP date; None if there is none.
        now: The time that a date is measured from, aware.

    Source:
        RFC 9110 §10.2.3: ``Retry-After = HTTP-date / delay-seconds``.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(aware - now, timedelta(0))


def check_schedule(delays_s: Sequence[int]) -> None:
    """Raise InvalidInput unless a retry schedule can be followed."""
    if len(delays_s) > MAX_DELAYS:
        raise InvalidInput(
            f"retry_schedule_s has {len(delays_s)} delays; at most {MAX_DELAYS}.",
            field="retry_schedule_s",
        )
    for delay in delays_s:
        if not 1 <= delay <= MAX_DELAY_S:
            raise InvalidInput(
                f"retry_schedule_s: {delay} is not within 1 to {MAX_DELAY_S} seconds.",
                field="retry_schedule_s",
            )
