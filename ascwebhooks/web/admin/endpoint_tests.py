"""Sending a test event to an endpoint, and seeing the answer as soon as it is there."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotFound
from ascwebhooks.services.deliveries import DeliveryWithAttempts
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import moves, once, places, standings
from ascwebhooks.web.admin.access import PAYLOADS, needs, visitor
from ascwebhooks.web.admin.endpoint_lists import endpoint_id_of

blp = Blueprint("tests", __name__)

_ROOT = "/tenants/<tenant_id>/endpoints/<endpoint_id>/tests"
#: So often the part is asked for, each second; then it says that it takes long.
_LOOKS = 45
_SHOWN_BYTES = 20_000


@blp.post(_ROOT)
@needs(Permission.OPERATE)
def send(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Send a test event, and go to where its answer will be."""

    def send_one() -> str:
        found, source_id = endpoint_id_of(endpoint_id), f"test-{uuid4()}"
        sent = services().events.send_test(tenant_id, found, source_id)
        event_id = ids.show(Kind.EVENT, sent.id)
        return url_for(
            ".show", tenant_id=tenant_id, endpoint_id=endpoint_id, event_id=event_id
        )

    return once.answer(send_one)


@blp.get(f"{_ROOT}/<event_id>")
@needs(Permission.READ)
def show(tenant_id: str, endpoint_id: str, event_id: str) -> ResponseReturnValue:
    """Show what came of a test: a page, or its live part alone."""
    found = services().endpoints.get(tenant_id, endpoint_id_of(endpoint_id))
    sent = _sent(tenant_id, found.endpoint.id, ids.read(Kind.EVENT, event_id))
    looks = request.args.get("looks", 0, type=int)
    template = "endpoints/answer.html" if places.is_part() else "endpoints/test.html"
    return render_template(
        template,
        found=found,
        state=standings.shown(found),
        sent=sent,
        event_id=event_id,
        looks=looks,
        goes_on=not sent.attempts and looks < _LOOKS,
        body=_body(sent),
        moves=moves.watch(tenant_id, [sent.delivery], kept=True)
        if sent.attempts
        else None,
    )


def _sent(tenant_id: str, endpoint_id: UUID, event_id: UUID) -> DeliveryWithAttempts:
    event = services().events.get(tenant_id, event_id, opened=False)
    delivery = next(
        (each for each in event.deliveries if each.endpoint_id == endpoint_id), None
    )
    if delivery is None:
        raise NotFound("this event was not sent to this endpoint.")
    outline = services().deliveries.get(tenant_id, delivery.id, opened=False)
    # A look at what is sealed is recorded, so it is opened once there is something.
    may_open = visitor().grants.may(PAYLOADS, tenant_id)
    if not outline.attempts or not may_open:
        return outline
    return services().deliveries.get(tenant_id, delivery.id)


def _body(sent: DeliveryWithAttempts) -> dict[str, Any] | None:
    detail = sent.attempts[0].detail if sent.attempts else None
    if detail is None:
        return None
    raw = detail.response_body
    return {
        "text": raw[:_SHOWN_BYTES].decode(errors="replace"),
        "is_cut": detail.response_truncated or len(raw) > _SHOWN_BYTES,
        "headers": detail.response_headers,
    }
