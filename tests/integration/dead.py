"""Deliveries that have ended, made in bulk: for tests of what is done with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from ascwebhooks.domain import ids

_PLANT = (
    "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type, status,"
    " step, attempt_count, sent_alone, next_attempt_at, last_status_code, last_error,"
    " dead_reason, completed_at) SELECT id, :tenant, id, :endpoint, :type, :status,"
    " 3, 3, 1, clock_timestamp() - interval '1 hour', 503, 'http_status',"
    " CASE :status WHEN 'dead_lettered' THEN :reason END,"
    " clock_timestamp() - CAST(:ago AS interval)"
    " FROM unnest(CAST(:ids AS uuid[])) AS w(id)"
)


def plant(
    pipeline,
    endpoint_id: UUID,
    count: int = 1,
    *,
    status: str = "dead_lettered",
    reason: str = "attempts_exhausted",
    event_type: str = "budget.exceeded",
    tenant_id: str = "acme",
    days_ago: float = 0,
    ago: str = "1 minute",
) -> list[UUID]:
    """Insert deliveries without events that ended a while ago; return their ids."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    ms = int(moment.timestamp() * 1000)
    random = b"".join((n << 6).to_bytes(10, "big") for n in range(count))
    # Beside what was planted before in the same millisecond.
    salt = pipeline.one("SELECT count(*) FROM delivery")
    made = [
        ids.from_int(each.int + (salt << 20)) for each in ids.uuid7_batch(ms, random)
    ]
    pipeline.do(
        _PLANT,
        ids=made,
        tenant=tenant_id,
        endpoint=endpoint_id,
        type=event_type,
        status=status,
        reason=reason,
        ago=ago,
    )
    return made
