"""Subscriptions."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.matching import MAX_EVENT_TYPES
from ascwebhooks.services.previews import MAX_EVENTS, Preview
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import FilterText, Flag, Id, Moment, Text, Whole
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.tags import precondition

blp = Blueprint(
    "subscriptions", __name__, description="Which events an endpoint wants."
)

_ROOT = "/tenants/<tenant_id>/subscriptions"


def _event_types(**options: Any) -> Any:
    return fields.List(
        Text(),
        validate=validate.Length(1, MAX_EVENT_TYPES),
        metadata={
            "description": "Exact types or globs.",
            "example": ["budget.*", "key.rotated"],
        },
        **options,
    )


class SubscriptionChanges(Schema):
    """What can be changed of a subscription."""

    event_types = _event_types()
    filter = FilterText()
    enabled = Flag()


class NewSubscription(SubscriptionChanges):
    """A subscription to create."""

    endpoint_id = Id(Kind.ENDPOINT, required=True)
    event_types = _event_types(required=True)


class SubscriptionSchema(Answer):
    """A subscription."""

    id = Id(Kind.SUBSCRIPTION)
    tenant_id = fields.String()
    endpoint_id = Id(Kind.ENDPOINT)
    event_types = fields.List(fields.String())
    filter = fields.String(allow_none=True)
    enabled = fields.Boolean()
    created_at = Moment()
    updated_at = Moment()


class SubscriptionQuery(PageQuery):
    """Which subscriptions."""

    endpoint_id = Id(Kind.ENDPOINT)
    event_type = Text(
        metadata={"description": "Those that take this type, or name this very glob."}
    )


class PreviewRequest(Schema):
    """A subscription to try out."""

    event_types = _event_types(load_default=["*"])
    filter = FilterText()
    limit = Whole(
        1,
        MAX_EVENTS,
        load_default=20,
        metadata={"description": "On how many of the last events."},
    )


class PreviewedSchema(Answer):
    """What the subscription would have made of one event."""

    event_id = Id(Kind.EVENT)
    type = fields.String()
    matched = fields.Boolean()
    error = fields.String(
        allow_none=True,
        metadata={"description": "Why its filter could not be evaluated."},
    )


class PreviewCountsSchema(Answer):
    """How often."""

    events = fields.Integer()
    matched = fields.Integer()
    failed = fields.Integer()


class PreviewSchema(Answer):
    """What the subscription would have made of the last events, the newest first."""

    items = fields.List(fields.Nested(PreviewedSchema))
    counts = fields.Nested(PreviewCountsSchema)


def _id(text: str) -> Any:
    return ids.read(Kind.SUBSCRIPTION, text)


@blp.route(_ROOT)
class Subscriptions(MethodView):
    """All of a tenant's subscriptions."""

    @needs(Permission.READ)
    @blp.arguments(SubscriptionQuery, location="query")
    @blp.response(200, page_of(SubscriptionSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List subscriptions, the newest first."""
        return page(query, partial(services().subscriptions.page, tenant_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewSubscription)
    @blp.response(201, SubscriptionSchema, etag=True)
    def post(self, body: dict[str, Any], tenant_id: str) -> Any:
        """Create a subscription; it counts for events that come from then on."""
        return services().subscriptions.create(tenant_id, **body)


@blp.route(f"{_ROOT}/<subscription_id>")
class Subscription(MethodView):
    """One subscription."""

    @needs(Permission.READ)
    @blp.response(200, SubscriptionSchema, etag=True)
    def get(self, tenant_id: str, subscription_id: str) -> Any:
        """Get a subscription."""
        return services().subscriptions.get(tenant_id, _id(subscription_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(SubscriptionChanges)
    @blp.conditional
    @blp.response(200, SubscriptionSchema, etag=True)
    def patch(self, body: dict[str, Any], tenant_id: str, subscription_id: str) -> Any:
        """Change a subscription."""
        check = precondition(SubscriptionSchema)
        return services().subscriptions.change(
            tenant_id, _id(subscription_id), body, check
        )

    @needs(Permission.ADMINISTER)
    @blp.conditional
    @blp.response(204)
    def delete(self, tenant_id: str, subscription_id: str) -> None:
        """Delete a subscription; what is pending at its endpoint is still sent."""
        check = precondition(SubscriptionSchema)
        services().subscriptions.delete(tenant_id, _id(subscription_id), check)


@blp.route(f"{_ROOT}/preview")
class SubscriptionPreview(MethodView):
    """Trying a subscription out."""

    # It changes nothing.  But filters can ask an event's data for anything, so who
    # may preview can find it out: whoever may read it, and no publisher.
    @needs(Permission.READ)
    @blp.doc(operationId="preview_subscription")
    @blp.arguments(PreviewRequest)
    @blp.response(200, PreviewSchema)
    def post(self, body: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """Say which of the last events a subscription would have taken."""
        return _shown(services().previews.preview(tenant_id, **body))


def _shown(preview: Preview) -> dict[str, Any]:
    counts = {
        "events": len(preview.items),
        "matched": preview.matched,
        "failed": preview.failed,
    }
    return {"items": preview.items, "counts": counts}
