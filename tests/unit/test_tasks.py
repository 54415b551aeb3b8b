"""What workers rely on: each name that is sent is a task's, and time to end in."""

from __future__ import annotations

import re
from pathlib import Path

from ascwebhooks.cli.programs import programs
from ascwebhooks.settings import Settings
from ascwebhooks.tasks import app as celery
from ascwebhooks.tasks import maintenance  # noqa: F401 - registers them
from ascwebhooks.tasks.worker import STOP_S

HERE = Path(__file__).parents[2]


def test_whatever_is_asked_for_is_a_task():
    app = celery.make_celery("redis://127.0.0.1:1/0")
    try:
        asked = {entry["task"] for entry in app.conf.beat_schedule.values()}
        known = set(app.tasks)
    finally:
        app.close()

    assert asked | {celery._WALK, celery._TELL} <= known


def test_nobody_kills_a_worker_that_still_has_time_to_end():
    """Killed before, it would have sent what it has not recorded: duplicates."""
    unit = (HERE / "deploy/systemd/ascwebhooks@.service").read_text()
    (unit_s,) = re.findall(r"TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    (told_s,) = re.findall(
        r"SIGTERM and allow (\d+) s", (HERE / "README.rst").read_text()
    )
    by_up_s = min(each.stop_timeout_s for each in programs(Settings()))

    assert min(int(unit_s), int(told_s), by_up_s) >= STOP_S
