"""The Flask application."""

from __future__ import annotations

from flask import Flask

from ascwebhooks.services.container import Services
from ascwebhooks.settings import Settings
from ascwebhooks.web import access, docs, probes, requests
from ascwebhooks.web.answers import Json
from ascwebhooks.web.api import (
    bodies,
    deliveries,
    endpoints,
    event_types,
    events,
    keys,
    onboarding,
    rejected_events,
    replays,
    subscriptions,
    tenants,
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
        event_types,
        deliveries,
        replays,
        rejected_events,
        keys,
    ):
        api.register_blueprint(each.blp, url_prefix=access.API_PREFIX)
    app.register_blueprint(docs.blp)
    app.register_blueprint(probes.blp)
    access.check_declarations(app)
    return app
