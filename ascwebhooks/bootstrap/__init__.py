"""The composition root: from settings to services, and from services to processes."""

from __future__ import annotations

import os
import socket
import sys

from ascwebhooks import logs
from ascwebhooks.bootstrap.parts import Parts
from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.main import run
from ascwebhooks.services.container import Services
from ascwebhooks.services.duties import Duties
from ascwebhooks.settings import Settings
from ascwebhooks.settings import read as settings_of
from ascwebhooks.storage import migrate
from ascwebhooks.tasks.app import make_celery
from ascwebhooks.tasks.beat import run_beat
from ascwebhooks.tasks.exposition import serve_metrics
from ascwebhooks.tasks.worker import run_worker

__all__ = ["Parts", "build", "main"]


def build(settings: Settings) -> Services:
    """Return the services for these settings.

    Raises:
        SettingsInvalid: If a setting they need is missing.
    """
    return Parts(settings).services()


def main() -> None:
    """Run the command line (the console script ``ascwebhooks``)."""
    tools = Tools(
        read_settings=lambda: _configured(settings_of(os.environ)),
        build=build,
        migrate=_migrate,
        run_worker=_run_worker,
        run_beat=_run_beat,
        run_web=_run_web,
        environ=os.environ,
    )
    sys.exit(run(tools))


def _configured(settings: Settings) -> Settings:
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _migrate(settings: Settings) -> str:
    return migrate.upgrade(
        settings.require_database_url(), days_ahead=settings.partitions_ahead_days
    )


def _run_worker(settings: Settings, duties: Duties, name: str | None) -> int:
    parts = Parts(settings)
    unique = name or f"{duties.kind}-{os.getpid()}@{socket.gethostname()}"
    services = parts.services()
    if settings.metrics_bind is not None:
        serve_metrics(settings.metrics_bind, services.metrics)
    return run_worker(parts.celery, services, duties, unique)


def _run_beat(settings: Settings) -> None:
    run_beat(make_celery(settings.require_redis_url()))


def _run_web(settings: Settings) -> None:
    # Flask, gunicorn and every page: no other command is to wait for them.
    from ascwebhooks.web.app import create_app  # noqa: PLC0415
    from ascwebhooks.web.server import serve  # noqa: PLC0415

    # Made in each worker process, after the fork: connections and threads do not
    # survive one.
    serve(lambda: create_app(build(settings), settings), settings.bind)
