"""The one place where HTTP statuses are decided, and the one error shape.

Every error, ours, Flask's and that of reading arguments, is answered as RFC 9457
problem details with a stable ``code``.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask
from flask.typing import ResponseReturnValue
from flask_smorest.error_handler import (  # type: ignore[import-untyped]
    ErrorHandlerMixin,
)
from marshmallow import EXCLUDE, Schema, fields
from werkzeug.exceptions import HTTPException

from ascwebhooks.errors import (
    AscWebhooksError,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PayloadTooLarge,
    PortalLinkOver,
    PreconditionFailed,
    SignOnRefused,
    StaleForm,
    TooManyAttempts,
    Unavailable,
    UnreadableBody,
    UnreadableHeader,
)

log = structlog.get_logger()

PROBLEM_TYPE = "application/problem+json"

# The first class that fits wins, so a subclass comes before its base.
STATUS: dict[type[AscWebhooksError], HTTPStatus] = {
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    StaleForm: HTTPStatus.BAD_REQUEST,
    UnreadableBody: HTTPStatus.BAD_REQUEST,
    UnreadableHeader: HTTPStatus.BAD_REQUEST,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    SignOnRefused: HTTPStatus.UNAUTHORIZED,
    NotPermitted: HTTPStatus.FORBIDDEN,
    PortalLinkOver: HTTPStatus.GONE,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

HEADERS: dict[HTTPStatus, dict[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
}

# Python's own names for some of these change between versions; codes do not.
_CODES = {
    HTTPStatus.BAD_REQUEST: UnreadableBody.code,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: PayloadTooLarge.code,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidInput.code,
    HTTPStatus.INTERNAL_SERVER_ERROR: AscWebhooksError.code,
}

# What a code alone would not tell; of the others the words in it are the title.
_TITLES = {
    AscWebhooksError.code: "Internal server error",
    "request_uri_too_long": "The URL is too long",
    "request_header_fields_too_large": "The headers are too long or too many",
}


class ProblemSchema(Schema):
    """RFC 9457 problem details."""

    class Meta:
        """Problems may say more than this."""

        unknown = EXCLUDE

    type = fields.String(
        required=True, metadata={"example": "urn:ascwebhooks:error:not_found"}
    )
    title = fields.String(
        required=True, metadata={"description": "For people: what `code` says."}
    )
    status = fields.Integer(required=True)
    detail = fields.String(
        metadata={"description": "For people: what is wrong this time."}
    )
    code = fields.String(
        required=True,
        metadata={"description": "Stable; for programs.", "example": "not_found"},
    )
    errors = fields.Dict(
        keys=fields.String(),
        metadata={"description": "What is wrong, by the name of the field."},
    )


class ProblemErrors(ErrorHandlerMixin):  # type: ignore[misc]
    """Makes every error of an application problem details."""

    ERROR_SCHEMA = ProblemSchema
    _app: Flask

    def _register_error_handlers(self) -> None:
        super()._register_error_handlers()
        self._app.register_error_handler(AscWebhooksError, self.handle_package_error)
        self._app.register_error_handler(Exception, self.handle_bug)

    def handle_package_error(self, error: AscWebhooksError) -> ResponseReturnValue:
        """Answer an error of ours with the status of its class."""
        status = status_of(error)
        if status is None:
            return self.handle_bug(error)
        return problem(status, error.code, str(error), **_extra(error))

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        """Answer an error of Flask's or of argument parsing."""
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        found = getattr(error, "data", {}).get("messages")
        extra = {} if found is None else {"errors": _by_field(found)}
        headers = {
            name: value for name, value in error.get_headers() if name == "Allow"
        }
        code = _CODES.get(status, status.name.lower())
        return problem(status, code, None, headers, **extra)

    def handle_bug(self, error: Exception) -> ResponseReturnValue:
        """Answer what nobody foresaw: logged here, told to nobody."""
        log.error("request_failed", exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return problem(status, AscWebhooksError.code)


def status_of(error: AscWebhooksError) -> HTTPStatus | None:
    """Return the status of an error of ours; None if nobody foresaw it here."""
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return status
    return None


def problem(
    status: HTTPStatus,
    code: str,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> ResponseReturnValue:
    """Answer with problem details; what is in ``extra`` is added to them."""
    body = {**details(status, code, detail), **extra}
    also = {**HEADERS.get(status, {}), **(headers or {})}
    return _encodable(body), status, {**also, "Content-Type": PROBLEM_TYPE}


def details(status: HTTPStatus, code: str, detail: str | None) -> dict[str, Any]:
    """Return problem details.

    Args:
        status: Of the answer.
        code: What kind of problem it is.  Its title is the same each time.
        detail: What is wrong this time, if there is more to say.

    Source:
        RFC 9457, sections 3.1.3 and 3.1.4.
    """
    told = {
        "type": f"urn:ascwebhooks:error:{code}",
        "title": _TITLES.get(code) or code.replace("_", " ").capitalize(),
        "status": status.value,
        "code": code,
    }
    return told if detail is None else {**told, "detail": detail}


def _encodable(value: Any) -> Any:
    """Return ``value`` with what no encoding has written out: half surrogate pairs.

    What is refused is quoted back, the names of unknown fields among it.
    """
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    return value


def _extra(error: AscWebhooksError) -> dict[str, Any]:
    extra = dict(error.context)
    field = extra.pop("field", None)
    if field is not None:
        extra["errors"] = {str(field): [str(error)]}
    return extra


def _by_field(messages: Any) -> Any:
    """Return messages by field, without the location (json, query) around them."""
    inner: dict[str, Any] = {}
    for found in messages.values():
        inner.update(found if isinstance(found, dict) else {"_schema": found})
    return inner
