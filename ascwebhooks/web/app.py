"""The Flask application."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ascwebhooks.services.container import Services
from ascwebhooks.settings import Settings
from ascwebhooks.web import access, docs, probes, requests
from ascwebhooks.web.admin import pages
from ascwebhooks.web.answers import Json
from ascwebhooks.web.api import (
    bodies,
    budgets,
    deliveries,
    endpoints,
    event_types,
    events,
    incidents,
    ingest,
    keys,
    onboarding,
    otlp,
    portal_links,
    rejected_events,
    replays,
    rules,
    subscriptions,
    tenants,
    usage,
)
from ascwebhooks.web.api.description import make_api


def create_app(services: Services, settings: Settings) -> Flask:
    """Return the application.

    Args:
        services: What the views call.
        settings: What the API's description tells of this installation.
    """
    app = Flask("ascwebhooks", static_folder=None)
    app.json = Json(app)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BODY_BYTES
    requests.install(app)
    access.install(app, services)
    api = make_api(app, settings)
    for each in (
        tenants,
        endpoints,
        onboarding,
        subscriptions,
        events,
        ingest,
        otlp,
        event_types,
        budgets,
        deliveries,
        replays,
        rejected_events,
        rules,
        incidents,
        usage,
        portal_links,
        keys,
    ):
        api.register_blueprint(each.blp, url_prefix=access.API_PREFIX)
    app.register_blueprint(docs.blp)
    app.register_blueprint(probes.blp)
    pages.install(app, settings)
    access.check_declarations(app)
    _trust(app, settings.trusted_proxies)
    return app


def _trust(app: Flask, proxies: int) -> None:
    """Believe so many proxies in front of us who asks, for which host, and how."""
    if proxies:
        fixed = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)
        app.wsgi_app = fixed  # type: ignore[method-assign]
