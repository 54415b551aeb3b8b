"""Settings and health: what the doctor says, who works, and the settings in force."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, current_app, render_template
from flask.typing import ResponseReturnValue

from ascwebhooks import settings
from ascwebhooks.domain.keys import Permission
from ascwebhooks.settings import Settings
from ascwebhooks.web.access import services
from ascwebhooks.web.admin.access import needs

blp = Blueprint("health", __name__)
_SETTINGS = "ASCWEBHOOKS_SETTINGS_SHOWN"


def install(app: Flask, in_force: Settings) -> None:
    """Keep the settings as the page shows them: without secrets."""
    usual = settings.dump(Settings(), show_secrets=False)
    app.config[_SETTINGS] = [
        (settings.PREFIX + name, _text(value), value == usual[name])
        for name, value in settings.dump(in_force, show_secrets=False).items()
    ]


@blp.get("/health")
@needs(Permission.READ, platform=True)
def index() -> ResponseReturnValue:
    """Show what the doctor says, who works on what, and the settings in force."""
    report = services().health.report()
    return render_template(
        "health/index.html",
        report=report,
        queues=_by_queue(report.workers),
        settings=current_app.config[_SETTINGS],
    )


def _by_queue(workers: Any) -> dict[str, list[str]]:
    """Return the workers of each queue."""
    found: dict[str, list[str]] = {}
    for name, queues in sorted(workers.items()):
        for queue in queues or ["(reads the stream)"]:
            found.setdefault(queue, []).append(name)
    return dict(sorted(found.items()))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
