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
    budgets,
    cookies,
    dead_letters,
    deliveries,
    endpoints,
    events,
    health,
    incidents,
    keys,
    logins,
    once,
    overview,
    places,
    platform_rejected_events,
    portals,
    problems,
    rejected_events,
    rendering,
    replays,
    rules,
    sign_on,
    subscriptions,
    tenants,
    timelines,
    users,
)
from ascwebhooks.web.admin.access import needs

#: The modules with pages; each has a ``blp``.
NOUNS = (
    logins,
    sign_on,
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
    timelines,
    budgets,
    incidents,
    rules,
    keys,
    users,
    audit,
)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors {}"
)
_FOREVER = "public, max-age=31536000, immutable"


def install(app: Flask, settings: Settings) -> None:
    """Serve the pages below /admin, and let / lead there."""
    app.config[places.PUBLIC_URL] = settings.public_url
    app.config[cookies.FRAMERS] = (
        " ".join(settings.portal_frame_ancestors) or cookies.NOBODY
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["stream"] = settings.stream
    health.install(app, settings)
    app.add_url_rule("/", "root", _to_pages)
    app.register_blueprint(_blueprint())
    app.register_blueprint(_portal())
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
    once.install(blp)
    problems.install(blp)
    blp.before_request(access.check)
    blp.before_request(_refuse_nul)
    blp.after_request(_secure)
    blp.add_url_rule("/", "home", _home)
    blp.add_url_rule(
        "/<path:path>", "nothing", _nothing, methods=["GET", "POST", "PUT", "DELETE"]
    )
    for each in NOUNS:
        blp.register_blueprint(each.blp)
    return blp


def _portal() -> Blueprint:
    blp = Blueprint(portals.NAME, __name__, url_prefix=portals.ROOT)
    problems.install(blp)
    blp.after_request(_secure)
    blp.add_url_rule("/<token>", "look", portals.look)
    blp.add_url_rule("/<token>", "enter", portals.enter, methods=["POST"])
    return blp


def _to_pages() -> ResponseReturnValue:
    return redirect(places.ROOT)


@needs(None)
def _home() -> ResponseReturnValue:
    who = access.visitor()
    if who.kind is ActorKind.PORTAL:
        (only,) = who.grants
        return redirect(url_for("admin.tenants.show", tenant_id=only.tenant_id))
    grants = who.grants
    if grants.everywhere:
        return redirect(url_for("admin.overview.index"))
    own = grants.tenants()
    if own is not None and len(own) == 1:
        return redirect(url_for("admin.tenants.show", tenant_id=own[0]))
    return redirect(url_for("admin.tenants.index"))


@needs(None)
def _nothing(path: str) -> ResponseReturnValue:
    raise NotFound(f"There is no page /admin/{path[:100]}.")


def _refuse_nul() -> None:
    """Refuse a query that nothing can be like: no text in PostgreSQL has a NUL.

    Raises:
        NotFound: If there is one.
    """
    if any("\0" in text for texts in request.args.listvalues() for text in texts):
        raise NotFound("Nothing here has a NUL character in it.")


def _framers() -> str:
    """Return who may frame the page: a portal's only, and as it was set."""
    if request.blueprint != portals.NAME and not cookies.is_portal():
        return cookies.NOBODY
    return str(current_app.config[cookies.FRAMERS])


def _secure(response: Response) -> Response:
    headers = response.headers
    framers = _framers()
    headers["Content-Security-Policy"] = _POLICY.format(framers)
    if framers == cookies.NOBODY:
        headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    kept = request.endpoint == f"{access.NAME}.static" and "v" in request.args
    headers["Cache-Control"] = _FOREVER if kept else "no-store"
    return response
