"""Forms that create something once, however often they are sent.

Such a form carries a key of its own; sent twice, by a double click or after the
browser went back, it leads twice to what it made the first time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from http import HTTPStatus

from flask import Response, redirect, request

from ascwebhooks.errors import (
    Conflict,
    IdempotencyAnswerLost,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidInput,
)
from ascwebhooks.services.idempotency import Answer, Asked
from ascwebhooks.services.sealing import PLATFORM
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import csrf, places
from ascwebhooks.web.admin.access import visitor

FIELD = "_once"
_LONGEST = 64
_NOT_PART = {csrf.FIELD, places.FROM}


def key() -> str:
    """Return the key of a form that is shown anew."""
    return secrets.token_urlsafe(16)


def answer(make: Callable[[], str]) -> Response:
    """Redirect to what a form makes, or to what it has made before.

    Args:
        make: Makes it and returns its URL; what it raises is not kept, and the form
            can be sent again.

    Raises:
        InvalidInput: If the form was sent before with other values.
        Conflict: If it is being carried out, or was and nobody knows what came of it.
    """
    given = request.form.get(FIELD, "")
    if not 0 < len(given) <= _LONGEST:
        given = key()
    asked = Asked(
        f"{visitor().id} {request.path}",
        given,
        _digest(),
        (request.view_args or {}).get("tenant_id") or PLATFORM,
    )

    def made() -> Answer:
        return Answer(HTTPStatus.CREATED, (), make().encode())

    try:
        found, _ = services().idempotency.answer(asked, made)
    except IdempotencyKeyReused as error:
        raise InvalidInput(
            "this form was sent before with other values; look at what it made, and"
            " send it again if that is not enough."
        ) from error
    except (IdempotencyInProgress, IdempotencyAnswerLost) as error:
        raise Conflict("this form was sent a moment ago; look at the list.") from error
    response = redirect(found.body.decode(), HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)
    return response


def _digest() -> bytes:
    pairs = sorted(
        pair for pair in request.form.items(multi=True) if pair[0] not in _NOT_PART
    )
    return hashlib.sha256(repr(pairs).encode()).digest()
