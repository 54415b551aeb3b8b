"""Event types: the catalogue."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from marshmallow import fields

from ascwebhooks.domain import event_types
from ascwebhooks.domain.event_types import Sender
from ascwebhooks.domain.keys import Permission
from ascwebhooks.web.access import needs
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Text
from ascwebhooks.web.api.pages import PageQuery, page, page_of

blp = Blueprint("event-types", __name__, description="What events there are.")


class EventTypeSchema(Answer):
    """A type of event; a tenant may publish others."""

    type = fields.String(metadata={"example": "budget.exceeded"})
    group = fields.String(metadata={"example": "budget"})
    description = fields.String()
    sender = fields.Enum(Sender, by_value=True)
    schema = fields.Dict(
        keys=fields.String(),
        metadata={"description": "JSON Schema 2020-12 of the event's `data`."},
    )
    example = fields.Dict(
        keys=fields.String(), metadata={"description": "Of the event's `data`."}
    )


class EventTypeQuery(PageQuery):
    """Which types."""

    group = Text(metadata={"description": "What comes before the dot."})


@blp.route("/event-types")
class EventTypes(MethodView):
    """The catalogue."""

    @needs(Permission.READ)
    @blp.arguments(EventTypeQuery, location="query")
    @blp.response(200, page_of(EventTypeSchema))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List event types in order of their names."""
        return page(query, event_types.page, id_of=lambda each: each.type, read_id=str)


@blp.route("/event-types/<event_type>")
class EventType(MethodView):
    """One type."""

    @needs(Permission.READ)
    @blp.response(200, EventTypeSchema)
    def get(self, event_type: str) -> object:
        """Get an event type."""
        return event_types.find(event_type)
