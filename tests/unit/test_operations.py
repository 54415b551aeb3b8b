"""Operational events as a gateway would send them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from ascwebhooks.domain import events
from ascwebhooks.domain.operations import Operation, cloud_event

KEY = UUID("6f6b8a52-4a3f-4b8e-9b43-0d6a3d0f8c11")
AT = datetime(2026, 11, 25, 12, 0, 0, 123_456, tzinfo=UTC)
NAMED = {"endpoint_id": KEY, "delivery_id": None, "event_id": None}


def made(operation: str = Operation.ENABLED, **named: UUID) -> bytes:
    return cloud_event(
        operation,
        key=KEY,
        tenant_id="acme",
        at=AT,
        named={**NAMED, **named},
        facts={"reason": "gone", "attempts": 3},
    )


@pytest.mark.parametrize("operation", list(Operation))
def test_it_is_a_valid_event(operation):
    event = events.parse(made(operation))
    assert (event.type, event.tenant_id) == (operation.value, "acme")
    assert (event.source, event.source_id) == ("/ascwebhooks", str(KEY))
    assert event.subject.startswith("ep_")
    assert event.time_text == "2026-11-25T12:00:00.123Z"


def test_ids_are_shown_as_everywhere_and_what_does_not_apply_is_left_out():
    assert b'"delivery_id"' not in made()
    shown = made(delivery_id=KEY, event_id=KEY)
    for prefix in (b"ep_", b"dlv_", b"evt_"):
        assert b'_id": "' + prefix in shown


def test_the_same_is_the_same_bytes():
    """A repeat must be known as one: by its id, and with the same content."""
    again = cloud_event(
        Operation.ENABLED,
        key=KEY,
        tenant_id="acme",
        at=AT,
        named=NAMED,
        facts={"attempts": 3, "reason": "gone"},
    )
    assert again == made()
