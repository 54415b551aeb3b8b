"""Events: publishing them, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, jsonify, make_response, request
from flask.views import MethodView
from marshmallow import fields
from werkzeug.exceptions import UnsupportedMediaType

from ascwebhooks.domain import ids
from ascwebhooks.domain.explanations import Result
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.events import EventWithDeliveries
from ascwebhooks.services.intakes import Accepted, Postponed, Verdict
from ascwebhooks.web.access import caller, needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api import batches, binary, bodies
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.deliveries import DeliverySchema
from ascwebhooks.web.api.fields import Id, Moment, MomentOfId, Text
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.errors import PROBLEM_TYPE, ProblemSchema, problem

blp = Blueprint("events", __name__, description="What happened at the gateway.")

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
DATA = "application/json"

_SPLITTERS: dict[str, Callable[[bytes], list[bytes]]] = {
    ONE: batches.one,
    MANY: batches.many,
}
_EXAMPLE = {
    "specversion": "1.0",
    "id": "0d9c4a5e",
    "source": "/gateway/eu-1",
    "type": "budget.exceeded",
    "tenantid": "acme",
    "time": "2026-11-23T11:18:28Z",
    "data": {"team": "search", "spend": 103.20, "budget": 100},
}
#: What other descriptions refer to.
SCHEMAS: dict[str, dict[str, Any]] = {
    "CloudEvent": {
        "type": "object",
        "description": "An event in structured mode; it may have other attributes.",
        "required": ["specversion", "id", "source", "type", "tenantid"],
        "properties": {
            "specversion": {"type": "string", "const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 256},
            "source": {"type": "string", "minLength": 1, "maxLength": 512},
            "type": {"type": "string", "minLength": 1, "maxLength": 128},
            "tenantid": {"type": "string", "minLength": 1, "maxLength": 64},
            "time": {"type": ["string", "null"], "format": "date-time"},
            "subject": {"type": ["string", "null"], "minLength": 1, "maxLength": 512},
            "data": {"description": "Any JSON, 256 KiB at most."},
        },
    },
    # Generated clients choose the content type by the type of what they are given, so
    # each way of publishing has a type of its own here.
    "EventData": {
        "type": "object",
        "description": "Binary mode: an event's data, any JSON, 256 KiB at most.",
        "additionalProperties": True,
    },
}
CLOUD_EVENT = {"$ref": "#/components/schemas/CloudEvent"}
_BODY = {
    "required": True,
    "content": {
        ONE: {"schema": CLOUD_EVENT, "example": _EXAMPLE},
        DATA: {
            "schema": {"$ref": "#/components/schemas/EventData"},
            "example": _EXAMPLE["data"],
        },
    },
}
_BATCH = {
    "required": True,
    "content": {
        MANY: {
            "schema": {
                "type": "array",
                "minItems": 1,
                "maxItems": batches.MAX_EVENTS,
                "items": CLOUD_EVENT,
            },
            "example": [_EXAMPLE],
        },
    },
}
_HEADERS = [
    {
        "in": "header",
        "name": f"ce-{name}",
        "schema": {"type": "string"},
        "description": "Binary mode: the attribute, percent-encoded.",
    }
    for name in ("specversion", "id", "source", "type", "tenantid", "time", "subject")
]


class AcceptedSchema(Answer):
    """An event that is kept, or that was kept before."""

    id = Id(Kind.EVENT)
    source_id = fields.String(metadata={"description": "The gateway's own id."})
    duplicate = fields.Boolean(
        metadata={"description": "It came before, and is not sent again."}
    )
    deliveries = fields.Integer(
        metadata={"description": "How many endpoints it goes to."}
    )


class RefusedSchema(Answer):
    """An event that is not kept, and why."""

    index = fields.Integer(metadata={"description": "Its place in the batch, from 0."})
    code = fields.String()
    detail = fields.String()


class PublishedSchema(Answer):
    """What became of a batch."""

    accepted = fields.List(fields.Nested(AcceptedSchema))
    rejected = fields.List(fields.Nested(RefusedSchema))


class AllRejectedSchema(ProblemSchema):
    """A batch of which nothing was accepted."""

    accepted = fields.List(fields.Nested(AcceptedSchema))
    rejected = fields.List(fields.Nested(RefusedSchema))


class EventSchema(Answer):
    """An event that was accepted."""

    id = Id(Kind.EVENT)
    tenant_id = fields.String()
    type = fields.String()
    source = fields.String()
    source_id = fields.String()
    time = Moment()
    accepted_at = MomentOfId()
    size_bytes = fields.Integer()


class ExplanationSchema(Answer):
    """What became of an event at one endpoint, and why it was not sent there."""

    endpoint_id = Id(Kind.ENDPOINT)
    outcome = fields.Enum(Result, by_value=True)
    detail = fields.String(metadata={"description": "The same for people."})
    delivery_id = Id(Kind.DELIVERY, allow_none=True)
    at = Moment(
        allow_none=True,
        metadata={"description": "When it ended, or when the endpoint was created."},
    )
    next_attempt_at = Moment(allow_none=True)
    reason = fields.String(allow_none=True)
    subscription_id = Id(Kind.SUBSCRIPTION, allow_none=True)
    filter = fields.String(
        allow_none=True, metadata={"description": "The subscription's, as it is now."}
    )
    filter_changed = fields.Boolean(
        allow_none=True,
        metadata={"description": "Whether the subscription was changed since."},
    )
    error = fields.String(allow_none=True)


class EventWithDeliveriesSchema(EventSchema):
    """An event with its content and what became of it at each endpoint."""

    subject = fields.String(allow_none=True)
    dataschema = fields.String(allow_none=True)
    traceparent = fields.String(allow_none=True)
    tracestate = fields.String(allow_none=True)
    severitytext = fields.String(allow_none=True)
    correlationid = fields.String(allow_none=True)
    data = fields.Raw(
        allow_none=True, metadata={"description": "As it came, byte for byte."}
    )
    data_available = fields.Boolean(
        metadata={"description": "False if the key that sealed it was destroyed."}
    )
    deliveries = fields.List(fields.Nested(DeliverySchema))
    endpoints = fields.List(
        fields.Nested(ExplanationSchema),
        metadata={"description": "One item for each endpoint, 1,000 at most."},
    )
    more_endpoints = fields.Boolean(
        metadata={"description": "Whether the tenant has others beside these."}
    )


class EventQuery(PageQuery):
    """Which events."""

    type = Text()
    source_id = Text()
    since = Moment(metadata={"description": "Accepted then or later."})
    until = Moment(metadata={"description": "Accepted before."})


@blp.route("/events")
class Publishing(MethodView):
    """The way in over HTTP."""

    @needs(Permission.PUBLISH)
    @blp.doc(requestBody=_BODY, parameters=_HEADERS, operationId="publish_event")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema, once=False)
    def post(self) -> Response:
        """Publish an event; once accepted, it is committed when this answers.

        In structured mode, or in binary mode with its attributes in `ce-*` headers and
        its data as the body; a batch is taken here as at `/events/batch`.  The same
        event again is a duplicate and is not sent again.
        """
        return _published(_events())


@blp.route("/events/batch")
class PublishingMany(MethodView):
    """The way in for many at once."""

    @needs(Permission.PUBLISH)
    @blp.doc(requestBody=_BATCH, operationId="publish_events")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema, once=False)
    def post(self) -> Response:
        """Publish events; those that are accepted are committed when this answers.

        At most 1,000 events and 5 MiB.  422 if none was accepted.
        """
        if request.mimetype != MANY:
            raise UnsupportedMediaType
        return _published(_events())


@blp.route("/tenants/<tenant_id>/events")
class Events(MethodView):
    """All of a tenant's events."""

    @needs(Permission.READ)
    @blp.arguments(EventQuery, location="query")
    @blp.response(200, page_of(EventSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List events, the newest first."""
        return page(query, partial(services().events.page, tenant_id))


@blp.route("/tenants/<tenant_id>/events/<event_id>")
class Event(MethodView):
    """One event."""

    @needs(Permission.READ)
    @blp.response(200, EventWithDeliveriesSchema)
    def get(self, tenant_id: str, event_id: str) -> With:
        """Get an event, with what became of it at each endpoint."""
        found = services().events.get(tenant_id, ids.read(Kind.EVENT, event_id))
        return _opened(found)


def _events() -> list[bytes]:
    """Return the bytes of each event in the request."""
    split = _SPLITTERS.get(request.mimetype)
    if split is None:
        return [binary.event(request)]
    return split(bodies.read(request, batches.MAX_BYTES))


def _published(raws: list[bytes]) -> Response:
    return published(
        services().acceptance.accept(raws, via="http", tenant_id=caller().tenant_id)
    )


def published(verdicts: Sequence[Verdict]) -> Response:
    """Return the answer to what was published: what was accepted and what not."""
    if any(isinstance(each, Postponed) for each in verdicts):
        # The others are kept; sent again they are duplicates.
        raise Unavailable("events cannot be kept now; send the request again.")
    outcome = {
        "accepted": [each for each in verdicts if isinstance(each, Accepted)],
        "rejected": [
            {"index": index, **each._asdict()}
            for index, each in enumerate(verdicts)
            if not isinstance(each, Accepted)
        ],
    }
    shown = PublishedSchema().dump(outcome)
    if outcome["accepted"]:
        return make_response(jsonify(shown), HTTPStatus.ACCEPTED)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return make_response(
        problem(status, "events_rejected", "no event was accepted.", **shown)
    )


def _opened(found: EventWithDeliveries) -> With:
    kept = {} if found.kept is None else msgspec.structs.asdict(found.kept)
    return With(
        found.event,
        **kept,
        data=None if found.data is None else msgspec.Raw(found.data),
        data_available=found.data is not None,
        deliveries=found.deliveries,
        endpoints=found.explained.items,
        more_endpoints=found.explained.more,
    )
