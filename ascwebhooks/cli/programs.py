"""The programs that ``up`` runs on the engines."""

from __future__ import annotations

import sys

from ascwebhooks.embedded.processes import Program
from ascwebhooks.settings import Settings

WEB = "web"
_GROUP = "programs"


def programs(settings: Settings) -> list[Program]:
    """Return them, in the order of starting; all stop together."""
    deliver = ("worker", "--deliver")
    return [
        _program(WEB, "web"),
        _program("ingest", "worker", "--ingest"),
        *(
            _program(f"deliver-{number}", *deliver)
            for number in range(1, settings.deliver_processes + 1)
        ),
        _program("slow", *deliver, "--slow"),
        _program("maintenance", "worker", "--maintenance"),
        _program("beat", "beat"),
    ]


def _program(name: str, *arguments: str) -> Program:
    # -P: a redis.py in the folder we were started in is not the one we mean.
    argv = (sys.executable, "-P", "-m", "ascwebhooks", *arguments)
    return Program(name=name, argv=argv, group=_GROUP)
