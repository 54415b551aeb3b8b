"""The way in for gateways that do not speak CloudEvents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, make_response, request
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import records
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import Unavailable
from ascwebhooks.integrations import litellm_alerts, litellm_events
from ascwebhooks.integrations.litellm_terms import TENANT_BY, Event, Terms
from ascwebhooks.services.gateways import Judged
from ascwebhooks.services.intakes import Accepted, Postponed
from ascwebhooks.web.access import needs, services, within
from ascwebhooks.web.api import bodies
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.events import AllRejectedSchema, PublishedSchema
from ascwebhooks.web.api.fields import Text
from ascwebhooks.web.errors import PROBLEM_TYPE, problem

blp = Blueprint(
    "ingest", __name__, description="Gateways' own records; never their prompts."
)

_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {"type": "object"},
                    {"type": "array", "items": {"type": "object"}},
                ]
            },
            "example": [{"id": "chatcmpl-1", "status": "success"}],
        },
    },
}


class TenantQuery(Schema):
    """Whose the records are."""

    tenant = Text(
        metadata={"description": "All of this tenant's; by default, as they say."}
    )


class TermsQuery(TenantQuery):
    """Whose the calls are, and what the gateway is called."""

    tenant_by = fields.String(
        load_default=Terms.tenant_by,
        validate=validate.OneOf(TENANT_BY),
        metadata={"description": "Whose id in LiteLLM is the tenant's."},
    )
    source = Text(load_default=Terms.source)


@blp.route("/ingest/litellm")
class LiteLLM(MethodView):
    """LiteLLM's generic API callback."""

    @needs(Permission.PUBLISH)
    @blp.arguments(TermsQuery, location="query")
    @blp.doc(requestBody=_BODY, operationId="ingest_litellm")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema, once=False)
    def post(self, query: dict[str, Any]) -> Response:
        """Publish what LiteLLM logs: standard logging payloads.

        A list, one, or one in each line.  Fields are taken by an allow-list: a prompt,
        an answer, an address or an e-mail goes no further than this.
        """
        return _published(_judged(query, litellm_events.events), HTTPStatus.ACCEPTED)


@blp.route("/ingest/litellm/alerts")
class LiteLLMAlerts(MethodView):
    """LiteLLM's ``WEBHOOK_URL``."""

    @needs(Permission.PUBLISH)
    @blp.arguments(TermsQuery, location="query")
    @blp.doc(requestBody=_BODY, operationId="ingest_litellm_alerts")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(200, PublishedSchema)
    def post(self, query: dict[str, Any]) -> Response:
        """Publish the alerts that LiteLLM posts to a webhook.

        LiteLLM sends no header of one's own: give the key in the URL, as the password.
        It takes any status but 200 for a failure, so that is what it gets.
        """
        return _published(_judged(query, litellm_alerts.events), HTTPStatus.OK)


@blp.route("/ingest/<mapping>")
class Mapped(MethodView):
    """Any gateway's records, by a mapping."""

    @needs(Permission.PUBLISH)
    @blp.arguments(TenantQuery, location="query")
    @blp.doc(requestBody=_BODY, operationId="ingest_mapped")
    @blp.alt_response(422, AllRejectedSchema, content_type=PROBLEM_TYPE)
    @blp.response(202, PublishedSchema, once=False)
    def post(self, query: dict[str, Any], mapping: str) -> Response:
        """Publish records as a mapping reads them (`MAPPINGS_DIR`).

        Records that the mapping passes over are in neither list.
        """
        found = services().gateways.mapping(mapping)
        judged = services().gateways.accept_mapped(
            found, _body(), within(query.get("tenant"))
        )
        return _published(judged, HTTPStatus.ACCEPTED)


def _judged(
    query: dict[str, Any], read: Callable[[Any, Terms], list[Event]]
) -> list[Judged]:
    """Accept what LiteLLM posted, each record as ``read`` takes it."""
    terms = Terms(
        source=query["source"],
        tenant=within(query.get("tenant")),
        tenant_by=query["tenant_by"],
    )
    return services().gateways.accept(
        records.read(_body()), lambda record: read(record, terms), terms.tenant
    )


def _body() -> bytes:
    return bodies.read(request, records.MAX_BYTES)


def settled(judged: Sequence[Judged]) -> None:
    """Raise Unavailable if one of them could not be decided now."""
    if any(isinstance(each.verdict, Postponed) for each in judged):
        # The others are kept; sent again they are duplicates.
        raise Unavailable("events cannot be kept now; send the request again.")


def _published(judged: Sequence[Judged], status: HTTPStatus) -> Response:
    settled(judged)
    outcome = {
        "accepted": [
            each.verdict for each in judged if isinstance(each.verdict, Accepted)
        ],
        "rejected": [
            {"index": each.record, **each.verdict._asdict()}
            for each in judged
            if not isinstance(each.verdict, Accepted)
        ],
    }
    shown = PublishedSchema().dump(outcome)
    if outcome["accepted"] or not outcome["rejected"]:
        return make_response(jsonify(shown), status)
    refused = HTTPStatus.UNPROCESSABLE_ENTITY
    return make_response(
        problem(refused, "events_rejected", "no event was accepted.", **shown)
    )
