"""Incidents."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import fields

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.incidents import Ended
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import RuleKind, Severity
from ascwebhooks.services.incidents import Told
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.events import EventSchema
from ascwebhooks.web.api.fields import Id, Moment
from ascwebhooks.web.api.pages import PageQuery, page, page_of

blp = Blueprint("incidents", __name__, description="What rules found.")

_ROOT = "/tenants/<tenant_id>/incidents"


class IncidentState(StrEnum):
    """Where an incident is."""

    OPEN = "open"
    RESOLVED = "resolved"


class IncidentSchema(Answer):
    """An incident: that a rule's condition holds of something."""

    id = Id(Kind.INCIDENT)
    tenant_id = fields.String()
    rule_id = Id(Kind.RULE)
    rule_name = fields.String()
    kind = fields.String(metadata={"enum": [*RuleKind]})
    severity = fields.String(metadata={"enum": [*Severity]})
    state = fields.String(attribute="phase", metadata={"enum": [*IncidentState]})
    subject = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "What it is about.",
            "example": {"provider": "openai", "model": "gpt-4o"},
        },
    )
    facts = fields.Dict(
        keys=fields.String(),
        metadata={"description": "What the rule saw when it was told last."},
    )
    opened_at = Moment(allow_none=True)
    last_told_at = Moment(attribute="told_at", allow_none=True)
    repeats = fields.Integer()
    resolved_at = Moment(allow_none=True)
    reason = fields.String(
        attribute="ended",
        allow_none=True,
        metadata={"description": "Why it resolved.", "enum": [*Ended, None]},
    )


class IncidentWithEventsSchema(IncidentSchema):
    """An incident with the events that told of it, the oldest first."""

    events = fields.List(fields.Nested(EventSchema))


class IncidentQuery(PageQuery):
    """Which incidents."""

    state = fields.Enum(IncidentState, by_value=True)
    kind = fields.Enum(RuleKind, by_value=True)
    severity = fields.Enum(Severity, by_value=True)
    rule_id = Id(Kind.RULE)
    since = Moment(metadata={"description": "Opened at or after this time."})
    until = Moment(metadata={"description": "Opened before this time."})


@blp.route(_ROOT)
class Incidents(MethodView):
    """All of a tenant's incidents."""

    @needs(Permission.READ)
    @blp.arguments(IncidentQuery, location="query")
    @blp.response(200, page_of(IncidentSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List incidents, the newest first."""
        return page(query, partial(services().incidents.page, tenant_id))


@blp.route(f"{_ROOT}/<incident_id>")
class Incident(MethodView):
    """One incident."""

    @needs(Permission.READ)
    @blp.response(200, IncidentWithEventsSchema)
    def get(self, tenant_id: str, incident_id: str) -> Any:
        """Get an incident with the events that told of it."""
        wanted = ids.read(Kind.INCIDENT, incident_id)
        found: Told = services().incidents.get(tenant_id, wanted)
        return With(found.incident, events=found.events)
