"""One supervised program: its process, its output, its restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import IO

from ascwebhooks.embedded.output import Log, render
from ascwebhooks.embedded.processes import Program, spawn

BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.2, 5.0
STEADY_S = 30.0


class Child:
    """A program and how it is doing.

    Args:
        program: What it runs.
        log: Where its output goes.
    """

    def __init__(self, program: Program, log: Log) -> None:
        self.program = program
        self.log = log
        self.due_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._backoff_s = BACKOFF_FIRST_S

    @property
    def name(self) -> str:
        """What it is called."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Its process, while it has one."""
        return self._process.pid if self._process else None

    @property
    def output(self) -> IO[bytes] | None:
        """The reading end of its output, while it has a process."""
        return self._process.stdout if self._process else None

    def start(self) -> IO[bytes]:
        """Start it; return the reading end of its output."""
        self.due_at = None
        self._process = spawn(self.program, subprocess.PIPE)
        self._started_at = time.monotonic()
        output = self._process.stdout
        assert output is not None
        os.set_blocking(output.fileno(), False)
        return output

    def read(self) -> bool:
        """Take what it wrote; return False at the end of its output."""
        if self.output is None:
            return False
        try:
            data = os.read(self.output.fileno(), 65_536)
        except BlockingIOError:
            return True
        self.log.feed(data)
        return bool(data)

    def has_ended(self) -> bool:
        """Return whether its process ended, without reaping it."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self.pid is not None and bool(os.waitid(os.P_PID, self.pid, options))

    def reap(self) -> int:
        """Take leave of a process that has ended; return its status."""
        assert self._process is not None
        # Not reaped yet, its group's number is still its own.  Whatever it left
        # behind in the group would hold its port or its files.
        self.kill()
        self._drain()
        if self.output is not None:
            self.output.close()
        self.log.finish()
        status = self._process.wait()
        self._process = None
        return status

    def ask_to_stop(self) -> None:
        """Send its stop signal."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self.program.stop_signal)

    def kill(self) -> None:
        """Kill it and what it started in its own process group."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def plan_restart(self) -> float:
        """Decide when it starts again; return in how many seconds."""
        if time.monotonic() - self._started_at > STEADY_S:
            self._backoff_s = BACKOFF_FIRST_S
        wait_s = self._backoff_s
        self.due_at = time.monotonic() + wait_s
        self._backoff_s = min(wait_s * 2, BACKOFF_MOST_S)
        return wait_s

    def last_words(self) -> str:
        """Return the last lines it wrote."""
        return "\n".join(f"  {render(line)[1]}" for line in self.log.recent)

    def _drain(self) -> None:
        if self.output is None:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.output.fileno(), 65_536):
                self.log.feed(data)


def why(status: int) -> str:
    """Return an exit status in words."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
