"""How endpoints have been doing, worked out from attempts that are being recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from ascwebhooks.domain import health, ids
from ascwebhooks.domain.health import Attempted, Standing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.storage.mailboxes import Health

log = structlog.get_logger()

#: A mailbox that is well is written at most so often.
_SUCCESS_GRAIN_S = 10.0


def changed(
    attempted: Mapping[UUID, Sequence[Attempted]],
    boxes: Mapping[UUID, Health],
    now: datetime,
) -> list[Health]:
    """Return the mailboxes that are to be written, in the order of their ids.

    Args:
        attempted: What came of attempts under the lease, by endpoint, in their order.
        boxes: The mailboxes as they are, locked.
        now: PostgreSQL's clock.
    """
    after = [
        _after(boxes[endpoint_id], some, now) for endpoint_id, some in attempted.items()
    ]
    return sorted(
        (box for box in after if _worth_writing(box, boxes[box.endpoint_id], now)),
        key=lambda box: box.endpoint_id,
    )


def _after(box: Health, attempted: Sequence[Attempted], now: datetime) -> Health:
    before = Standing(
        box.consecutive_failures,
        box.breaker_openings,
        box.breaker_until,
        box.held_until,
    )
    after = health.stand(before, attempted, now)
    if after.openings > before.openings:
        log.warning(
            "breaker_opened",
            tenant_id=box.tenant_id,
            endpoint_id=ids.show(Kind.ENDPOINT, box.endpoint_id),
            openings=after.openings,
            failures=after.failures,
        )
    outcomes = [each.outcome for each in attempted]
    succeeded = any(outcome.error is None for outcome in outcomes)
    failed = any(outcome.error is not None for outcome in outcomes)
    since = None if succeeded else box.failing_since
    return box._replace(
        consecutive_failures=after.failures,
        failing_since=(since or now) if after.failures else None,
        last_success_at=now if succeeded else box.last_success_at,
        last_failure_at=now if failed else box.last_failure_at,
        slow=health.is_slow(after.failures, outcomes),
        breaker_openings=after.openings,
        breaker_until=after.until,
        held_until=after.held_until,
    )


def barred(boxes: Iterable[Health], now: datetime) -> dict[UUID, float]:
    """Return for how many seconds which endpoints are to be left alone."""
    found = {}
    for box in boxes:
        until = Standing(
            until=box.breaker_until, held_until=box.held_until
        ).barred_until()
        if until is not None and until > now:
            found[box.endpoint_id] = (until - now).total_seconds()
    return found


def _worth_writing(after: Health, before: Health, now: datetime) -> bool:
    if after.consecutive_failures or before.consecutive_failures:
        return True
    if after.held_until != before.held_until:
        return True
    if after.slow != before.slow or after.last_failure_at != before.last_failure_at:
        return True
    last = before.last_success_at
    return last is None or (now - last).total_seconds() > _SUCCESS_GRAIN_S
