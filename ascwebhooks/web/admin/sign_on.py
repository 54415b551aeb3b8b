"""Single sign-on: to the identity provider and back."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from flask import render_template as render
from flask.typing import ResponseReturnValue

from ascwebhooks.domain.identities import Refusal
from ascwebhooks.errors import NotFound, SignOnRefused, TooManyAttempts
from ascwebhooks.services.sign_on import Came, SingleSignOn
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import cookies, places
from ascwebhooks.web.admin.access import open_to_all

blp = Blueprint("sign_on", __name__, url_prefix="/sso")

_TRY_AGAIN = "Nothing was changed. Try again; if it stays so, tell an administrator."
#: What people can do about it; they cannot mend a provider's tokens.
_ADVICE = {
    Refusal.AWAY: "Try again in a moment, or log in with a password if you have one.",
    Refusal.NO_ROLE: "Once you are in a group that has a role, sign in again.",
    Refusal.DISABLED: "Ask an administrator to enable you again.",
}
_STATUS = {
    Refusal.AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Refusal.NO_ROLE: HTTPStatus.FORBIDDEN,
    Refusal.DISABLED: HTTPStatus.FORBIDDEN,
}


@blp.get("/")
@open_to_all
def begin() -> ResponseReturnValue:
    """Send the browser to the provider."""
    sso, target = _sign_on(), places.safe(request.args.get("next"))
    try:
        begun = sso.begin(_callback(), target, address=request.remote_addr or "")
    except (SignOnRefused, TooManyAttempts) as error:
        return _refused(sso, error)
    answer = make_response(redirect(begun.url, HTTPStatus.SEE_OTHER))
    cookies.set_sign_on(answer, begun.kept)
    return answer


@blp.get("/callback")
@open_to_all
def callback() -> ResponseReturnValue:
    """Take the provider's word, and begin a session."""
    sso = _sign_on()
    came = Came(
        kept=cookies.sign_on(),
        answer=request.args.to_dict(),
        redirect_uri=_callback(),
        address=request.remote_addr or "",
        request_id=g.request_id,
        former=cookies.session_token(),
    )
    try:
        token, target = sso.finish(came)
    except (SignOnRefused, TooManyAttempts) as error:
        return _refused(sso, error)
    home = url_for("admin.home")
    answer = make_response(redirect(places.safe(target) or home, HTTPStatus.SEE_OTHER))
    cookies.forget_sign_on(answer)
    cookies.set_session(answer, token)
    return answer


def _sign_on() -> SingleSignOn:
    sso = services().single_sign_on
    if sso is None:
        raise NotFound("there is no single sign-on here.")
    return sso


def _callback() -> str:
    return places.absolute(url_for("admin.sign_on.callback"))


def _refused(sso: SingleSignOn, error: SignOnRefused | TooManyAttempts) -> Response:
    if isinstance(error, TooManyAttempts):
        answer = _page(sso, HTTPStatus.TOO_MANY_REQUESTS, str(error), _TRY_AGAIN)
        answer.headers["Retry-After"] = str(error.context["retry_after_s"])
        return answer
    reason = Refusal(error.reason)
    status = _STATUS.get(reason, HTTPStatus.UNAUTHORIZED)
    return _page(sso, status, str(error), _ADVICE.get(reason, _TRY_AGAIN))


def _page(sso: SingleSignOn, status: HTTPStatus, told: str, advice: str) -> Response:
    sentence = told[:1].upper() + told[1:]
    page = render("logins/refused.html", name=sso.name, told=sentence, advice=advice)
    answer = make_response(page, status)
    # What the provider answered is used up, whatever came of it.
    cookies.forget_sign_on(answer)
    return answer
