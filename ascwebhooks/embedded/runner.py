"""Run a command that ends when its parent does.

::

    python runner.py --parent 4711 --signal INT --user 65534:65534 -- postgres -D …

A supervisor that is killed outright (kill -9, out of memory) cannot stop what
it started.  The kernel can: ``PR_SET_PDEATHSIG`` sends this process a signal
when the thread that made it ends, and keeps doing so after ``exec``.

Only the standard library is imported, and nothing of this package, so that it
starts in milliseconds with ``python -I -S``.

Source:
    prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
ORPHANED = 125  # exit status: the parent was gone before the command began
# All that a server needs.  PGDATA and its like would change what it does, and
# keys and passwords are none of its business.
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
CANNOT_RUN = 126  # exit status: the command could not be executed


def main(arguments: Sequence[str]) -> int:
    """Become the command, or return the exit status that says why not."""
    options, command = _parse(arguments)
    libc = ctypes.CDLL(None, use_errno=True)
    if options.user:
        _become(*(int(part) for part in options.user.split(":")))
    # Changing user clears the death signal, so it is set after that.
    number = signal.Signals[f"SIG{options.signal}"]
    if libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # A parent that died before the line above sends nothing any more.
    if options.parent and os.getppid() != options.parent:
        return ORPHANED
    # Inherited through exec: with the signal that ends it blocked, nothing would.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvpe(command[0], command, BARE if options.bare else os.environ)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error}\n")
        return CANNOT_RUN


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    # Split by hand: argparse's treatment of "--" differs between versions.
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    command = list(arguments[end + 1 :])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signal", choices=["INT", "TERM", "QUIT"], default="TERM")
    parser.add_argument("--user", metavar="UID:GID")
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--bare", action="store_true")
    options = parser.parse_args(arguments[:end])
    if not command:
        parser.error("give the command after --")
    return options, command


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
