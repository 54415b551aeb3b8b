"""Creating many endpoints at once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, make_response
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.services.onboarding import MAX_ROWS, Verdict
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer
from ascwebhooks.web.api import blueprints
from ascwebhooks.web.api.endpoints import NewEndpoint
from ascwebhooks.web.api.fields import Flag, Id
from ascwebhooks.web.errors import PROBLEM_TYPE, ProblemSchema, problem

#: 1,000 endpoints take more than other bodies may have.
_MAX_BODY_BYTES = 1024 * 1024


class _Parser(blueprints.StrictParser):
    max_body_bytes = _MAX_BODY_BYTES


class _Blueprint(blueprints.Blueprint):
    ARGUMENTS_PARSER = _Parser()


blp = _Blueprint("onboarding", __name__, description="Many endpoints at once.")


class _Rows(fields.List[Any]):
    """Described as a list of its items; read one by one, by the service."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class NewEndpoints(Schema):
    """Endpoints to create."""

    endpoints = _Rows(
        fields.Nested(NewEndpoint),
        required=True,
        validate=validate.Length(1, MAX_ROWS),
    )
    dry_run = Flag(
        load_default=False,
        metadata={"description": "Say what would become of each, and make nothing."},
    )
    allow_duplicates = Flag(
        load_default=False,
        metadata={
            "description": "Whether a URL that is there already, at an endpoint or in"
            " a row before, is a warning instead of an error."
        },
    )


class OnboardedSchema(Answer):
    """What became of one row."""

    index = fields.Integer(metadata={"description": "Its place in the list, from 0."})
    status = fields.String(metadata={"enum": ["created", "valid", "failed"]})
    url = fields.String(allow_none=True)
    id = Id(Kind.ENDPOINT, allow_none=True)
    secret = fields.String(
        allow_none=True,
        metadata={"description": "Shown this once; null with `v1a`."},
    )
    public_key = fields.String(allow_none=True)
    warnings = fields.List(fields.String())
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "What is wrong, by the name of the field."},
    )


class OnboardingSchema(Answer):
    """What became of each row."""

    dry_run = fields.Boolean()
    created = fields.Integer()
    failed = fields.Integer()
    items = fields.List(fields.Nested(OnboardedSchema))


class NoneOnboardedSchema(ProblemSchema):
    """Rows of which none is in order."""

    items = fields.List(fields.Nested(OnboardedSchema))


@blp.route("/tenants/<tenant_id>/endpoints/bulk")
class Onboarding(MethodView):
    """Many endpoints."""

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewEndpoints)
    @blp.alt_response(422, NoneOnboardedSchema, content_type=PROBLEM_TYPE)
    @blp.response(200, OnboardingSchema, once=True)
    def post(self, body: dict[str, Any], tenant_id: str) -> Response:
        """Create endpoints, with a verdict for each; their secrets are in this answer.

        Rows that are not in order keep no other from being made; all others are made
        in one transaction. 422 if none is in order.
        """
        rows = body.pop("endpoints")
        verdicts = services().onboarding.create(tenant_id, rows, **body)
        return _answer([shown(each, body["dry_run"]) for each in verdicts], **body)


def shown(verdict: Verdict, dry_run: bool) -> dict[str, Any]:
    """Return a verdict as it is shown."""
    made = verdict.made
    well = "valid" if dry_run else "created"
    return {
        "index": verdict.index,
        "status": "failed" if verdict.errors else well,
        "url": verdict.url,
        "id": None if made is None else made.described.endpoint.id,
        "secret": None if made is None else made.secret,
        "public_key": None if made is None else made.described.public_key,
        "warnings": verdict.warnings,
        "errors": verdict.errors,
    }


def _answer(items: list[dict[str, Any]], *, dry_run: bool, **_: Any) -> Response:
    failed = sum(each["status"] == "failed" for each in items)
    outcome = {
        "dry_run": dry_run,
        "created": 0 if dry_run else len(items) - failed,
        "failed": failed,
        "items": items,
    }
    dumped = OnboardingSchema().dump(outcome)
    if failed < len(items):
        return make_response(jsonify(dumped))
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    said = "no endpoint is in order; items says what is wrong with each."
    return make_response(
        problem(status, "no_endpoint_created", said, items=dumped["items"])
    )
