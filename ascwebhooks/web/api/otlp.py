"""The way in for OpenTelemetry: spans of generative AI, by OTLP over HTTP.

Source:
    OpenTelemetry Protocol 1.8, "OTLP/HTTP Response".
"""

from __future__ import annotations

from typing import Any

from flask import request
from flask.views import MethodView
from marshmallow import Schema, fields
from werkzeug.exceptions import UnsupportedMediaType

from ascwebhooks.domain import records
from ascwebhooks.domain.keys import Permission
from ascwebhooks.services.gateways import OTEL, Judged
from ascwebhooks.services.intakes import Accepted
from ascwebhooks.web.access import needs, services, within
from ascwebhooks.web.api import bodies, ingest
from ascwebhooks.web.api.blueprints import Blueprint

blp = Blueprint("otlp", __name__, description="OpenTelemetry's own way in.")

_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"resourceSpans": {"type": "array", "items": {}}},
            },
            "example": {"resourceSpans": []},
        }
    },
}


class PartialSuccessSchema(Schema):
    """What was not taken."""

    rejectedSpans = fields.Integer()  # noqa: N815  (OTLP's name)
    errorMessage = fields.String()  # noqa: N815  (OTLP's name)


class ExportedSchema(Schema):
    """What OTLP answers; empty if all is well."""

    partialSuccess = fields.Nested(PartialSuccessSchema)  # noqa: N815  (OTLP's name)


@blp.route("/otlp/v1/traces")
class Traces(MethodView):
    """What exporters post to, with ``/api/v1/otlp`` as their endpoint."""

    @needs(Permission.PUBLISH)
    @blp.arguments(ingest.TenantQuery, location="query")
    @blp.doc(requestBody=_BODY, operationId="export_traces")
    @blp.response(200, ExportedSchema)
    def post(self, query: dict[str, Any]) -> dict[str, Any]:
        """Take spans in OTLP's JSON; those of calls to a model become events.

        Which fields become what, the mapping `otel` says; messages are in none.
        """
        if request.mimetype != "application/json":
            raise UnsupportedMediaType
        gateways = services().gateways
        judged = gateways.accept_mapped(
            gateways.mapping(OTEL),
            bodies.unpacked(request, records.MAX_BYTES),
            within(query.get("tenant")),
        )
        ingest.settled(judged)
        return _answer(judged)


def _answer(judged: list[Judged]) -> dict[str, Any]:
    refused = [
        each.verdict for each in judged if not isinstance(each.verdict, Accepted)
    ]
    if not refused:
        return {}
    told = refused[0]
    why = f"{getattr(told, 'code', 'rejected')}: {told.detail}"
    return {"partialSuccess": {"rejectedSpans": len(refused), "errorMessage": why}}
