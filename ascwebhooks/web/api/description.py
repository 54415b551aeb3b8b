"""The API as a whole: its description in OpenAPI 3.1, and its errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import flask_smorest  # type: ignore[import-untyped]
from apispec import APISpec
from flask import Flask, Response, jsonify
from marshmallow import fields

from ascwebhooks import __version__
from ascwebhooks.settings import Settings
from ascwebhooks.web.access import API_PREFIX, open_to_all
from ascwebhooks.web.api import choices, events
from ascwebhooks.web.api.fields import Amount, Blob, Id, MomentOfId, Percent
from ascwebhooks.web.api.operations import Operations
from ascwebhooks.web.errors import PROBLEM_TYPE, ProblemErrors, ProblemSchema

_DESCRIPTION = """\
Signed webhooks for AI gateways: publish events, choose where they go, see what
became of each, and try again by hand.

Every request carries `Authorization: Bearer <API key>`. A key has a role
(`publisher`, `viewer`, `operator`, `admin`) and is for all tenants or for one;
`x-permission` says what an operation needs. What belongs to another tenant is
answered as what does not exist: 404. `viewer` reads all, payloads too; each look
at one is in the audit log.

Errors are RFC 9457 problem details with a stable `code`. Lists take `limit` and
`cursor`; `next_cursor` is null on the last page. Times are RFC 3339 in UTC.
Events and deliveries are kept for {retention_days} days.
"""


class ProblemApi(ProblemErrors, flask_smorest.Api):  # type: ignore[misc]
    """An API whose every error is RFC 9457 problem details."""

    spec: APISpec

    def _register_responses(self) -> None:
        names = {status.name: status.phrase for status in HTTPStatus}
        for name, phrase in {**names, "DEFAULT_ERROR": "Any other error"}.items():
            response = {
                "description": phrase,
                "content": {PROBLEM_TYPE: {"schema": ProblemSchema}},
            }
            self.spec.components.response(name, response, lazy=True)

    def _register_pagination_header(self) -> None:
        """Describe no header: pages are part of the answers here."""

    @open_to_all
    def _openapi_json(self) -> Response:
        return jsonify(self.spec.to_dict())


def make_api(app: Flask, settings: Settings) -> ProblemApi:
    """Return the API of ``app``, without paths as yet."""
    app.config.update(
        API_TITLE="ascwebhooks",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=API_PREFIX,
        API_SPEC_OPTIONS={
            "info": {
                "description": _DESCRIPTION.format(
                    retention_days=settings.retention_days
                ),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "security": [{"key": []}],
        },
    )
    api = ProblemApi(app, spec_kwargs={"extra_plugins": [Operations()]})
    for name, schema in events.SCHEMAS.items():
        api.spec.components.schema(name, schema)
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    api.register_field(Id, "string", None)
    api.register_field(MomentOfId, "string", "date-time")
    api.register_field(Blob, "string", None)
    api.register_field(Amount, "string", None)
    api.register_field(Percent, "number", None)
    api.ma_plugin.converter.add_attribute_function(_tidied)
    return api


def _tidied(converter: Any, field: fields.Field[Any], ret: dict[str, Any]) -> Any:
    """Put a field's description as authors of clients want it; in place, so {}."""
    ret.pop("x-minimum", None)
    choices.describe(converter.spec, field, ret)
    return {}
