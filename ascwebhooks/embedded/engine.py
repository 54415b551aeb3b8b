"""What PostgreSQL and Valkey have in common as servers of ours."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path

from ascwebhooks.embedded.processes import (
    Identity,
    Pause,
    Program,
    spawn,
    stop,
    wait_until_left,
)
from ascwebhooks.errors import Unavailable

START_TIMEOUT_S = 60.0
# A predecessor may have a last checkpoint to write.
LEAVE_TIMEOUT_S = 60.0
_POLL_S = 0.02


class Engine(ABC):
    """A server with a data directory of its own.

    Under a supervisor ``prepare``, ``program`` and ``ready`` are used; alone,
    ``start`` and ``stop`` do the same without one.

    Args:
        data_dir: What is its own; made if need be.
        user: Who it runs as; None: as we do.
    """

    name: str

    def __init__(self, data_dir: Path, user: Identity | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Where ``start`` sends its output."""
        return self.data_dir.with_name(f"{self.data_dir.name}.log")

    @property
    def pid(self) -> int | None:
        """The process that ``start`` made, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and running else None

    @abstractmethod
    def prepare(self, pause: Pause = time.sleep) -> None:
        """Make everything that must be there before the program runs.

        Args:
            pause: How to wait for a predecessor that is still shutting down.

        Raises:
            Unavailable: If it cannot be made; the message says why.
        """

    @abstractmethod
    def program(self) -> Program:
        """Return the command."""

    @abstractmethod
    def ready(self) -> bool:
        """Return whether it can be used now."""

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it can be used; output goes to ``log_file``.

        Args:
            timeout_s: How long it may take.

        Raises:
            Unavailable: If it ended or was not ready in time.
        """
        self.prepare()
        with self.log_file.open("ab") as log:
            process = self._process = spawn(self.program(), log)
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise Unavailable(
                    f"{self.name} did not start:\n{tail(self.log_file)}",
                )
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Shut it down in good order, or kill it when its time is up."""
        if self._process is not None:
            program = self.program()
            stop(self._process, program.stop_signal, program.stop_timeout_s)

    def kill(self) -> None:
        """Kill it as kill -9 would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _wait_for_predecessor(self, pause: Pause) -> None:
        wait_until_left(self.data_dir, LEAVE_TIMEOUT_S, pause)


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, lines)).rstrip()
