"""``Idempotency-Key``: creations that may be asked for twice.

``Blueprint.response`` puts it around every ``post`` that answers 201 or 202; a view
that makes something and answers otherwise says ``once=True`` there, one that handles
repetition by itself ``once=False``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request

from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.idempotency import Answer, Asked
from ascwebhooks.services.sealing import PLATFORM
from ascwebhooks.web.access import caller, services

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")

PARAMETER = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key and body within 24 hours get the same answer again,"
    " with `idempotent-replayed: true`; with another body 422, while the first is"
    " being answered 409.",
}


def once(view: Callable[..., Response]) -> Callable[..., Response]:
    """Let a view be asked twice, where the request has an ``Idempotency-Key``."""

    @wraps(view)
    def answered(*args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return view(*args, **kwargs)
        answer, replayed = services().idempotency.answer(
            _asked(key), lambda: _answer(view(*args, **kwargs))
        )
        response = Response(answer.body, answer.status, list(answer.headers))
        if replayed:
            response.headers[REPLAYED] = "true"
        return response

    return answered


def note_body(body: bytes) -> None:
    """Keep a digest of the body that was read, for ``once``."""
    g.body_digest = hashlib.sha256(body).digest()


def _asked(key: str) -> Asked:
    if not _KEY.match(key):
        raise InvalidInput(
            f"{HEADER}: 1 to 255 visible ASCII characters.", field=HEADER
        )
    who = caller()
    digest = hashlib.sha256(request.query_string + b"\0" + g.get("body_digest", b""))
    tenant_id = (request.view_args or {}).get("tenant_id") or who.tenant_id
    return Asked(
        f"{who.key_id} {request.path}", key, digest.digest(), tenant_id or PLATFORM
    )


def _answer(response: Response) -> Answer:
    headers = tuple((name, value) for name, value in response.headers)
    return Answer(response.status_code, headers, response.get_data())
