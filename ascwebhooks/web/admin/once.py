"""Forms that create something once, however often they are sent.

Such a form carries a key of its own.  Sent twice, by a double click, by reloading the
answer or after the browser went back, it leads twice to what it made the first time,
and the page says so.  What is shown once is among that: whoever reloads the page of a
new key sees the same key.  Nobody else does, and neither do they in a later session,
whose token the old form does not carry; what is kept for that is sealed
(``services.idempotency``).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from flask import Blueprint, Response, g, redirect, request
from markupsafe import Markup

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
from ascwebhooks.web.admin.rendering import notify

FIELD = "_once"
AGAIN = (
    "This form was sent more than once. Nothing was made twice: this is what it made"
    " the first time."
)
_LONGEST = 64
_NOT_PART = {csrf.FIELD, places.FROM}
#: The second of two clicks waits so long for what the first one makes, 4 s in all.
_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.75, 1.0, 1.5)


class Made(NamedTuple):
    """What a form made.

    Args:
        what: What is needed to show it, its secret included.
        again: Whether it was made when the form was sent before.
    """

    what: dict[str, str]
    again: bool


def install(blp: Blueprint) -> None:
    """Give the templates ``once_field()``."""
    blp.add_app_template_global(field, "once_field")


def key() -> str:
    """Return the key of a form that is shown anew."""
    return secrets.token_urlsafe(16)


def field() -> Markup:
    """Return what a form that creates something once has in it."""
    kept = g.get("once_key") or key()
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, kept)


def made(make: Callable[[], dict[str, str]]) -> Made:
    """Return what a form makes, or what it has made before.

    Args:
        make: Makes it and returns what is needed to show it; what it raises is not
            kept, and the form can be sent again.

    Raises:
        InvalidInput: If the form was sent before with other values.
        Conflict: If it is still being carried out, or was and nobody knows what came
            of it.
    """
    asked = _asked()

    def answer() -> Answer:
        return Answer(HTTPStatus.CREATED, (), json.dumps(make()).encode())

    for wait_s in (*_WAITS_S, None):
        try:
            found, again = services().idempotency.answer(asked, answer)
            return Made(json.loads(found.body), again)
        except IdempotencyKeyReused as error:
            raise InvalidInput(_OTHERWISE) from error
        except (IdempotencyInProgress, IdempotencyAnswerLost) as error:
            # Also lost: between its commit and keeping what it made.
            if wait_s is None:
                raise _unanswered(asked, error) from error
            time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")


def answer(make: Callable[[], str]) -> Response:
    """Redirect to what a form makes, or to what it has made before.

    Args:
        make: Makes it and returns its URL.

    Raises:
        InvalidInput: As ``made`` does.
        Conflict: As ``made`` does.
    """
    found = made(lambda: {"url": make()})
    if found.again:
        notify("warning", AGAIN)
    response = redirect(found.what["url"], HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)
    return response


def _unanswered(asked: Asked, error: Conflict) -> Conflict:
    if isinstance(error, IdempotencyAnswerLost):
        return Conflict(_LOST)
    # The form is shown again with its key: sent again, it makes no second.
    g.once_key = asked.key
    return Conflict(_RUNNING)


def _asked() -> Asked:
    given = request.form.get(FIELD, "")
    if not 0 < len(given) <= _LONGEST or "\0" in given:
        given = key()
    tenant_id = (request.view_args or {}).get("tenant_id")
    owner = f"{visitor().id} {request.path}"
    return Asked(owner, given, _digest(), tenant_id or PLATFORM)


def _digest() -> bytes:
    pairs = sorted(
        pair for pair in request.form.items(multi=True) if pair[0] not in _NOT_PART
    )
    return hashlib.sha256(repr(pairs).encode()).digest()


_RUNNING = (
    "this form was sent a moment ago and is still being carried out; send it again to"
    " see what it made."
)
_LOST = (
    "this form was carried out, but nobody knows any more what it made; look at the"
    " list. A secret that was shown then can be replaced."
)
_OTHERWISE = (
    "this form was sent before with other values; look at what it made, and send it"
    " again if that is not enough."
)
