"""Tenants."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotPermitted
from ascwebhooks.services.tenants import REGION, TENANT_ID
from ascwebhooks.web.access import caller, needs, services
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Flag, Moment, Text, pattern
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.tags import precondition

blp = Blueprint("tenants", __name__, description="Customers of the gateway.")

_MAX_REGIONS = 50


class TenantChanges(Schema):
    """What can be changed of a tenant."""

    name = Text(validate=validate.Length(1, 200))
    home_region = Text(
        metadata={
            "description": "Where its endpoints are served by default.",
            "pattern": pattern(REGION),
        }
    )
    allowed_regions = fields.List(
        Text(metadata={"pattern": pattern(REGION)}),
        validate=validate.Length(1, _MAX_REGIONS),
        metadata={"description": "Where its endpoints may be served."},
    )
    strict = Flag(
        metadata={
            "description": "Whether it takes nothing but events of the catalogue"
            " (`/event-types`), with data that fits their type's schema. What is"
            " refused is kept among the rejected events: `unknown_type`,"
            " `schema_mismatch`."
        }
    )


class NewTenant(TenantChanges):
    """A tenant to create."""

    id = Text(
        required=True,
        metadata={
            "description": "What its events carry as `tenantid`.",
            "pattern": pattern(TENANT_ID),
        },
    )


class TenantSchema(Answer):
    """A tenant."""

    id = fields.String()
    name = fields.String()
    home_region = fields.String()
    allowed_regions = fields.List(fields.String())
    strict = fields.Boolean()
    created_at = Moment()
    updated_at = Moment()


@blp.route("/tenants")
class Tenants(MethodView):
    """All tenants; for a tenant's key, its own."""

    @needs(Permission.READ)
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, page_of(TenantSchema))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List tenants in order of their ids."""
        own = caller().tenant_id
        fetch = partial(services().tenants.page, only=None if own is None else [own])
        return page(query, fetch, read_id=str)

    @needs(Permission.ADMINISTER, refusal=NotPermitted)
    @blp.arguments(NewTenant)
    @blp.response(201, TenantSchema, etag=True)
    def post(self, body: dict[str, Any]) -> object:
        """Create a tenant."""
        return services().tenants.create(body.pop("id"), **body)


@blp.route("/tenants/<tenant_id>")
class Tenant(MethodView):
    """One tenant."""

    @needs(Permission.READ)
    @blp.response(200, TenantSchema, etag=True)
    def get(self, tenant_id: str) -> object:
        """Get a tenant."""
        return services().tenants.get(tenant_id)

    @needs(Permission.ADMINISTER)
    @blp.arguments(TenantChanges)
    @blp.conditional
    @blp.response(200, TenantSchema, etag=True)
    def patch(self, body: dict[str, Any], tenant_id: str) -> object:
        """Change a tenant."""
        check = precondition(TenantSchema)
        return services().tenants.change(tenant_id, body, check)

    @needs(Permission.ADMINISTER)
    @blp.conditional
    @blp.response(204)
    def delete(self, tenant_id: str) -> None:
        """Delete a tenant; what is pending at its endpoints is dead-lettered."""
        services().tenants.delete(tenant_id, precondition(TenantSchema))
