"""Seconds of CPU by process, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
#: Fields of the first line of /proc/stat.
_IDLE, _IO_WAIT, _LAST = 3, 4, 8


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold blanks.
    return text.rpartition(")")[2].split()


def seconds(root: int) -> float:
    """Return the CPU seconds of a process and all its descendants so far."""
    found: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and (fields := _stat(int(each.name))) is not None:
            pid = int(each.name)
            found[pid] = fields
            children.setdefault(int(fields[1]), []).append(pid)
    ticks, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        if pid in found:
            ticks += sum(int(field) for field in found[pid][11:15])
            waiting += children.get(pid, [])
    return ticks / _TICKS


def _machine() -> tuple[float, float]:
    """Return the seconds that all cores were busy and idle, together."""
    line = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    fields = [int(each) / _TICKS for each in line[:_LAST]]
    idle = fields[_IDLE] + fields[_IO_WAIT]
    return sum(fields) - idle, idle


class Usage:
    """What each of some processes used between two moments."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Take processes by name; the clock starts now."""
        # This one counts, too: it polls.
        self._pids = {**pids, "bench": os.getpid()}
        self._machine_before = _machine()
        self._before = {name: seconds(pid) for name, pid in self._pids.items()}

    def so_far(self) -> dict[str, float]:
        """Return the CPU seconds since the beginning.

        ``others`` is what ran on the machine besides (the kernel's own work too),
        ``idle`` what nobody used: many others make the figures worthless.
        """
        used = {
            name: seconds(pid) - self._before[name] for name, pid in self._pids.items()
        }
        # The workers are this process's children.
        children = sum(value for name, value in used.items() if name != "bench")
        used["bench"] = max(0.0, used["bench"] - children)
        busy, idle = _machine()
        used["others"] = max(0.0, busy - self._machine_before[0] - sum(used.values()))
        used["idle"] = idle - self._machine_before[1]
        return {name: round(value, 2) for name, value in used.items()}
