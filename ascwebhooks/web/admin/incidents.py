"""Incidents: what rules found, from opened to resolved, and who was told."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from marshmallow import validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.incidents import Phase
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.rules import RuleKind, Severity
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, narrowing, news, rule_words, telling
from ascwebhooks.web.admin.access import needs, tenant
from ascwebhooks.web.admin.forms import Line
from ascwebhooks.web.admin.narrowing import Choice, Times
from ascwebhooks.web.api.fields import Id

blp = Blueprint("incidents", __name__)

_ROOT = "/tenants/<tenant_id>/incidents"
_NAMED = validate.Length(max=256)


class IncidentFilters(Times):
    """Which incidents; the times are when they opened."""

    state = Choice([Phase.OPEN, Phase.RESOLVED])
    kind = Choice(RuleKind)
    severity = Choice(Severity)
    provider = Line(validate=_NAMED)
    model = Line(validate=_NAMED)
    rule_id = Id(Kind.RULE, data_key="rule")


@blp.get(_ROOT)
@needs(Permission.READ)
def index(tenant_id: str) -> ResponseReturnValue:
    """List a tenant's incidents, the newest first."""

    def fetch(wanted: dict[str, Any]) -> lists.Page:
        found = partial(services().incidents.page, tenant_id, **wanted)
        return lists.page(found, read=_id, cursor=_shown)

    found = narrowing.find(IncidentFilters, fetch)
    return news.page("incidents", found, tenant=tenant(), words=rule_words)


@blp.get(f"{_ROOT}/<incident_id>")
@needs(Permission.READ)
def show(tenant_id: str, incident_id: str) -> ResponseReturnValue:
    """Show an incident: what happened when, what the rule saw, who was told."""
    found = services().incidents.get(tenant_id, _id(incident_id))
    told = telling.of_events(tenant_id, [each.id for each in found.events])
    return render_template(
        "incidents/show.html",
        incident=found.incident,
        events=[(_moment_of(each.source_id), each) for each in found.events],
        told=told,
        tenant=tenant(),
        words=rule_words,
    )


def _id(text: str) -> UUID:
    return ids.read(Kind.INCIDENT, text)


def _shown(row: Any) -> str:
    return ids.show(Kind.INCIDENT, row.id)


def _moment_of(source_id: str) -> str:
    """Return what an incident's event tells: opened, repeated or resolved."""
    return source_id.split(":")[2]
