"""What commands are given: how to read settings and how to start each process."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import click

from ascwebhooks import logs
from ascwebhooks.domain.audit import Actor, ActorKind
from ascwebhooks.services.acting import act_as
from ascwebhooks.services.container import Services
from ascwebhooks.services.duties import Duties
from ascwebhooks.settings import Settings


@dataclass
class Tools:
    """What bootstrap hands to the commands."""

    read_settings: Callable[[], Settings]
    build: Callable[[Settings], Services]
    migrate: Callable[[Settings], str]
    run_worker: Callable[[Settings, Duties, str | None], int]
    run_beat: Callable[[Settings], None]
    run_web: Callable[[Settings], None]
    environ: Mapping[str, str]

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.read_settings()

    @cached_property
    def services(self) -> Services:
        """The services of this process, closed when the command ends."""
        quiet(self.settings)
        act_as(_operator())
        services = self.build(self.settings)
        # What was rung in passing is still on its way to the broker.
        click.get_current_context().find_root().call_on_close(services.close)
        return services


def _operator() -> Actor:
    """Return how the audit log knows whoever runs a command here."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return Actor(ActorKind.COMMAND, f"{user}@{socket.gethostname()}", user)


def quiet(settings: Settings) -> None:
    """Log what went wrong only: what a command did, it prints."""
    level = "DEBUG" if settings.log_level == "DEBUG" else "WARNING"
    on_terminal = sys.stderr.isatty()
    logs.configure(level, "console" if on_terminal else settings.log_format)


pass_tools = click.make_pass_decorator(Tools)
