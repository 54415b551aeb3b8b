"""Rules: what opens an incident."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.incidents import NoData
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import (
    MAX_NAME_CHARACTERS,
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERNS,
    MAX_WINDOW_S,
    PARAMETERS,
    POLICY_GROUPS,
    USAGE_GROUPS,
    Measure,
    RuleKind,
    Severity,
)
from ascwebhooks.services.rules import Held, Origin
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Flag, Id, Moment, Number, Text, Whole
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.tags import precondition

blp = Blueprint("rules", __name__, description="What opens an incident.")

_ROOT = "/tenants/<tenant_id>/rules"
_DAY_S = 86_400


def _pattern(of: str) -> Text:
    return Text(
        allow_none=True,
        validate=validate.Length(1, MAX_PATTERN_CHARACTERS),
        metadata={"description": f"Only {of} that fit; `*` is any characters."},
    )


def _choice(kind: type[Any], text: str) -> Any:
    return fields.Enum(
        kind, by_value=True, allow_none=True, metadata={"description": text}
    )


class RuleChanges(Schema):
    """What can be changed of a rule; a parameter that is null is its kind's own."""

    name = Text(validate=validate.Length(1, MAX_NAME_CHARACTERS))
    severity = fields.Enum(Severity, by_value=True)
    enabled = Flag()
    provider = _pattern("providers")
    model = _pattern("models")
    region = _pattern("regions")
    deployment = _pattern("deployments")
    policy = _pattern("policies")
    group_by = fields.List(
        fields.String(validate=validate.OneOf([*USAGE_GROUPS, *POLICY_GROUPS])),
        allow_none=True,
        validate=validate.Length(0, len(USAGE_GROUPS)),
        metadata={"description": "An incident for each; none for all together."},
    )
    window_s = Whole(
        60,
        MAX_WINDOW_S,
        allow_none=True,
        metadata={"description": "How far it looks back: whole minutes."},
    )
    min_requests = Whole(1, 1_000_000_000, allow_none=True)
    threshold = Number(
        0.001,
        1_000_000_000,
        allow_none=True,
        metadata={
            "description": "Opens, at it or above: a share (0 to 1) of errors, a"
            " latency in milliseconds, or a count, by kind."
        },
    )
    resolve_threshold = Number(
        0,
        1_000_000_000,
        allow_none=True,
        metadata={"description": "Resolves, below it; no higher than `threshold`."},
    )
    for_s = Whole(
        0, _DAY_S, allow_none=True, metadata={"description": "Held so long before."}
    )
    repeat_s = Whole(
        60,
        30 * _DAY_S,
        allow_none=True,
        metadata={"description": "Told again after so long; null for never."},
    )
    no_data = _choice(NoData, "What it means that a window is empty.")
    measure = _choice(Measure, "What a latency is of.")
    quantile = Number(
        0.01, 1, allow_none=True, metadata={"description": "Of the latencies."}
    )
    allowed = fields.List(
        Text(validate=validate.Length(1, MAX_PATTERN_CHARACTERS)),
        allow_none=True,
        validate=validate.Length(1, MAX_PATTERNS),
        metadata={
            "description": "Models or regions; `*` is any characters.",
            "example": ["gpt-4o*", "claude-*"],
        },
    )
    quiet_s = Whole(
        60,
        30 * _DAY_S,
        allow_none=True,
        metadata={"description": "Resolves when not seen for so long."},
    )


class NewRule(RuleChanges):
    """A rule to create; what is left out is its kind's own."""

    name = Text(required=True, validate=validate.Length(1, MAX_NAME_CHARACTERS))
    kind = fields.Enum(RuleKind, by_value=True, required=True)


class _OfSpec:
    """Reads a rule's parameters from its spec."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return a parameter, or what the rule itself has."""
        if isinstance(obj, Held):
            where: Any = obj.rule.spec if attr in PARAMETERS else obj
            return getattr(where, attr, getattr(obj.rule, attr, default))
        return default


class RuleSchema(_OfSpec, Answer):
    """A rule; parameters that its kind does not take are null."""

    id = Id(Kind.RULE)
    tenant_id = fields.String()
    name = fields.String()
    kind = fields.Enum(RuleKind, by_value=True)
    severity = fields.Enum(Severity, by_value=True)
    enabled = fields.Boolean()
    origin = fields.Enum(Origin, by_value=True)
    provider = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    region = fields.String(allow_none=True)
    deployment = fields.String(allow_none=True)
    policy = fields.String(allow_none=True)
    group_by = fields.List(fields.String(), allow_none=True)
    window_s = fields.Integer(allow_none=True)
    min_requests = fields.Integer(allow_none=True)
    threshold = fields.Float(allow_none=True)
    resolve_threshold = fields.Float(allow_none=True)
    for_s = fields.Integer(allow_none=True)
    repeat_s = fields.Integer(allow_none=True)
    no_data = fields.Enum(NoData, by_value=True, allow_none=True)
    measure = fields.Enum(Measure, by_value=True, allow_none=True)
    quantile = fields.Float(allow_none=True)
    allowed = fields.List(fields.String(), allow_none=True)
    quiet_s = fields.Integer(allow_none=True)
    created_at = Moment(allow_none=True)
    updated_at = Moment(allow_none=True)


class RuleQuery(PageQuery):
    """Which rules."""

    kind = fields.Enum(RuleKind, by_value=True)
    enabled = fields.Boolean()


def _id(text: str) -> Any:
    return ids.read(Kind.RULE, text)


@blp.route(_ROOT)
class Rules(MethodView):
    """All of a tenant's rules."""

    @needs(Permission.READ)
    @blp.arguments(RuleQuery, location="query")
    @blp.response(200, page_of(RuleSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List rules, the newest first and those that hold by default last."""
        return page(query, partial(services().rules.page, tenant_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewRule)
    @blp.response(201, RuleSchema, etag=True)
    def post(self, body: dict[str, Any], tenant_id: str) -> Any:
        """Create a rule; it counts within seconds."""
        return services().rules.create(tenant_id, **body)


@blp.route(f"{_ROOT}/<rule_id>")
class Rule(MethodView):
    """One rule."""

    @needs(Permission.READ)
    @blp.response(200, RuleSchema, etag=True)
    def get(self, tenant_id: str, rule_id: str) -> Any:
        """Get a rule."""
        return services().rules.get(tenant_id, _id(rule_id))

    @needs(Permission.ADMINISTER)
    @blp.arguments(RuleChanges)
    @blp.conditional
    @blp.response(200, RuleSchema, etag=True)
    def patch(self, body: dict[str, Any], tenant_id: str, rule_id: str) -> Any:
        """Change a rule; incidents that it has open resolve if it looks elsewhere."""
        check = precondition(RuleSchema)
        return services().rules.change(tenant_id, _id(rule_id), body, check)

    @needs(Permission.ADMINISTER)
    @blp.conditional
    @blp.response(204)
    def delete(self, tenant_id: str, rule_id: str) -> None:
        """Delete a rule, or what was changed of one that holds by default."""
        check = precondition(RuleSchema)
        services().rules.delete(tenant_id, _id(rule_id), check)
