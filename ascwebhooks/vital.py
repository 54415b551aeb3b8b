"""Threads without which a process is useless: if one dies, the process ends.

A worker whose recorder is gone would go on sending and renewing leases, and record
nothing.  Its supervisor starts a process anew; it cannot start a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread

import structlog

log = structlog.get_logger()

#: sysexits.h: an internal error.
EXIT_STATUS = 70


def thread(target: Callable[[], None], name: str) -> Thread:
    """Return a daemon thread; an error that it does not catch ends the process."""
    return Thread(target=_run, args=(target, name), name=name, daemon=True)


def _run(target: Callable[[], None], name: str) -> None:
    try:
        target()
    except BaseException:  # noqa: BLE001 - the process ends by it
        try:
            log.exception("vital_thread_died", thread=name)
        finally:
            os._exit(EXIT_STATUS)
