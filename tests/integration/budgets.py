"""What tests of budgets share: making them, spending, and reading what was told."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.services.budget_standings import Shown
from tests.integration.pipeline import TENANT, Pipeline, event

MONTH = {"type": "calendar", "unit": "month", "zone": "UTC"}
_numbers = itertools.count(1)


def usage(
    amount: Any = "1",
    *,
    currency: Any = "USD",
    at: datetime | None = None,
    id: str | None = None,
    type: str = "request.completed",
    tenantid: str = TENANT,
    **scope: Any,
) -> bytes:
    """Return a request's event; ``amount`` is JSON text, or ... for none."""
    number = next(_numbers)
    data: dict[str, Any] = {"request_id": id or f"r{number}"}
    data["scope"] = scope or {"team_id": "search"}
    text = json.dumps(data)
    if amount is not ...:
        cost = f'{{"amount": {amount}, "currency": {json.dumps(currency)}}}'
        text = text[:-1] + f', "cost": {cost}}}'
    more = {} if at is None else {"time": at.isoformat()}
    return event(text, id=id or f"u{number}", type=type, tenantid=tenantid, **more)


def budget(pipeline: Pipeline, limit: Any = 100, **given: Any) -> Shown:
    """Create a budget, by default of the team "search" for this month."""
    wanted = {
        "name": f"budget {next(_numbers)}",
        "scope_type": "team",
        "scope_id": "search",
        "currency": "USD",
        "period": MONTH,
        **given,
    }
    tenant_id = wanted.pop("tenant_id", TENANT)
    if wanted["scope_type"] == "tenant":
        wanted.pop("scope_id")
    return pipeline.services.budgets.create(
        tenant_id, limit=Decimal(str(limit)), **wanted
    )


def spend(pipeline: Pipeline, *amounts: Any, **more: Any) -> None:
    """Accept a request for each amount, each a batch of its own."""
    for amount in amounts:
        pipeline.accept(usage(json.dumps(str(amount)), **more))


def told(pipeline: Pipeline, of: Shown | None = None) -> list[dict[str, Any]]:
    """Return what was told of budgets: each event's data with its type and id."""
    named = "" if of is None else ids.show(Kind.BUDGET, of.row.id)
    rows = pipeline.rows(
        "SELECT id FROM event WHERE source_id LIKE :named"
        " ORDER BY substr(id::text, 1, 13), ctid",
        named=f"budget:{named}%",
    )
    found = []
    for row in rows:
        opened = pipeline.services.events.get(TENANT, row.id)
        data = json.loads(opened.data or b"")
        data |= {"type": opened.event.type, "event_id": row.id}
        data["source_id"] = opened.event.source_id
        found.append(data)
    return found


def crossings(pipeline: Pipeline, of: Shown | None = None) -> list[tuple[str, Any]]:
    """Return type and threshold of what was told, in short."""
    return [
        (each["type"].removeprefix("budget."), each.get("threshold_percent"))
        for each in told(pipeline, of)
    ]


def spent(pipeline: Pipeline, of: Shown) -> Decimal:
    return pipeline.services.budgets.get(of.row.tenant_id, of.row.id).usage.spent


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def ago(**span: Any) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


iso = events.iso
