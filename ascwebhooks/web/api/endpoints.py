"""Endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, pre_dump, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import MAX_RATE_PER_S, Ordering
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.health import Breaker
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.matching import MAX_EVENT_TYPES
from ascwebhooks.domain.retry import MAX_DELAY_S, MAX_DELAYS
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.domain.urls import MAX_URL_LENGTH
from ascwebhooks.services.described import Described, WithSecret
from ascwebhooks.services.secrets import MAX_OVERLAP, OVERLAP
from ascwebhooks.services.targets import HIDDEN
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.events import AcceptedSchema
from ascwebhooks.web.api.fields import FilterText, Id, Moment, Text, Whole
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.tags import precondition

blp = Blueprint("endpoints", __name__, description="Where a tenant's events go.")

_ROOT = "/tenants/<tenant_id>/endpoints"


def _check_values(headers: Mapping[str, str]) -> None:
    shown = [name for name, value in headers.items() if value == HIDDEN]
    if shown:
        raise ValidationError(f"{HIDDEN} is shown for {shown[0]!a}; give its value.")


class EndpointChanges(Schema):
    """What can be changed of an endpoint."""

    url = Text(validate=validate.Length(1, MAX_URL_LENGTH))
    description = Text(validate=validate.Length(max=500))
    event_types = fields.List(
        Text(),
        validate=validate.Length(max=MAX_EVENT_TYPES),
        metadata={
            "description": "Exact types or globs; they replace its subscriptions.",
            "example": ["budget.*", "key.rotated"],
        },
    )
    filter = FilterText()
    headers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        validate=_check_values,
        metadata={"description": "Sent along with each delivery; never shown again."},
    )
    timeout_s = Whole(1, 30)
    max_in_flight = Whole(1, 1000)
    retry_schedule_s = fields.List(
        Whole(1, MAX_DELAY_S),
        validate=validate.Length(max=MAX_DELAYS),
        metadata={"description": "The delays after the first attempt, in seconds."},
    )
    region = Text()
    format = fields.String(
        validate=validate.OneOf([*Format]),
        metadata={
            "description": "What is sent: by Standard Webhooks, or a CloudEvent in"
            " structured or in binary mode. Signed the same way."
        },
    )
    signature = fields.String(
        validate=validate.OneOf([*Scheme]),
        metadata={
            "description": "`v1` (HMAC-SHA256) or `v1a` (Ed25519); it is chosen at"
            " creation, and later with a rotation of the secret."
        },
    )
    ordering = fields.String(
        validate=validate.OneOf([*Ordering]),
        metadata={
            "description": "`fifo`: one by one, in the order of acceptance; a delivery"
            " that fails blocks those behind it until it succeeds or is dead-lettered."
            " It can begin while at most 5,000 deliveries are pending."
        },
    )
    rate_limit_per_s = Whole(
        1,
        MAX_RATE_PER_S,
        allow_none=True,
        metadata={"description": "Requests a second at most, evenly spaced."},
    )


class NewEndpoint(EndpointChanges):
    """An endpoint to create."""

    url = Text(required=True, validate=validate.Length(1, MAX_URL_LENGTH))


class EndpointHealthSchema(Answer):
    """How an endpoint has been doing; what never happened is null."""

    breaker = fields.Enum(
        Breaker,
        by_value=True,
        metadata={
            "description": "Ten failures in a row open it; half open, one delivery"
            " probes. Resuming the endpoint closes it."
        },
    )
    breaker_until = Moment(allow_none=True)
    held_until = Moment(
        allow_none=True,
        metadata={"description": "The receiver asked for a pause (Retry-After)."},
    )
    consecutive_failures = fields.Integer()
    failing_since = Moment(allow_none=True)
    last_success_at = Moment(allow_none=True)
    last_failure_at = Moment(allow_none=True)


class EndpointSchema(Answer):
    """An endpoint; of its secrets the hints, of its headers the names."""

    #: Changes without anybody changing the endpoint.
    VOLATILE = frozenset({"health"})

    id = Id(Kind.ENDPOINT)
    tenant_id = fields.String()
    url = fields.String()
    description = fields.String()
    event_types = fields.List(fields.String())
    filter = fields.String(
        allow_none=True,
        metadata={"description": "Its subscription's; null where it has several."},
    )
    format = fields.String(metadata={"enum": [*Format]})
    signature = fields.String(metadata={"enum": [*Scheme]})
    public_key = fields.String(
        allow_none=True,
        metadata={"description": "`whpk_…`, with `v1a`: verifies signatures."},
    )
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    timeout_s = fields.Integer()
    rate_limit_per_s = fields.Integer(allow_none=True)
    max_in_flight = fields.Integer()
    ordering = fields.String(metadata={"enum": [*Ordering]})
    retry_schedule_s = fields.List(fields.Integer())
    region = fields.String()
    state = fields.String(metadata={"description": "`active`, `paused` or `disabled`."})
    disabled_reason = fields.String(allow_none=True)
    secret_hints = fields.List(fields.String())
    health = fields.Nested(EndpointHealthSchema)
    created_at = Moment()
    updated_at = Moment()

    @pre_dump
    def _flatten(self, found: Any, **_: Any) -> With:
        return _flat(found)


class EndpointWithSecretSchema(EndpointSchema):
    """An endpoint with its new secret."""

    VOLATILE = EndpointSchema.VOLATILE | {"secret"}

    secret = fields.String(
        allow_none=True,
        metadata={"description": "Shown this once; null with `v1a`."},
    )

    @pre_dump
    def _flatten(self, found: WithSecret, **_: Any) -> With:
        return _flat(found.described, secret=found.secret)


def _flat(found: Described, **more: Any) -> With:
    types = (name for each in found.subscriptions for name in each.event_types)
    return With(
        found.endpoint,
        event_types=list(dict.fromkeys(types)),
        filter=found.filter,
        headers=dict.fromkeys(found.header_names, HIDDEN),
        secret_hints=[each.hint for each in found.secrets],
        public_key=found.public_key,
        health=found.health,
        **more,
    )


class Rotation(Schema):
    """How a secret is replaced."""

    overlap_s = Whole(
        0,
        int(MAX_OVERLAP.total_seconds()),
        load_default=int(OVERLAP.total_seconds()),
        metadata={"description": "How long the secrets before it sign too."},
    )
    signature = fields.String(
        load_default=None,
        validate=validate.OneOf([*Scheme]),
        metadata={"description": "`v1` or `v1a` from now on; as it was if absent."},
    )


def _id(text: str) -> Any:
    return ids.read(Kind.ENDPOINT, text)


@blp.route(_ROOT)
class Endpoints(MethodView):
    """All of a tenant's endpoints."""

    @needs(Permission.READ)
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, page_of(EndpointSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List endpoints, the newest first."""
        fetch = partial(services().endpoints.page, tenant_id)
        return page(query, fetch, id_of=lambda each: each.endpoint.id)

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewEndpoint)
    @blp.response(201, EndpointWithSecretSchema, etag=True)
    def post(self, body: dict[str, Any], tenant_id: str) -> WithSecret:
        """Create an endpoint; its secret is in this answer alone."""
        return services().endpoints.create(tenant_id, **body)


@blp.route(f"{_ROOT}/<endpoint_id>")
class Endpoint(MethodView):
    """One endpoint."""

    @needs(Permission.READ)
    @blp.response(200, EndpointSchema, etag=True)
    def get(self, tenant_id: str, endpoint_id: str) -> Described:
        """Get an endpoint."""
        return services().endpoints.get(tenant_id, _id(endpoint_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(EndpointChanges)
    @blp.conditional
    @blp.response(200, EndpointSchema, etag=True)
    def patch(
        self, body: dict[str, Any], tenant_id: str, endpoint_id: str
    ) -> Described:
        """Change an endpoint."""
        check = precondition(EndpointSchema)
        return services().endpoints.change(tenant_id, _id(endpoint_id), body, check)

    @needs(Permission.ADMINISTER)
    @blp.conditional
    @blp.response(204)
    def delete(self, tenant_id: str, endpoint_id: str) -> None:
        """Delete an endpoint; what is pending there is dead-lettered."""
        check = precondition(EndpointSchema)
        services().endpoint_states.delete(tenant_id, _id(endpoint_id), check)


@blp.route(f"{_ROOT}/<endpoint_id>/rotate-secret")
class SecretRotation(MethodView):
    """Replacing the secret."""

    @needs(Permission.ADMINISTER)
    @blp.arguments(Rotation)
    @blp.response(200, EndpointWithSecretSchema, once=True)
    def post(
        self, body: dict[str, Any], tenant_id: str, endpoint_id: str
    ) -> WithSecret:
        """Give an endpoint a new secret; it is in this answer alone."""
        overlap = timedelta(seconds=body["overlap_s"])
        return services().secrets.rotate(
            tenant_id, _id(endpoint_id), overlap, body["signature"]
        )


@blp.route(f"{_ROOT}/<endpoint_id>/test")
class Test(MethodView):
    """Trying an endpoint out."""

    @needs(Permission.OPERATE)
    @blp.response(202, AcceptedSchema)
    def post(self, tenant_id: str, endpoint_id: str) -> dict[str, Any]:
        """Send an `endpoint.test` event, whatever the endpoint subscribes to."""
        source_id = f"test-{uuid4()}"
        sent = services().events.send_test(tenant_id, _id(endpoint_id), source_id)
        return sent._asdict()


@blp.route(f"{_ROOT}/<endpoint_id>/pause")
class Pause(MethodView):
    """Letting deliveries wait."""

    @needs(Permission.OPERATE)
    @blp.response(200, EndpointSchema)
    def post(self, tenant_id: str, endpoint_id: str) -> Described:
        """Pause an endpoint: its deliveries wait."""
        return services().endpoint_states.pause(tenant_id, _id(endpoint_id))


@blp.route(f"{_ROOT}/<endpoint_id>/resume")
class Resume(MethodView):
    """Going on."""

    @needs(Permission.OPERATE)
    @blp.response(200, EndpointSchema)
    def post(self, tenant_id: str, endpoint_id: str) -> Described:
        """Resume a paused endpoint, or enable a disabled one."""
        return services().endpoint_states.resume(tenant_id, _id(endpoint_id))
