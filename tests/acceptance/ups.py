"""``ascwebhooks up`` as a process of a test's own, and the home that it lives in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ascwebhooks.embedded import places, ports, processes
from tests.waiting import wait_until

START_S = 60


class Up:
    """One run of ``ascwebhooks up``; its output is in a file, so it never blocks."""

    def __init__(self, home: Path, *options: str, **given: str) -> None:
        self.bind = f"127.0.0.1:{ports.choose()}"
        self.home = home
        named = {"HOME_DIR": str(home), "BIND": self.bind, **given}
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("ASCWEBHOOKS_")},
            **{f"ASCWEBHOOKS_{name}": value for name, value in named.items()},
        }
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ascwebhooks", "up", *options],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    @property
    def output(self) -> str:
        return os.pread(self._output.fileno(), 1_000_000, 0).decode()

    def said(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output)
            ended = match is None and self.process.poll() is not None
            assert not ended, self.output
            return match

        return wait_until(found, timeout_s, f"{pattern} is said")

    def ready(self) -> Up:
        self.said("Ctrl-C stops everything")
        return self

    @property
    def proof(self) -> list[int]:
        """Accepted, delivered, verified, duplicates: the row of the table."""
        row = re.search(r"│\s+(\d+) │\s+(\d+) │\s+(\d+) │\s+(\d+) │", self.output)
        assert row, self.output
        return [int(each) for each in row.groups()]

    def command(self, *arguments: str) -> str:
        """Run another command in the same HOME_DIR, that must succeed."""
        return subprocess.run(
            [sys.executable, "-m", "ascwebhooks", *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def ctrl_c(self) -> int:
        """As a terminal does: to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._output.close()


def left_over(home: Path) -> list[int]:
    """Processes that belong to a home: by their environment, or their folder."""
    mark = f"ASCWEBHOOKS_HOME_DIR={home}\0".encode()
    found = []
    for each in Path("/proc").iterdir():
        with suppress(OSError):
            if each.name.isdigit() and mark in (each / "environ").read_bytes() + b"\0":
                found.append(int(each.name))
    for name in (places.POSTGRES, places.VALKEY):
        found += processes.inside(home / name)
    return found


def make_home() -> Iterator[Path]:
    """A home that the engines' user can enter, also when we are root."""
    with tempfile.TemporaryDirectory(prefix="asc-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        wait_until(lambda: not left_over(Path(folder)), 40, "all of it has ended")
