"""The producer and the timestamping receiver, as this process sees them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from ascwebhooks.embedded.processes import stop
from tests.bench.failures import BenchFailed


class Helper:
    """A module of the benchmark that runs as a process and speaks in lines."""

    def __init__(self, module: str) -> None:
        """Start ``tests.bench.<module>``."""
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stop(self._process, signal.SIGTERM, 5)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def tell(self, what: object) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """Return its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchFailed(f"the {self._module} ended without an answer")
        return json.loads(line)


def producer(order: dict[str, object]) -> Helper:
    """Return a producer that has made its events and waits for the word."""
    helper = Helper("producer")
    helper.tell(order)
    helper.hear()
    return helper
