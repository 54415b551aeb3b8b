"""Where the time goes: py-spy on each worker, PostgreSQL's own statistics."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ascwebhooks.embedded.processes import stop
from tests.bench.failures import BenchFailed
from tests.bench.stack import Product

_PER_S = "400"
_STATEMENTS = """
SELECT calls, round(total_exec_time::numeric, 1), rows, round(wal_bytes / 1024),
       left(regexp_replace(query, E'\\\\s+', ' ', 'g'), 90)
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 20
"""


class Spies:
    """Profiles into a folder; without a folder, nothing."""

    def __init__(self, folder: Path | None) -> None:
        """Take where profiles go.

        Raises:
            BenchFailed: If py-spy is not installed.
        """
        self._folder = folder
        beside = Path(sys.executable).parent / "py-spy"
        self._program = str(beside) if beside.exists() else shutil.which("py-spy")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if self._program is None:
                raise BenchFailed("--spy needs py-spy: pip install py-spy")

    @contextmanager
    def on(self, name: str, product: Product) -> Iterator[None]:
        """Watch a product's ingest and delivery workers."""
        if self._folder is None:
            yield
            return
        watched = {
            worker: self._folder / f"{name}.{worker}.txt"
            for worker in product.pids
            if worker.startswith(("ingest", "deliver"))
        }
        running = [
            self._watch(product.pids[worker], file) for worker, file in watched.items()
        ]
        try:
            yield
        finally:
            for process in running:
                stop(process, signal.SIGINT, 30)
        for worker, file in watched.items():
            summary = self._folder / f"{name}.{worker}.top"
            summary.write_text(top(file.read_text()))

    def _watch(self, pid: int, file: Path) -> subprocess.Popen[bytes]:
        command = [str(self._program), "record", "--pid", str(pid), "--rate", _PER_S]
        command += ["--format", "raw", "--threads", "--gil", "--duration", "600"]
        return subprocess.Popen(
            [*command, "--output", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def statements(self, name: str, product: Product) -> None:
        """Write the statements that cost most."""
        if self._folder is not None:
            rows = product.query(_STATEMENTS)
            lines = ["   calls   total_ms     rows    wal_kb  statement"]
            lines += [f"{r[0]:8} {r[1]:10} {r[2]:8} {r[3]:9}  {r[4]}" for r in rows]
            (self._folder / f"{name}.sql").write_text("\n".join(lines) + "\n")


def top(raw: str, most: int = 40) -> str:
    """Return functions by share of all samples: alone, and with what they call."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, number = line.rpartition(" ")
        frames, samples = stack.split(";"), int(number)
        alone[frames[-1]] += samples
        threads[frames[0]] += samples
        for frame in set(frames):
            within[frame] += samples
    total = sum(alone.values()) or 1
    parts = [f"{total} samples"]
    for title, counts in (("thread", threads), ("alone", alone), ("within", within)):
        parts.append(f"\n{title}")
        parts += [f"{100 * n / total:5.1f} %  {f}" for f, n in counts.most_common(most)]
    return "\n".join(parts) + "\n"
