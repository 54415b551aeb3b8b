"""The blueprint of all pages; each noun's module has one of its own within it."""

from __future__ import annotations

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from ascwebhooks.domain.audit import ActorKind
from ascwebhooks.settings import Settings
from ascwebhooks.web.admin import (
    access,
    audit,
    cookies,
    dead_letters,
    deliveries,
    endpoints,
    events,
    health,
    keys,
    logins,
    overview,
    places,
    platform_rejected_events,
    problems,
    rejected_events,
    rendering,
    replays,
    subscriptions,
    tenants,
    users,
)
from ascwebhooks.web.admin.access import needs

#: The modules with pages; each has a ``blp``.
NOUNS = (
    logins,
    overview,
    health,
    tenants,
    endpoints,
    subscriptions,
    events,
    deliveries,
    dead_letters,
    replays,
    rejected_events,
    platform_rejected_events,
    keys,
    users,
    audit,
)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors {}"
)
_FRAMERS = "ASCWEBHOOKS_FRAME_ANCESTORS"
_NOBODY = "'none'"
_FOREVER = "public, max-age=31536000, immutable"


def install(app: Flask, settings: Settings) -> None:
    """Serve the pages below /admin, and let / lead there."""
    app.config[cookies.PUBLIC_URL] = settings.public_url
    app.config[_FRAMERS] = " ".join(settings.frame_ancestors) or _NOBODY
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    health.install(app, settings)
    app.add_url_rule("/", "root", _to_pages)
    app.register_blueprint(_blueprint())
    access.check_declarations(app)


def _blueprint() -> Blueprint:
    blp = Blueprint(
        access.NAME,
        __name__,
        url_prefix=places.ROOT,
        template_folder="templates",
        static_folder="static",
    )
    rendering.install(blp)
    problems.install(blp)
    blp.before_request(access.check)
    blp.after_request(_secure)
    blp.add_url_rule("/", "home", _home)
    blp.add_url_rule(
        "/<path:path>", "nothing", _nothing, methods=["GET", "POST", "PUT", "DELETE"]
    )
    for each in NOUNS:
        blp.register_blueprint(each.blp)
    return blp


def _to_pages() -> ResponseReturnValue:
    return redirect(places.ROOT)


@needs(None)
def _home() -> ResponseReturnValue:
    grants = access.visitor().grants
    if grants.everywhere:
        return redirect(url_for("admin.overview.index"))
    own = grants.tenants()
    if own is not None and len(own) == 1:
        return redirect(url_for("admin.tenants.show", tenant_id=own[0]))
    return redirect(url_for("admin.tenants.index"))


@needs(None)
def _nothing(path: str) -> ResponseReturnValue:
    raise NotFound(f"There is no page /admin/{path[:100]}.")


def _framers() -> str:
    """Return who may frame the page: a portal's only, and as it was set."""
    who = access.known_visitor()
    if who is None or who.kind is not ActorKind.PORTAL:
        return _NOBODY
    return str(current_app.config[_FRAMERS])


def _secure(response: Response) -> Response:
    headers = response.headers
    framers = _framers()
    headers["Content-Security-Policy"] = _POLICY.format(framers)
    if framers == _NOBODY:
        headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    kept = request.endpoint == f"{access.NAME}.static" and "v" in request.args
    headers["Cache-Control"] = _FOREVER if kept else "no-store"
    return response
