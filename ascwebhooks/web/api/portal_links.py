"""Portal links: a tenant's part of the pages, for a customer's developer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import url_for
from flask.views import MethodView
from marshmallow import Schema, fields

from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission, Role
from ascwebhooks.domain.people import ROLES
from ascwebhooks.services.portals import LIFE, LONGEST_LIFE
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.admin import places
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Id, Moment, Text, Whole

blp = Blueprint(
    "portal-links", __name__, description="Links that open a tenant's pages, once."
)

_SECOND = timedelta(seconds=1)


class NewPortalLink(Schema):
    """A link to create."""

    role = Text(
        load_default=Role.VIEWER.value,
        metadata={"enum": [*ROLES], "description": "What its holder may do."},
    )
    expires_in_s = Whole(
        1,
        LONGEST_LIFE // _SECOND,
        load_default=LIFE // _SECOND,
        metadata={"description": "Until when it can be opened."},
    )


class PortalLinkSchema(Answer):
    """A new link."""

    id = Id(Kind.PORTAL_LINK)
    url = fields.String(
        metadata={"description": "Opens once; in this answer alone.", "format": "uri"}
    )
    role = fields.String(metadata={"enum": [*ROLES]})
    created_at = Moment()
    expires_at = Moment()


@blp.route("/tenants/<tenant_id>/portal-links")
class PortalLinks(MethodView):
    """A tenant's portal links."""

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewPortalLink)
    @blp.response(201, PortalLinkSchema)
    def post(self, body: dict[str, Any], tenant_id: str) -> With:
        """Create a link that opens the tenant's pages once, for a limited time."""
        row, token = services().portals.create_link(
            tenant_id,
            role=body["role"],
            expires_in=body["expires_in_s"] * _SECOND,
        )
        url = places.absolute(url_for("portal.look", token=token))
        return With(row, url=url)
