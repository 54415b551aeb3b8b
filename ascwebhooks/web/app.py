"""The Flask application."""

from __future__ import annotations

from flask import Flask

from ascwebhooks.services.container import Services
from ascwebhooks.settings import Settings


def create_app(services: Services, settings: Settings) -> Flask:
    """Return the application."""
    return Flask("ascwebhooks")
