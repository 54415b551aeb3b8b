"""Portal links: a page that asks, so that a preview of a link does not use it up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from http import HTTPStatus

from flask import (
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from ascwebhooks.errors import StaleForm
from ascwebhooks.services.sessions import PORTAL_PREFIX
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import cookies, csrf
from ascwebhooks.web.admin.access import open_to_all

NAME = "portal"
ROOT = "/portal"


@open_to_all
def look(token: str) -> ResponseReturnValue:
    """Say what the link opens, and have it opened."""
    return _page(token, HTTPStatus.OK)


@open_to_all
def enter(token: str) -> ResponseReturnValue:
    """Exchange the link for a session, once.

    The form repeats what a cookie of this browser says of this link.  Otherwise another
    site could send its visitors into a portal of its own choosing, where they would
    set up endpoints for somebody else.
    """
    try:
        _check_form(token)
    except StaleForm:
        return _page(token, HTTPStatus.BAD_REQUEST, is_stale=True)
    tenant_id, opened = services().portals.open(
        token,
        address=request.remote_addr or "",
        request_id=g.request_id,
        former=cookies.session_token(),
    )
    start = url_for("admin.tenants.show", tenant_id=tenant_id)
    answer = make_response(redirect(start, HTTPStatus.SEE_OTHER))
    cookies.set_session(answer, opened)
    cookies.forget_link(answer)
    return answer


def _check_form(token: str) -> None:
    kept = cookies.link()
    if not kept:
        raise StaleForm("this browser has not seen the page of the link.")
    csrf.check_equal(_proof(kept, token))


def _page(token: str, status: HTTPStatus, *, is_stale: bool = False) -> Response:
    tenant = services().portals.look(token)
    former = cookies.session_token() or ""
    kept = cookies.link() or secrets.token_urlsafe(24)
    page = render_template(
        "portals/open.html",
        tenant=tenant,
        token=token,
        logged_in=bool(former) and not former.startswith(PORTAL_PREFIX),
        is_stale=is_stale,
        proof=_proof(kept, token),
        proof_field=csrf.FIELD,
    )
    answer = make_response(page, status)
    cookies.set_link(answer, kept)
    return answer


def _proof(kept: str, token: str) -> str:
    """Return what the form of one link carries in one browser."""
    digest = hmac.new(kept.encode(), token.encode(errors="replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode()
