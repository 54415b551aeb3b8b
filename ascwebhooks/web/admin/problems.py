"""What goes wrong, as pages: what it is, and what to do next."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

import structlog
from flask import (
    Blueprint,
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from ascwebhooks.errors import (
    AscWebhooksError,
    NotAuthenticated,
    PortalLinkOver,
    StaleForm,
)
from ascwebhooks.web.admin import cookies, places
from ascwebhooks.web.errors import status_of

log = structlog.get_logger()


class Advice(NamedTuple):
    """A heading, and what somebody can do about it."""

    title: str
    advice: str


_ADVICE = {
    HTTPStatus.BAD_REQUEST: Advice(
        "This form is out of date",
        "Nothing was changed. Go back, reload the page and send it again.",
    ),
    HTTPStatus.FORBIDDEN: Advice(
        "Your role does not allow this",
        "Ask an administrator for another role, or go back.",
    ),
    HTTPStatus.NOT_FOUND: Advice(
        "There is nothing here",
        "It may have been deleted, or the address may be mistyped.",
    ),
    HTTPStatus.CONFLICT: Advice(
        "This is not possible now", "Go back and look at its present state."
    ),
    HTTPStatus.PRECONDITION_FAILED: Advice(
        "Somebody else was faster",
        "It was changed since you opened it. Go back and look at it as it is now.",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: Advice(
        "This cannot be read", "Nothing was changed. Go back, mend it and try again."
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Advice(
        "A part of the system is away",
        "Nothing is lost. Try again in a moment; 'ascwebhooks doctor' says more.",
    ),
}
_OTHER = Advice(
    "Something went wrong",
    "It was logged. If it happens again, give the request's id to an operator.",
)


def install(blp: Blueprint) -> None:
    """Answer whatever goes wrong below ``blp`` with a page."""
    blp.register_error_handler(NotAuthenticated, _log_in)
    blp.register_error_handler(PortalLinkOver, _link_over)
    blp.register_error_handler(AscWebhooksError, _ours)
    blp.register_error_handler(HTTPException, _theirs)
    blp.register_error_handler(Exception, _bug)


def _log_in(_: Exception) -> ResponseReturnValue:
    """Send whoever has no session to the login page, and back here afterwards."""
    if cookies.is_portal():
        return _portal_over()
    # Whoever sends a form, or has a page that asks, was logged in when they opened it;
    # the cookie may be gone, by logging out in another tab.
    ended = (
        cookies.session_token() is not None
        or places.is_part()
        or request.method != "GET"
    )
    target = url_for(
        "admin.logins.form", next=places.origin(), ended="1" if ended else None
    )
    if places.is_part():
        # A part would be swapped into the page: the page itself has to go there.
        return "", HTTPStatus.NO_CONTENT, {"HX-Redirect": target}
    return redirect(target, HTTPStatus.SEE_OTHER)


def _portal_over() -> ResponseReturnValue:
    """Tell whoever came by a portal link, who has no login, that the visit is over."""
    if places.is_part():
        # The whole page is asked for again, and answered as below.
        return "", HTTPStatus.NO_CONTENT, {"HX-Refresh": "true"}
    return render_template(
        "portals/over.html", title="Your visit is over", detail=""
    ), HTTPStatus.UNAUTHORIZED


def _link_over(error: PortalLinkOver) -> ResponseReturnValue:
    sentence = str(error)[:1].upper() + str(error)[1:]
    return render_template(
        "portals/over.html", title="This link does not open any more", detail=sentence
    ), HTTPStatus.GONE


def _ours(error: AscWebhooksError) -> ResponseReturnValue:
    status = status_of(error)
    if status is None:
        return _bug(error)
    return _page(status, str(error), is_stale=isinstance(error, StaleForm))


def _theirs(error: HTTPException) -> ResponseReturnValue:
    return _page(HTTPStatus(error.code or 500), error.description or "")


def _bug(error: Exception) -> ResponseReturnValue:
    log.error("page_failed", exc_info=error)
    return _page(HTTPStatus.INTERNAL_SERVER_ERROR, "")


def _page(status: HTTPStatus, detail: str, *, is_stale: bool = False) -> Response:
    told = _ADVICE.get(status, _OTHER)
    if places.is_part():
        response = make_response(detail or told.title, status)
        response.content_type = "text/plain; charset=utf-8"
        return response
    sentence = detail[:1].upper() + detail[1:]
    page = render_template(
        "problem.html",
        status=status.value,
        told=told,
        detail=sentence,
        is_stale=is_stale,
        request_id=g.get("request_id", ""),
    )
    return make_response(page, status)
