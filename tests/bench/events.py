"""The events of the benchmark: CloudEvents of exactly so many bytes."""

from __future__ import annotations

import json

EVENT_BYTES = 600
SOURCE = "bench"


def make(tenant_id: str, type: str, source_id: str, size: int = EVENT_BYTES) -> bytes:
    """Return a CloudEvent whose JSON has ``size`` bytes."""
    head = (
        f'{{"specversion":"1.0","id":"{source_id}","source":"{SOURCE}",'
        f'"type":"{type}","tenantid":"{tenant_id}",'
        '"time":"2026-11-23T12:00:00.000Z","data":{"text":"'
    ).encode()
    tail = b'"}}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def tenant(number: int) -> str:
    """Return a tenant's id."""
    return f"bench-{number}"


def type_of(number: int) -> str:
    """Return the type that the endpoint of this number is subscribed to."""
    return f"bench.{number}"


def source_id(run: str, number: int) -> str:
    """Return the gateway's id of an event."""
    return f"{run}-{number:06d}"


def signal(tenant_id: str, source_id: str, number: int) -> bytes:
    """Return a request's event; one in twenty failed, and costs nothing."""
    failed = number % 20 == 0
    data = {
        "request_id": source_id,
        "trace_id": source_id,
        "scope": {
            "org_id": "acme",
            "business_unit_id": "retail",
            "team_id": "search",
            "user_id": "ana",
            "project_id": "shop",
            "key_id": "cd626f4893afcff0",
            "feature": "chat",
            "tags": ["blue", "green"],
        },
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "copilot",
        "gen_ai.response.model": "openai/gpt-4o-mini",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 6,
        "duration_ms": 413.7,
        "cost": {"amount": "0" if failed else "0.0000051", "currency": "USD"},
        "deployment_id": "openai-us-1",
    }
    return json.dumps(
        {
            "specversion": "1.0",
            "id": source_id,
            "source": SOURCE,
            "type": "request.failed" if failed else "request.completed",
            "tenantid": tenant_id,
            "data": data,
        },
        separators=(",", ":"),
    ).encode()
