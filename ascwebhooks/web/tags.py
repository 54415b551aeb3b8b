"""``ETag``, ``If-None-Match`` and ``If-Match``: changing what one has seen.

``Blueprint.response(…, etag=True)`` gives an answer its tag.  A view that changes
passes ``precondition(Schema)`` to its service, which calls it with what it found
under the lock of the change; so nothing comes between the comparison and the change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, request
from marshmallow import Schema
from werkzeug.datastructures import ETags

from ascwebhooks.errors import PreconditionFailed

_encode = msgspec.json.Encoder(order="sorted").encode

ETAG_HEADER = {
    "ETag": {
        "description": "Of this representation; for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
    }
}


def parameter(name: str, description: str) -> dict[str, Any]:
    """Return the description of a header that a request may have."""
    return {
        "in": "header",
        "name": name,
        "required": False,
        "schema": {"type": "string"},
        "description": description,
    }


IF_MATCH = parameter(
    "If-Match", "An `ETag`: change it only if it is still that; else 412."
)
IF_NONE_MATCH = parameter("If-None-Match", "An `ETag`: 304 if it is still that.")


def etag(schema: type[Schema], found: object) -> str:
    """Return the tag of what a schema shows of ``found``.

    What the schema calls ``VOLATILE`` does not count: how an endpoint is doing just
    now, or a secret that is shown once.
    """
    shown = dict(schema().dump(found))
    for name in getattr(schema, "VOLATILE", ()):
        shown.pop(name, None)
    return hashlib.sha256(_encode(shown)).hexdigest()[:32]


def tagged(schema: type[Schema], view: Callable[..., Any]) -> Callable[..., Any]:
    """Give what a view returns its tag; 304 where the caller has it already."""

    @wraps(view)
    def answered(*args: Any, **kwargs: Any) -> Any:
        found = view(*args, **kwargs)
        tag = etag(schema, found)
        headers = {"ETag": f'"{tag}"'}
        if request.method in {"GET", "HEAD"} and request.if_none_match.contains_weak(
            tag
        ):
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return found, headers

    return answered


def precondition(schema: type[Schema]) -> Callable[[object], None] | None:
    """Return what raises unless the request's ``If-Match`` holds; None without one.

    The function raises PreconditionFailed.
    """
    wanted: ETags = request.if_match
    if "If-Match" not in request.headers or wanted.star_tag:
        return None

    def check(found: object) -> None:
        if not wanted.contains(etag(schema, found)):
            raise PreconditionFailed(
                "it was changed meanwhile: If-Match is not its ETag; get it again."
            )

    return check
