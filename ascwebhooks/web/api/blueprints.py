"""flask-smorest's blueprint with types, and with bodies read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import flask
import flask_smorest  # type: ignore[import-untyped]
from flask.views import MethodView
from marshmallow import RAISE, Schema
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from ascwebhooks.errors import UnreadableBody
from ascwebhooks.web import idempotency, tags
from ascwebhooks.web.api import bodies

View = TypeVar("View", bound=Callable[..., Any])
Views = TypeVar("Views", bound=type[MethodView])


#: What a creation is answered with.
_CREATED = frozenset({201, 202})


class StrictParser(FlaskParser):
    """Refuses what it does not know: a misspelt filter must not list everything."""

    max_body_bytes = bodies.MAX_BODY_BYTES
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "json": RAISE,
        "query": RAISE,
    }

    def _raw_load_json(self, req: flask.Request) -> Any:
        body = bodies.read(req, self.max_body_bytes)
        idempotency.note_body(body)
        if not body:
            return missing
        if not req.is_json:
            raise UnsupportedMediaType
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UnreadableBody("the body is not JSON.") from error


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint of the API."""

    ARGUMENTS_PARSER = StrictParser()

    def route(self, rule: str, **options: Any) -> Callable[[Views], Views]:
        """Serve a path with a class of views."""
        decorate: Callable[[Views], Views] = super().route(rule, **options)
        return decorate

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Read the body, or the query, by a schema.

        A body of which every field may be left out may be left out as well.
        """
        if options.get("location", "json") == "json":
            declared = schema().fields.values()
            options.setdefault("required", any(each.required for each in declared))
        decorate: Callable[[View], View] = super().arguments(schema, **options)
        return decorate

    def response(
        self,
        status_code: int,
        schema: type[Schema] | None = None,
        *,
        etag: bool = False,
        once: bool | None = None,
        **options: Any,
    ) -> Callable[[View], View]:
        """Answer with a status and a schema.

        Args:
            status_code: The status.
            schema: What is shown of what the view returns.
            etag: Whether the answer has an ``ETag`` (``web.tags``).
            once: Whether a ``post`` honours ``Idempotency-Key``
                (``web.idempotency``); by default, if it answers 201 or 202.
            options: flask-smorest's.
        """
        if etag:
            options.setdefault("headers", tags.ETAG_HEADER)
        respond = super().response(status_code, schema, **options)

        def decorate(view: View) -> View:
            verb = view.__name__
            shown: Any = view
            if etag:
                assert schema is not None
                shown = tags.tagged(schema, view)
            shown = respond(shown)
            if etag and verb == "get":
                shown = self.doc(parameters=[tags.IF_NONE_MATCH])(shown)
            if verb == "post" and (status_code in _CREATED if once is None else once):
                shown = self.doc(parameters=[idempotency.PARAMETER])(shown)
                shown = idempotency.once(shown)
            made: View = shown
            return made

        return decorate

    def conditional(self, view: View) -> View:
        """Describe that a view honours ``If-Match`` (``web.tags.precondition``)."""
        return self.doc(parameters=[tags.IF_MATCH])(view)

    def alt_response(
        self, status_code: int, schema: type[Schema] | None = None, **options: Any
    ) -> Callable[[View], View]:
        """Describe another answer."""
        decorate: Callable[[View], View] = super().alt_response(
            status_code, schema=schema, **options
        )
        return decorate

    @staticmethod
    def doc(**description: Any) -> Callable[[View], View]:
        """Add to the description."""
        decorate: Callable[[View], View] = flask_smorest.Blueprint.doc(**description)
        return decorate
