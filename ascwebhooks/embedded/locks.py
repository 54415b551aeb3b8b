"""What only one supervisor at a time may have: HOME_DIR and the port."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ascwebhooks.embedded import runtime
from ascwebhooks.errors import Conflict, SettingsInvalid

LOCK_FILE = "lock"
_BIND_PROBLEMS = {
    errno.EADDRINUSE: "the port is in use by another program",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "this user may not use so low a port",
}


@contextmanager
def home(home_dir: Path) -> Iterator[Path]:
    """Hold HOME_DIR for as long as the block runs.

    The kernel frees the lock when the process ends, however it ends.  A
    ``runtime.env`` found by the new holder is a dead one's and is removed, so
    read the settings after this.

    Raises:
        Conflict: If another process holds it; the message names that.
    """
    home_dir.mkdir(parents=True, exist_ok=True)
    number = os.open(home_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(number, home_dir)
        runtime.remove(home_dir)
        try:
            yield home_dir
        finally:
            runtime.remove(home_dir)
            # The file stays: removing it would let two holders lock two files.
            os.ftruncate(number, 0)
    finally:
        os.close(number)


def check_bind(bind: str) -> None:
    """Raise unless a server could listen on ``host:port`` now.

    Raises:
        SettingsInvalid: If not; the message says why and names the setting.
    """
    host, _, port = bind.rpartition(":")
    problem = _bind_problem(host, int(port))
    if problem:
        raise SettingsInvalid(
            f"ASCWEBHOOKS_BIND: cannot listen on {bind}: {problem}. "
            f"Stop that program, or set ASCWEBHOOKS_BIND to another host:port.",
            setting="ASCWEBHOOKS_BIND",
        )


def _lock(number: int, home_dir: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(number, 20, 0).decode().strip() or "unknown"
        raise Conflict(
            f"HOME_DIR {home_dir} is in use by process {holder}: "
            f"ascwebhooks is running already. "
            f"Stop it, or set ASCWEBHOOKS_HOME_DIR to another folder.",
            holder=holder,
        ) from error
    os.ftruncate(number, 0)
    os.pwrite(number, f"{os.getpid()}\n".encode(), 0)


def _bind_problem(host: str, port: int) -> str | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            # Binding alone succeeds beside a listener that set SO_REUSEADDR too
            # but does not listen yet; listening does not.
            probe.listen()
    except OverflowError:
        return f"{port} is no port"
    except OSError as error:
        return _BIND_PROBLEMS.get(error.errno or 0, error.strerror or str(error))
    return None
