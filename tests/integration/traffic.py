"""Signals as a gateway would send them, and what came of them."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from typing import Any

import jsonschema

from ascwebhooks.domain import events
from ascwebhooks.domain.event_types import CATALOGUE
from tests.integration.pipeline import Pipeline, event

_numbers = itertools.count(1)
SOURCE = "/ascwebhooks/triggers"


def signal(at: datetime | None = None, type: str = "request.completed", **data: Any):
    """Return the bytes of a signal; ``provider`` and ``model`` for short."""
    number = next(_numbers)
    whole = {
        "request_id": f"r{number}",
        "gen_ai.provider.name": data.pop("provider", "openai"),
        "gen_ai.response.model": data.pop("model", "gpt-4o"),
        "cost": {"amount": "0.001", "currency": "USD"},
        "duration_ms": 400,
        "scope": {"team_id": "search"},
        **data,
    }
    tenant = whole.pop("tenantid", "acme")
    time = ... if at is None else events.iso(at)
    return event(
        json.dumps(whole), id=f"s{number}", type=type, time=time, tenantid=tenant
    )


def failed(at: datetime | None = None, status: int | None = 500, **data: Any):
    """Return the bytes of a request that failed."""
    return signal(at, "request.failed", http_status=status, **data)


def told(pipeline: Pipeline, tenant_id: str = "acme") -> list[tuple[str, dict]]:
    """Return what was told of incidents, the oldest first: types and data."""
    rows = pipeline.rows(
        "SELECT id FROM event WHERE source = :source AND tenant_id = :tenant"
        " ORDER BY id",
        source=SOURCE,
        tenant=tenant_id,
    )
    opened = [pipeline.services.events.get(tenant_id, row.id) for row in rows]
    return [_checked(each.event.type, json.loads(each.data)) for each in opened]


def _checked(type: str, data: dict) -> tuple[str, dict]:
    """Return what was told, once it keeps to the catalogue."""
    schema = CATALOGUE[type].schema
    jsonschema.Draft202012Validator(
        {**schema, "additionalProperties": False},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    ).validate(data)
    return type, data


def types(pipeline: Pipeline, tenant_id: str = "acme") -> list[str]:
    """Return the types of what was told, the oldest first."""
    return [type for type, _ in told(pipeline, tenant_id)]
