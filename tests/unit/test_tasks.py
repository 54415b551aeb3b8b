"""Messages are sent by name: each name must be a task's."""

from __future__ import annotations

from ascwebhooks.tasks import app as celery
from ascwebhooks.tasks import maintenance  # noqa: F401 - registers them


def test_whatever_is_asked_for_is_a_task():
    app = celery.make_celery("redis://127.0.0.1:1/0")
    try:
        asked = {entry["task"] for entry in app.conf.beat_schedule.values()}
        known = set(app.tasks)
    finally:
        app.close()

    assert asked | {celery._WALK, celery._TELL} <= known
