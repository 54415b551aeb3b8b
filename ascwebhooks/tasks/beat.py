"""Beat: the clock that asks for maintenance."""

from __future__ import annotations

import structlog
from celery.apps.beat import Beat

from ascwebhooks.tasks.app import App

log = structlog.get_logger()


def run_beat(app: App) -> None:
    """Run until told to stop; its schedule lives in memory, and two do no harm."""
    log.info("beat_started", entries=sorted(app.conf.beat_schedule))
    Beat(app=app, loglevel="WARNING", quiet=True, scheduler_cls=None).run()
