"""Portal links: a page that asks, so that a preview of a link does not use it up."""

from __future__ import annotations

from http import HTTPStatus

from flask import (
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
from ascwebhooks.web.admin import cookies
from ascwebhooks.web.admin.access import open_to_all

NAME = "portal"
ROOT = "/portal"


@open_to_all
def look(token: str) -> ResponseReturnValue:
    """Say what the link opens, and have it opened."""
    tenant = services().portals.look(token)
    former = cookies.session_token() or ""
    somebody = bool(former) and not former.startswith(PORTAL_PREFIX)
    return render_template(
        "portals/open.html", tenant=tenant, token=token, logged_in=somebody
    )


@open_to_all
def enter(token: str) -> ResponseReturnValue:
    """Exchange the link for a session, once."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise StaleForm("this form is not ours; nothing was changed.")
    tenant_id, opened = services().portals.open(
        token,
        address=request.remote_addr or "",
        request_id=g.request_id,
        former=cookies.session_token(),
    )
    start = url_for("admin.tenants.show", tenant_id=tenant_id)
    answer = make_response(redirect(start, HTTPStatus.SEE_OTHER))
    cookies.set_session(answer, opened)
    return answer
