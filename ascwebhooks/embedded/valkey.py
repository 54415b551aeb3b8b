"""Valkey for one machine: loopback only, with a password of its own.

TCP and not a socket file: one URL then serves redis-py, Celery and gateways in
any language, whoever runs them.
"""

from __future__ import annotations

import re
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ascwebhooks.embedded import ports
from ascwebhooks.embedded.binaries import Binaries
from ascwebhooks.embedded.engine import Engine
from ascwebhooks.embedded.files import private_folder, write_private
from ascwebhooks.embedded.ports import HOST
from ascwebhooks.embedded.processes import Identity, Pause, Program

_READY_TIMEOUT_S = 2
_NO_RETRY = Retry(NoBackoff(), 0)

OPTIONS: Mapping[str, str] = {
    "bind": HOST,
    "databases": "64",
    # What is on the stream is not accepted yet: this file is all there is of it.
    "appendonly": "yes",
    # Why not always: config/decisions/0011-what-the-stream-survives.md.
    "appendfsync": "everysec",
    "save": '""',
    # Full is said to the publisher; nothing is thrown away for it.
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
    "tcp-keepalive": "60",
    "daemonize": "no",
    "logfile": '""',
}


class Valkey(Engine):
    """One Valkey server; port and password stay the same over restarts.

    Args:
        data_dir: Where its append-only file is.
        secret_file: Where port and password are kept, readable by us alone.
        binaries: What is run.
        user: Who runs it.
    """

    name = "valkey"

    def __init__(
        self,
        data_dir: Path,
        secret_file: Path,
        binaries: Binaries,
        *,
        user: Identity | None = None,
    ) -> None:
        super().__init__(data_dir, user)
        self._secret_file = secret_file
        self._binaries = binaries
        self._port, self._password = self._known()

    def url(self, database: int = 0) -> str:
        """Return the URL of a numbered database."""
        # With the user's name: redis-cli takes a missing one for an empty one.
        return f"redis://default:{self._password}@{HOST}:{self._port}/{database}"

    def prepare(self, pause: Pause = time.sleep) -> None:
        """Make its folder, and choose a port if ours is not to be had."""
        self._wait_for_predecessor(pause)
        private_folder(self.data_dir, self.user)
        port = ports.choose(self._port)
        if port != self._port:
            self._port = port
            write_private(self._secret_file, f"{self._port} {self._password}\n")

    def program(self) -> Program:
        """Return the server's command; the password goes in by standard input."""
        options = {
            **OPTIONS,
            "port": str(self._port),
            "requirepass": self._password,
            "dir": _quoted(str(self.data_dir)),
        }
        return Program(
            name=self.name,
            argv=(str(self._binaries.valkey), "-"),
            bare=True,
            cwd=self.data_dir,
            user=self.user,
            stdin="".join(f"{' '.join(each)}\n" for each in options.items()).encode(),
            stop_signal=signal.SIGTERM,
            stop_timeout_s=30,
        )

    def ready(self) -> bool:
        """Return whether it answers, its append-only file read."""
        try:
            with redis.Redis.from_url(
                self.url(), socket_timeout=_READY_TIMEOUT_S, retry=_NO_RETRY
            ) as client:
                client.ping()
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return True

    def _known(self) -> tuple[int, str]:
        if self._secret_file.is_file():
            found = re.fullmatch(r"(\d+) (\w+)\s*", self._secret_file.read_text())
            if found:
                return int(found[1]), found[2]
        return 0, secrets.token_hex(24)


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
