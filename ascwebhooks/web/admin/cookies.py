"""The cookies of the pages: a session's token, and what proves a login form."""

from __future__ import annotations

from flask import Response, current_app, request

from ascwebhooks.services.attempts import PATIENCE
from ascwebhooks.services.sessions import PORTAL_PREFIX
from ascwebhooks.web.admin import places

_SESSION = "ascw_session"
_LOGIN_FORM = "ascw_login"
_SIGN_ON = "ascw_sso"
_LINK = "ascw_link"
FRAMERS = "ASCWEBHOOKS_PORTAL_FRAME_ANCESTORS"
#: Who may frame a page if nobody may.
NOBODY = "'none'"


def is_secure() -> bool:
    """Return whether browsers reach us by TLS."""
    public = current_app.config.get(places.PUBLIC_URL) or ""
    return request.is_secure or str(public).startswith("https://")


def session_token() -> str | None:
    """Return the token that the browser sent."""
    return request.cookies.get(_name(_SESSION))


def set_session(response: Response, token: str) -> None:
    """Let the browser have a session; it ends there with the browser's own.

    A portal's that may be framed by other sites is a third party's cookie there: it is
    kept by browsers that know ``Partitioned``, for the site that frames it alone.
    """
    framed = token.startswith(PORTAL_PREFIX) and may_be_framed() and is_secure()
    _set(response, _SESSION, token, framed=framed)
    forget_login_form(response)


def forget_session(response: Response) -> None:
    """Take the session's token from the browser."""
    token = session_token() or ""
    framed = token.startswith(PORTAL_PREFIX) and may_be_framed() and is_secure()
    _forget(response, _SESSION, framed=framed)


def may_be_framed() -> bool:
    """Return whether other sites may frame a portal."""
    return bool(current_app.config.get(FRAMERS, NOBODY) != NOBODY)


def is_portal() -> bool:
    """Return whether the browser's session is, or was, a portal's."""
    return (session_token() or "").startswith(PORTAL_PREFIX)


def sign_on() -> str | None:
    """Return what the browser kept while it was at the identity provider."""
    return request.cookies.get(_name(_SIGN_ON))


def set_sign_on(response: Response, value: str) -> None:
    """Let the browser keep what it needs when it comes back."""
    _set(response, _SIGN_ON, value, max_age=int(PATIENCE.total_seconds()))


def forget_sign_on(response: Response) -> None:
    """Take it back."""
    _forget(response, _SIGN_ON)


def login_form() -> str | None:
    """Return what the browser sent to prove that a login form is ours."""
    return request.cookies.get(_name(_LOGIN_FORM))


def set_login_form(response: Response, value: str) -> None:
    """Let the browser have what proves that a login form is ours."""
    _set(response, _LOGIN_FORM, value)


def forget_login_form(response: Response) -> None:
    """Take it back."""
    _forget(response, _LOGIN_FORM)


def link() -> str | None:
    """Return what the browser sent to prove that it has seen a portal link's page."""
    return request.cookies.get(_name(_LINK))


def set_link(response: Response, value: str) -> None:
    """Let the browser have what proves that; in frames as a portal's session is."""
    _set(response, _LINK, value, framed=may_be_framed() and is_secure())


def forget_link(response: Response) -> None:
    """Take it back."""
    _forget(response, _LINK, framed=may_be_framed() and is_secure())


def _name(name: str) -> str:
    # Browsers take a cookie of this prefix over TLS only, from this very host.
    return f"__Host-{name}" if is_secure() else name


def _set(
    response: Response,
    name: str,
    value: str,
    *,
    framed: bool = False,
    max_age: int | None = None,
) -> None:
    response.set_cookie(
        _name(name),
        value,
        path="/",
        httponly=True,
        secure=is_secure(),
        samesite="None" if framed else "Lax",
        partitioned=framed,
        max_age=max_age,
    )


def _forget(response: Response, name: str, *, framed: bool = False) -> None:
    response.delete_cookie(
        _name(name),
        path="/",
        httponly=True,
        secure=is_secure(),
        samesite="None" if framed else "Lax",
        partitioned=framed,
    )
