"""Logging in and out."""

from __future__ import annotations

import secrets
from http import HTTPStatus

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

from ascwebhooks.errors import NotAuthenticated, StaleForm, TooManyAttempts
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import cookies, csrf, places
from ascwebhooks.web.admin.access import needs, open_to_all, visitor

blp = Blueprint("logins", __name__)

_HOME = "admin.home"
_REASONS = {
    "ended": "Your session has ended. Log in to come back to where you were.",
    "out": "You are logged out.",
}


@blp.get("/login")
@open_to_all
def form() -> ResponseReturnValue:
    """Show the login page."""
    reason = next((each for each in _REASONS if each in request.args), None)
    return _page(HTTPStatus.OK, reason=reason, target=places.safe(_asked()))


@blp.post("/login")
@open_to_all
def log_in() -> ResponseReturnValue:
    """Begin a session and go to where the visitor wanted to be."""
    target = places.safe(request.form.get("next"))
    given = {"target": target, "login": request.form.get("login", "")}
    try:
        _check_form()
        token = services().sessions.log_in(
            given["login"] or "",
            request.form.get("password", ""),
            address=request.remote_addr or "",
            request_id=g.request_id,
            former=cookies.session_token(),
        )
    except StaleForm:
        again = "The page was open for too long. Please try once more."
        return _page(HTTPStatus.BAD_REQUEST, error=again, **given)
    except NotAuthenticated as error:
        return _page(HTTPStatus.UNAUTHORIZED, error=str(error), **given)
    except TooManyAttempts as error:
        response = _page(HTTPStatus.TOO_MANY_REQUESTS, error=str(error), **given)
        response.headers["Retry-After"] = str(error.context["retry_after_s"])
        return response
    answer = make_response(redirect(target or url_for(_HOME), HTTPStatus.SEE_OTHER))
    cookies.set_session(answer, token)
    return answer


@blp.post("/logout")
@needs(None)
def log_out() -> ResponseReturnValue:
    """End the session."""
    services().sessions.log_out(cookies.session_token() or "")
    answer = make_response(_left())
    cookies.forget_session(answer)
    return answer


def _left() -> ResponseReturnValue:
    """Return the page after a session, or the way to it."""
    if cookies.is_portal():
        return render_template("portals/over.html", title="Your visit is over")
    out, sso = url_for(".form", out=1), services().single_sign_on
    if sso is not None and visitor().sso:
        onwards = sso.end_session_url(places.absolute(out))
        if onwards is not None:
            # Not a redirect: the policy has a form lead to nobody but us.
            return render_template(
                "logins/leaving.html", name=sso.name, onwards=onwards
            )
    return redirect(out, HTTPStatus.SEE_OTHER)


def _asked() -> str | None:
    return request.args.get("next")


def _check_form() -> None:
    # Before the login there is no session: the form repeats what a cookie says.
    kept = cookies.login_form()
    if not kept:
        raise StaleForm("this form is out of date.")
    csrf.check_equal(kept)


def _page(
    status: HTTPStatus,
    *,
    error: str | None = None,
    reason: str | None = None,
    target: str | None = None,
    login: str | None = None,
) -> Response:
    kept = cookies.login_form() or secrets.token_urlsafe(24)
    sso = services().single_sign_on
    sentence = error and error[:1].upper() + error[1:]
    page = render_template(
        "logins/form.html",
        error=sentence,
        notice=reason and _REASONS[reason],
        reason=reason,
        target=target,
        login=login,
        sign_on=sso and sso.name,
        proof=kept,
        proof_field=csrf.FIELD,
    )
    answer = make_response(page, status)
    cookies.set_login_form(answer, kept)
    return answer
