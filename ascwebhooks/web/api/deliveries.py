"""Deliveries."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import fields, post_dump, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass, Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.services.deliveries import DeliveryWithAttempts
from ascwebhooks.web.access import caller, needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Blob, Id, Moment, MomentOfId, Text
from ascwebhooks.web.api.pages import PageQuery, page, page_of

blp = Blueprint("deliveries", __name__, description="Events on their way.")

_ROOT = "/tenants/<tenant_id>/deliveries"


class DeliverySchema(Answer):
    """A delivery: one event on its way to one endpoint."""

    id = Id(Kind.DELIVERY)
    tenant_id = fields.String()
    event_id = Id(Kind.EVENT)
    event_type = fields.String()
    endpoint_id = Id(Kind.ENDPOINT)
    status = fields.String(metadata={"enum": [*Status]})
    attempt_count = fields.Integer()
    next_attempt_at = Moment(allow_none=True)
    last_status_code = fields.Integer(allow_none=True)
    last_error = fields.String(allow_none=True)
    dead_reason = fields.String(allow_none=True)
    replay_id = Id(Kind.REPLAY, allow_none=True)
    created_at = MomentOfId()
    completed_at = Moment(allow_none=True)

    @post_dump
    def _settle(self, shown: dict[str, Any], **_: Any) -> dict[str, Any]:
        # What has ended is not due; the column keeps the last due time.
        if shown["status"] != Status.PENDING:
            shown["next_attempt_at"] = None
        return shown


class TimingsSchema(Answer):
    """Milliseconds since the attempt began; null where it did not get that far."""

    dns = fields.Float(attribute="dns_ms", allow_none=True)
    connect = fields.Float(attribute="connect_ms", allow_none=True)
    tls = fields.Float(attribute="tls_ms", allow_none=True)
    first_byte = fields.Float(attribute="first_byte_ms", allow_none=True)
    total = fields.Float(attribute="total_ms")


class AttemptSchema(Answer):
    """One request that was made, and what came back."""

    id = Id(Kind.ATTEMPT, attribute="attempt.id")
    started_at = Moment(attribute="attempt.started_at")
    status_code = fields.Integer(attribute="attempt.status_code", allow_none=True)
    error = fields.String(attribute="attempt.error", allow_none=True)
    detail = fields.String(
        attribute="attempt.detail",
        metadata={"description": "For the platform's operators alone."},
        allow_none=True,
    )
    address = fields.String(attribute="attempt.address", allow_none=True)
    timings_ms = fields.Nested(TimingsSchema, attribute="attempt")
    request_headers = fields.List(
        fields.List(fields.String()), attribute="detail.request_headers"
    )
    request_body = Blob(allow_none=True)
    response_headers = fields.List(
        fields.List(fields.String()), attribute="detail.response_headers"
    )
    response_body = Blob(attribute="detail.response_body")
    response_truncated = fields.Boolean(attribute="detail.response_truncated")


class DeliveryWithAttemptsSchema(DeliverySchema):
    """A delivery with its attempts."""

    attempts = fields.List(fields.Nested(AttemptSchema))


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status = fields.String(validate=validate.OneOf([*Status]))
    endpoint_id = Id(Kind.ENDPOINT)
    event_type = Text()
    since = Moment(metadata={"description": "Of events accepted then or later."})
    until = Moment(metadata={"description": "Of events accepted before."})
    error = fields.String(
        validate=validate.OneOf([*ErrorClass]),
        metadata={"description": "What went wrong with the last attempt."},
    )
    status_code = fields.Integer(
        validate=validate.Range(100, 999),
        metadata={"description": "What the last attempt was answered."},
    )
    dead_reason = fields.String(validate=validate.OneOf([*DeadReason]))
    replay_id = Id(
        Kind.REPLAY, metadata={"description": "Reopened by this replay last."}
    )


def _id(text: str) -> Any:
    return ids.read(Kind.DELIVERY, text)


@blp.route(_ROOT)
class Deliveries(MethodView):
    """All of a tenant's deliveries."""

    @needs(Permission.READ)
    @blp.arguments(DeliveryQuery, location="query")
    @blp.response(200, page_of(DeliverySchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List deliveries, the newest first."""
        return page(query, partial(services().deliveries.page, tenant_id))


@blp.route(f"{_ROOT}/<delivery_id>")
class Delivery(MethodView):
    """One delivery."""

    @needs(Permission.READ)
    @blp.response(200, DeliveryWithAttemptsSchema)
    def get(self, tenant_id: str, delivery_id: str) -> With:
        """Get a delivery with its attempts: what was sent and what came back."""
        found = services().deliveries.get(tenant_id, _id(delivery_id))
        return With(found.delivery, attempts=_attempts(found))


@blp.route(f"{_ROOT}/<delivery_id>/retry")
class Retry(MethodView):
    """Trying again by hand."""

    @needs(Permission.OPERATE)
    @blp.response(202, DeliverySchema)
    def post(self, tenant_id: str, delivery_id: str) -> object:
        """Make a delivery due now; one that had ended begins its schedule again."""
        return services().deliveries.retry(tenant_id, _id(delivery_id))


@blp.route(f"{_ROOT}/<delivery_id>/cancel")
class Cancel(MethodView):
    """Giving up by hand."""

    @needs(Permission.OPERATE)
    @blp.response(200, DeliverySchema)
    def post(self, tenant_id: str, delivery_id: str) -> object:
        """Cancel a pending delivery; a result that is on its way changes nothing."""
        return services().deliveries.cancel(tenant_id, _id(delivery_id))


def _attempts(found: DeliveryWithAttempts) -> list[dict[str, Any]]:
    """Return the attempts; libcurl's own words are for the platform's operators."""
    who = caller()
    full = who.tenant_id is None and who.may(Permission.OPERATE)
    return [
        {
            "attempt": each.attempt if full else With(each.attempt, detail=None),
            "detail": each.detail,
            "request_body": each.body,
        }
        for each in found.attempts
    ]
