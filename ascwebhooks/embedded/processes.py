"""Start processes that end with us, and find those that did not yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ascwebhooks.embedded import runner
from ascwebhooks.errors import Unavailable

Pause = Callable[[float], None]
_POLL_S = 0.02


@dataclass(frozen=True)
class Identity:
    """The user and group that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """One long-running command.

    Args:
        name: What its output and its log file are called.
        argv: The command.
        env: Its whole environment; None inherits ours.
        bare: Whether it gets next to no environment instead.
        cwd: Its working directory; None inherits ours.
        user: Who it runs as; None: as we do.
        stdin: What it reads on standard input (never an argument: arguments
            can be read by every user of the machine).
        stop_signal: What asks it to stop; also sent if we die.
        stop_timeout_s: Seconds it has to stop before it is killed.
        restart: Whether it is started again when it exits by itself.
        group: Neighbours of the same group stop together instead of in turn.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    bare: bool = False
    cwd: Path | None = None
    user: Identity | None = None
    stdin: bytes = b""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15
    restart: bool = True
    group: str | None = None


def spawn(program: Program, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, tied to the calling thread.

    The kernel ties a child to the *thread* that made it, so this must be called
    from one that lives as long as the child should: the main thread.  A session
    of its own keeps the terminal's Ctrl-C from it; we pass on what it should get.

    Args:
        program: What to start.
        output: Where standard output and standard error go, together.

    Raises:
        OSError: If no process can be made.
    """
    process = subprocess.Popen(  # noqa: S603  (our own commands)
        [*_runner(program), *program.argv],
        env=program.env,
        cwd=program.cwd,
        stdin=subprocess.PIPE if program.stdin else subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    if process.stdin is not None:
        _feed(process.stdin, program.stdin)
    return process


def stop(process: subprocess.Popen[bytes], number: int, timeout_s: float) -> int:
    """Signal a process, kill it after ``timeout_s`` seconds, return its status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def inside(directory: Path) -> list[int]:
    """Return the ids of processes whose working directory is ``directory``.

    PostgreSQL (each of its processes) and Valkey work in their data directory.
    Unlike a pid file this never mistakes a stranger for the server.
    """
    pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    place = os.path.realpath(directory)
    return sorted(pid for pid in pids if _working_directory(pid) == place)


def wait_until_left(
    directory: Path, timeout_s: float, pause: Pause = time.sleep
) -> None:
    """Wait until no process works in ``directory``.

    After kill -9 of a supervisor its servers need a moment to shut down, and a
    second server on the same files would destroy them.

    Args:
        directory: A data directory.
        timeout_s: How long to wait.
        pause: How to wait for so many seconds; it may raise to give up.

    Raises:
        Unavailable: If one is still there after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while pids := inside(directory):
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{directory} is still in use by process {pids[0]}, "
                f"after waiting {timeout_s:g} s for it to end. "
                f"Stop it (kill -INT {pids[0]}) and start again."
            )
        pause(_POLL_S)


def _runner(program: Program) -> list[str]:
    command = [sys.executable, "-I", "-S", runner.__file__]
    command += ["--parent", str(os.getpid())]
    command += ["--signal", program.stop_signal.name.removeprefix("SIG")]
    if program.user is not None:
        command += ["--user", f"{program.user.uid}:{program.user.gid}"]
    if program.bare:
        # Not by Popen: an interpreter may need LD_LIBRARY_PATH to start at all.
        command += ["--bare"]
    return [*command, "--"]


def _feed(pipe: IO[bytes], data: bytes) -> None:
    # A program that died already shows up by its exit status.
    try:
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        pass


def _working_directory(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        # Ended meanwhile, or another user's: then it is no server of ours.
        return None
