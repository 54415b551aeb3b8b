"""Beat: the clock that asks for maintenance."""

from __future__ import annotations

from typing import Any, cast

import structlog
from celery.apps.beat import Beat
from celery.beat import Scheduler

from ascwebhooks.tasks.app import App

log = structlog.get_logger()


class Ticks(Scheduler):
    """Celery's own, which keeps from filling a queue that nobody serves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Celery's takes."""
        super().__init__(*args, **kwargs)
        self._withholds = False

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a task, unless so many wait that nobody takes them."""
        crowded = cast(App, self.app).is_crowded()
        if crowded and not self._withholds:
            log.warning("maintenance_withheld", mend="start a worker --maintenance")
        self._withholds = crowded
        return None if crowded else super().apply_async(entry, *args, **kwargs)


def run_beat(app: App) -> None:
    """Run until told to stop; its schedule lives in memory, and two do no harm."""
    log.info("beat_started", entries=sorted(app.conf.beat_schedule))
    Beat(app=app, loglevel="WARNING", quiet=True, scheduler_cls=None).run()
