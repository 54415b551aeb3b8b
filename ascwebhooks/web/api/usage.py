"""Usage: a tenant's timeline."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import USAGE_GROUPS
from ascwebhooks.domain.timelines import facts
from ascwebhooks.services.usage import Timeline
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Moment, Text

blp = Blueprint("usage", __name__, description="What was used, and how it went.")

_DAY_S = 86_400


class UsageQuery(Schema):
    """Which time, in what steps."""

    since = Moment(required=True, data_key="from")
    until = Moment(required=True, data_key="to")
    step_s = fields.Integer(
        data_key="step",
        load_default=60,
        validate=validate.Range(60, 31 * _DAY_S),
        metadata={"description": "Seconds: whole minutes."},
    )
    group_by = Text(
        load_default="",
        validate=validate.Regexp(
            f"^(({'|'.join(USAGE_GROUPS)})(,|$))*$", error="unknown group."
        ),
        metadata={
            "description": "Any of provider, model, region and deployment, with"
            " commas between.",
            "example": "provider,model",
        },
    )


class DeliveriesSchema(Answer):
    """What attempts at delivery came to."""

    delivered = fields.Integer()
    failed = fields.Integer()
    dead_lettered = fields.Integer()


class UsagePointSchema(Answer):
    """A step; `alerts` and `deliveries` are null where it is of a group."""

    at = Moment()
    group = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        allow_none=True,
        metadata={"description": "What it is of; null for all together."},
    )
    requests = fields.Integer()
    completed = fields.Integer()
    errors = fields.Integer()
    blocked = fields.Integer()
    denials = fields.Integer()
    fallbacks = fields.Integer()
    rate_limited = fields.Integer()
    unpriced = fields.Integer()
    input_tokens = fields.Integer()
    output_tokens = fields.Integer()
    spend = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "By currency, exact.",
            "example": {"USD": "12.0403"},
        },
    )
    by_status = fields.Dict(keys=fields.String(), values=fields.Integer())
    duration_p50_ms = fields.Float(allow_none=True)
    duration_p95_ms = fields.Float(allow_none=True)
    time_to_first_token_p50_ms = fields.Float(allow_none=True)
    time_to_first_token_p95_ms = fields.Float(allow_none=True)
    alerts = fields.Integer(
        allow_none=True,
        metadata={"description": "Incidents that opened, budgets' lines crossed."},
    )
    deliveries = fields.Nested(DeliveriesSchema, allow_none=True)


class UsageSchema(Answer):
    """A timeline; steps in which nothing happened are there, not of groups."""

    begins_at = Moment()
    ends_at = Moment()
    step_s = fields.Integer()
    items = fields.List(fields.Nested(UsagePointSchema))


@blp.route("/tenants/<tenant_id>/usage")
class Usage(MethodView):
    """A tenant's timeline."""

    @needs(Permission.READ)
    @blp.arguments(UsageQuery, location="query")
    @blp.response(200, UsageSchema)
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """Get what was used, step by step, with alerts and deliveries."""
        groups = [each for each in query.pop("group_by").split(",") if each]
        return shown(services().usage.timeline(tenant_id, **query, group_by=groups))


def shown(found: Timeline) -> dict[str, Any]:
    """Return a timeline as the schema reads it."""
    axis = found.axis
    return {
        "begins_at": axis.begins,
        "ends_at": axis.ends,
        "step_s": axis.step_s,
        "items": [facts(each) for each in found.points],
    }
