"""Statements about notices: an outbox, written by whoever makes something happen.

A row is inserted in the very transaction that changes an endpoint or a delivery, so
it is there exactly if the change is.  The table has no foreign keys: checking one
would touch the tenant's row, which comes before the mailboxes in the order of locks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from ascwebhooks.domain.operations import OPERATIONAL, Operation
from ascwebhooks.storage.arrays import uuids
from ascwebhooks.storage.results import affected
from ascwebhooks.storage.subscriptions import TAKES


class Notice(NamedTuple):
    """What happened, and when; ``key`` tells it from every other one, for ever."""

    id: int
    key: UUID
    tenant_id: str
    type: str
    endpoint_id: UUID
    delivery_id: UUID | None
    event_id: UUID | None
    facts: dict[str, Any]
    at: datetime


_ADD = text(
    "INSERT INTO notice (tenant_id, type, endpoint_id, facts)"
    " VALUES (:tenant, :type, :endpoint, CAST(:facts AS jsonb))"
)
# The rows as they stand now, after the change, in the same transaction.  With a limit
# in it, the planner looks at the subscriptions of these tenants alone.
_DEAD = text(
    "WITH dead AS (SELECT * FROM delivery WHERE id = ANY(CAST(:ids AS uuid[]))"
    " AND status = 'dead_lettered' AND NOT event_type = ANY(:operational)),"
    " wanting AS (SELECT w.tenant_id FROM (SELECT DISTINCT tenant_id FROM dead) w"
    " JOIN tenant t ON t.id = w.tenant_id AND t.deleted_at IS NULL"
    " CROSS JOIN LATERAL (SELECT FROM subscription"
    " WHERE subscription.tenant_id = w.tenant_id AND subscription.enabled AND TAKES"
    " AND EXISTS (SELECT FROM endpoint e WHERE e.tenant_id = w.tenant_id"
    " AND e.id = subscription.endpoint_id AND e.deleted_at IS NULL) LIMIT 1) s)"
    " INSERT INTO notice (tenant_id, type, endpoint_id, delivery_id, event_id, facts)"
    " SELECT d.tenant_id, :event_type, d.endpoint_id, d.id, d.event_id,"
    " jsonb_build_object('event_type', d.event_type, 'reason', d.dead_reason,"
    " 'attempts', d.attempt_count, 'last_status', d.last_status_code,"
    " 'last_error', d.last_error)"
    " FROM dead d JOIN wanting USING (tenant_id) ORDER BY d.id".replace("TAKES", TAKES)
)
_TAKE = text(
    "SELECT id, key, tenant_id, type, endpoint_id, delivery_id, event_id, facts, at"
    " FROM notice WHERE due_at <= clock_timestamp()"
    " ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_DELETE = text("DELETE FROM notice WHERE id = ANY(:ids)")
_POSTPONE = text(
    "UPDATE notice SET due_at = clock_timestamp() + :delay WHERE id = ANY(:ids)"
)
_FORGET = text("DELETE FROM notice WHERE at < :before")


class NoticeRepository:
    """Notices; ``added`` says whether this transaction has made any."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.added = False

    def add(
        self,
        operation: Operation,
        tenant_id: str,
        endpoint_id: UUID,
        facts: Mapping[str, Any],
    ) -> None:
        """Note what happened to an endpoint.

        Args:
            operation: What.
            tenant_id: Whose.
            endpoint_id: Which.
            facts: What else is to be told, as JSON has it.
        """
        given = {"tenant": tenant_id, "type": operation.value, "endpoint": endpoint_id}
        self._session.execute(_ADD, {**given, "facts": json.dumps(facts)})
        self.added = True

    def dead_lettered(self, delivery_ids: Sequence[UUID]) -> None:
        """Note that these deliveries have just become dead letters.

        Only those of tenants that subscribe to it, and not the deliveries of
        operational events, which would go round for ever.

        Args:
            delivery_ids: Which; this very transaction has dead-lettered them.
        """
        if not delivery_ids:
            return
        done = self._session.execute(
            _DEAD,
            {
                "ids": uuids(delivery_ids),
                "operational": sorted(OPERATIONAL),
                "event_type": Operation.DEAD_LETTERED.value,
            },
        )
        self.added = self.added or affected(done) > 0

    def take(self, limit: int) -> list[Notice]:
        """Return notices that nobody else has in hand, locked, the oldest first."""
        return [Notice(*row) for row in self._session.execute(_TAKE, {"limit": limit})]

    def delete(self, notice_ids: Sequence[int]) -> None:
        """Delete notices that are dealt with."""
        if notice_ids:
            self._session.execute(_DELETE, {"ids": list(notice_ids)})

    def postpone(self, notice_ids: Sequence[int], delay: timedelta) -> None:
        """Leave notices for later."""
        if notice_ids:
            self._session.execute(_POSTPONE, {"ids": list(notice_ids), "delay": delay})

    def forget(self, before: datetime) -> int:
        """Delete what could not be told in all that time; return how much it was."""
        return affected(self._session.execute(_FORGET, {"before": before}))
