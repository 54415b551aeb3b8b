"""The programs that ``up`` runs on the engines."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ascwebhooks.embedded.processes import Program
from ascwebhooks.settings import PREFIX, Settings

WEB = "web"
_GROUP = "programs"
#: A request may be out for 30 s; its answer is recorded before the worker goes.
_STOP_TIMEOUT_S = 45


def workers(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the workers' commands by their names, in the order of starting."""
    deliver = ("worker", "--deliver")
    return {
        "ingest": ("worker", "--ingest"),
        **{
            f"deliver-{number}": deliver
            for number in range(1, settings.deliver_processes + 1)
        },
        "slow": (*deliver, "--slow"),
        "maintenance": ("worker", "--maintenance"),
    }


def programs(settings: Settings) -> list[Program]:
    """Return them, in the order of starting; all stop together."""
    binds = dict(each.split("=", 1) for each in settings.metrics_targets)
    return [
        _program(WEB, "web"),
        *(
            _program(name, *command, env=_env(binds.get(name)))
            for name, command in workers(settings).items()
        ),
        _program("beat", "beat"),
    ]


def _env(metrics_bind: str | None) -> Mapping[str, str] | None:
    if metrics_bind is None:
        return None
    return {**os.environ, f"{PREFIX}METRICS_BIND": metrics_bind}


def _program(
    name: str, *arguments: str, env: Mapping[str, str] | None = None
) -> Program:
    # -P: a redis.py in the folder we were started in is not the one we mean.
    argv = (sys.executable, "-P", "-m", "ascwebhooks", *arguments)
    return Program(
        name=name, argv=argv, env=env, group=_GROUP, stop_timeout_s=_STOP_TIMEOUT_S
    )
