"""Rejected events: a tenant's, and for the platform's keys all of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from flask import Response, request
from flask.views import MethodView
from marshmallow import fields
from werkzeug.exceptions import UnsupportedMediaType

from ascwebhooks.domain import ids
from ascwebhooks.domain.events import MAX_EVENT_BYTES
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotFound, UnreadableBody
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api import bodies
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.events import (
    CLOUD_EVENT,
    AllRejectedSchema,
    PublishedSchema,
    published,
)
from ascwebhooks.web.api.fields import Blob, Id, MomentOfId
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.errors import PROBLEM_TYPE

blp = Blueprint("rejected-events", __name__, description="What was not accepted.")

#: What may stand around an event in the body of a resubmission.
_AROUND_BYTES = 1024
_EDITED = {
    "required": False,
    "content": {
        "application/json": {
            "schema": {
                "title": "EditedEvent",
                "type": "object",
                "properties": {"event": CLOUD_EVENT},
                "additionalProperties": False,
            }
        }
    },
}


class RejectedEventSchema(Answer):
    """A rejected event; of its attributes those that could be read."""

    id = Id(Kind.REJECTED_EVENT)
    tenant_id = fields.String(
        allow_none=True, metadata={"description": "Null if the tenant is not known."}
    )
    claimed_tenant = fields.String(allow_none=True)
    code = fields.String()
    detail = fields.String()
    type = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    source_id = fields.String(allow_none=True)
    via = fields.String(metadata={"description": "`stream`, `http` or `test`."})
    size_bytes = fields.Integer()
    truncated = fields.Boolean()
    rejected_at = MomentOfId()


class RejectedEventWithRawSchema(RejectedEventSchema):
    """A rejected event with what came."""

    raw = Blob(
        allow_none=True,
        metadata={"description": "As text; null if its key was destroyed."},
    )


@blp.route("/tenants/<tenant_id>/rejected-events")
class RejectedEvents(MethodView):
    """All of a tenant's rejected events."""

    @needs(Permission.READ)
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, page_of(RejectedEventSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List a tenant's rejected events, the newest first."""
        return _page(query, tenant_id)


@blp.route("/tenants/<tenant_id>/rejected-events/<rejected_id>")
class RejectedEvent(MethodView):
    """One of a tenant's rejected events."""

    @needs(Permission.READ)
    @blp.response(200, RejectedEventWithRawSchema)
    def get(self, tenant_id: str, rejected_id: str) -> With:
        """Get a tenant's rejected event, with what came."""
        return _get(tenant_id, rejected_id)

    @needs(Permission.ADMINISTER)
    @blp.response(204)
    def delete(self, tenant_id: str, rejected_id: str) -> None:
        """Delete a tenant's rejected event."""
        services().rejected_events.delete(tenant_id, _id(rejected_id))


@blp.route("/rejected-events")
class AllRejectedEvents(MethodView):
    """Every rejected event, also those whose tenant is not known."""

    @needs(Permission.READ, refusal=NotFound)
    @blp.doc(operationId="list_all_rejected_events")
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, page_of(RejectedEventSchema))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List rejected events, the newest first; for the platform's keys."""
        return _page(query, None)


@blp.route("/rejected-events/<rejected_id>")
class AnyRejectedEvent(MethodView):
    """One rejected event, whosever it is."""

    @needs(Permission.READ, refusal=NotFound)
    @blp.doc(operationId="get_any_rejected_event")
    @blp.response(200, RejectedEventWithRawSchema)
    def get(self, rejected_id: str) -> With:
        """Get a rejected event, with what came; for the platform's keys."""
        return _get(None, rejected_id)

    @needs(Permission.ADMINISTER, refusal=NotFound)
    @blp.doc(operationId="delete_any_rejected_event")
    @blp.response(204)
    def delete(self, rejected_id: str) -> None:
        """Delete a rejected event; for the platform's keys."""
        services().rejected_events.delete(None, _id(rejected_id))


@blp.route("/tenants/<tenant_id>/rejected-events/<rejected_id>/resubmit")
class Resubmission(MethodView):
    """Trying a tenant's rejected event again."""

    @needs(Permission.OPERATE)
    @blp.doc(requestBody=_EDITED)
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema)
    def post(self, tenant_id: str, rejected_id: str) -> Response:
        """Publish a tenant's rejected event again, edited if an event is given.

        Accepted, it is no longer among the rejected; refused, it stays.
        """
        return _resubmit(tenant_id, rejected_id)


@blp.route("/rejected-events/<rejected_id>/resubmit")
class AnyResubmission(MethodView):
    """Trying any rejected event again."""

    @needs(Permission.OPERATE, refusal=NotFound)
    @blp.doc(requestBody=_EDITED, operationId="resubmit_any_rejected_event")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema)
    def post(self, rejected_id: str) -> Response:
        """Publish a rejected event again, edited if an event is given.

        For the platform's keys: an edited event may be any tenant's.
        """
        return _resubmit(None, rejected_id)


def _id(text: str) -> Any:
    return ids.read(Kind.REJECTED_EVENT, text)


def _page(query: dict[str, Any], tenant_id: str | None) -> dict[str, Any]:
    return page(query, partial(services().rejected_events.page, tenant_id))


def _get(tenant_id: str | None, rejected_id: str) -> With:
    found = services().rejected_events.get(tenant_id, _id(rejected_id))
    return With(found.rejected, raw=found.raw)


class _Edited(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a resubmission; the event's bytes are taken as they are."""

    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Edited).decode


def _resubmit(tenant_id: str | None, rejected_id: str) -> Response:
    verdict = services().rejected_events.resubmit(
        tenant_id, _id(rejected_id), _edited()
    )
    return published([verdict])


def _edited() -> bytes | None:
    """Return the event in the request's body, if there is one."""
    body = bodies.read(request, MAX_EVENT_BYTES + _AROUND_BYTES)
    if not body:
        return None
    if not request.is_json:
        raise UnsupportedMediaType
    try:
        event = _decode(body).event
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableBody('the body is not {"event": …} in JSON.') from error
    return None if isinstance(event, msgspec.UnsetType) else bytes(event)
