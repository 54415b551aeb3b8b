"""Examples of operational events, made by what tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ascwebhooks.domain import operations
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass
from ascwebhooks.domain.health import DisabledReason
from ascwebhooks.domain.operations import Operation

_TENANT = "acme"
_AT = datetime(2026, 11, 23, 7, 40, tzinfo=UTC)
_ENDPOINT, _DELIVERY, _EVENT = (
    UUID(f"019ab0c3-6c9f-7000-8000-00000000000{n}") for n in (1, 2, 3)
)
#: As PostgreSQL makes them, of the delivery's row (``storage.notices``).
_DEAD = {
    "event_type": "budget.exceeded",
    "reason": DeadReason.ATTEMPTS_EXHAUSTED,
    "attempts": 10,
    "last_status": 503,
    "last_error": ErrorClass.HTTP_STATUS,
}


def _made(
    operation: Operation,
    facts: Mapping[str, Any],
    delivery_id: UUID | None = None,
    event_id: UUID | None = None,
) -> bytes:
    return operations.cloud_event(
        operation,
        key=_EVENT,
        tenant_id=_TENANT,
        at=_AT,
        named={
            "endpoint_id": _ENDPOINT,
            "delivery_id": delivery_id,
            "event_id": event_id,
        },
        facts=facts,
    )


def _events() -> Iterator[bytes]:
    yield operations.endpoint_test(
        _ENDPOINT, tenant_id=_TENANT, source_id="test-1", at=_AT
    )
    disabled = operations.disabled(
        DisabledReason.FAILING,
        failures=14,
        since=_AT - timedelta(days=5),
        last_status=503,
        last_error=ErrorClass.HTTP_STATUS,
    )
    yield _made(Operation.DISABLED, disabled)
    yield _made(Operation.ENABLED, operations.enabled(DisabledReason.FAILING))
    rotated = operations.secret_rotated("v1", timedelta(days=1))
    yield _made(Operation.SECRET_ROTATED, rotated)
    yield _made(Operation.DEAD_LETTERED, _DEAD, _DELIVERY, _EVENT)


#: The data of each, by its type.
EXAMPLES: dict[str, dict[str, Any]] = {
    each["type"]: each["data"] for each in map(json.loads, _events())
}
