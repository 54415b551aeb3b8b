"""API keys; a tenant's administrators manage their own tenant's."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission, Role
from ascwebhooks.web.access import caller, needs, services, within
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Id, Moment, Text, Whole
from ascwebhooks.web.api.pages import PageQuery, page, page_of

blp = Blueprint("keys", __name__, description="API keys.")

_MAX_LIFE_S = 10 * 365 * 86400


class NewKey(Schema):
    """A key to create."""

    role = fields.Enum(Role, by_value=True, required=True)
    tenant_id = Text(
        load_default=None,
        allow_none=True,
        metadata={"description": "For this tenant alone; null is for all."},
    )
    name = Text(load_default="", validate=validate.Length(max=200))
    expires_in_s = Whole(1, _MAX_LIFE_S, load_default=None, allow_none=True)


class KeySchema(Answer):
    """What is known of a key; the key itself is not kept."""

    id = Id(Kind.API_KEY)
    role = fields.String(metadata={"enum": [*Role]})
    tenant_id = fields.String(allow_none=True)
    name = fields.String()
    shown = fields.String(metadata={"description": "How the key begins."})
    created_at = Moment()
    expires_at = Moment(allow_none=True)
    revoked_at = Moment(allow_none=True)
    last_used_at = Moment(allow_none=True)


class KeyWithSecretSchema(KeySchema):
    """A new key."""

    key = fields.String(metadata={"description": "Shown this once."})


@blp.route("/keys")
class Keys(MethodView):
    """All keys; for a tenant's administrators, their own tenant's."""

    @needs(Permission.ADMINISTER)
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, page_of(KeySchema))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List keys, the newest first."""
        return page(query, partial(services().keys.page, caller().tenant_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewKey)
    @blp.response(201, KeyWithSecretSchema)
    def post(self, body: dict[str, Any]) -> With:
        """Create a key; it is in this answer alone."""
        life_s = body["expires_in_s"]
        row, secret = services().keys.create(
            body["role"],
            tenant_id=within(body["tenant_id"]),
            name=body["name"],
            expires_in=None if life_s is None else timedelta(seconds=life_s),
        )
        return With(row, key=secret)


@blp.route("/keys/<key_id>")
class Key(MethodView):
    """One key."""

    @needs(Permission.ADMINISTER)
    @blp.doc(operationId="revoke_key")
    @blp.response(204)
    def delete(self, key_id: str) -> None:
        """Revoke a key, at once."""
        services().keys.revoke(ids.read(Kind.API_KEY, key_id), caller().tenant_id)
