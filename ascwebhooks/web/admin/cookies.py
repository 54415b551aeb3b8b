"""The cookies of the pages: a session's token, and what proves a login form."""

from __future__ import annotations

from flask import Response, current_app, request

_SESSION = "ascw_session"
_LOGIN_FORM = "ascw_login"
PUBLIC_URL = "ASCWEBHOOKS_PUBLIC_URL"


def is_secure() -> bool:
    """Return whether browsers reach us by TLS."""
    public = current_app.config.get(PUBLIC_URL) or ""
    return request.is_secure or str(public).startswith("https://")


def session_token() -> str | None:
    """Return the token that the browser sent."""
    return request.cookies.get(_name(_SESSION))


def set_session(response: Response, token: str) -> None:
    """Let the browser have a session; it ends there with the browser's own."""
    _set(response, _SESSION, token)
    forget_login_form(response)


def forget_session(response: Response) -> None:
    """Take the session's token from the browser."""
    _forget(response, _SESSION)


def login_form() -> str | None:
    """Return what the browser sent to prove that a login form is ours."""
    return request.cookies.get(_name(_LOGIN_FORM))


def set_login_form(response: Response, value: str) -> None:
    """Let the browser have what proves that a login form is ours."""
    _set(response, _LOGIN_FORM, value)


def forget_login_form(response: Response) -> None:
    """Take it back."""
    _forget(response, _LOGIN_FORM)


def _name(name: str) -> str:
    # Browsers take a cookie of this prefix over TLS only, from this very host.
    return f"__Host-{name}" if is_secure() else name


def _set(response: Response, name: str, value: str) -> None:
    response.set_cookie(
        _name(name),
        value,
        path="/",
        httponly=True,
        secure=is_secure(),
        samesite="Lax",
    )


def _forget(response: Response, name: str) -> None:
    response.delete_cookie(
        _name(name), path="/", httponly=True, secure=is_secure(), samesite="Lax"
    )
