"""The events of the benchmark: CloudEvents of exactly so many bytes."""

from __future__ import annotations

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
