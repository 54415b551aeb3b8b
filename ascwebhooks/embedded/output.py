"""What children write: all of it to log files, what matters to the terminal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

ROTATE_BYTES = 10_000_000
_LINE_BYTES = 65_536
_LOUD = frozenset({"warning", "warn", "error", "critical", "exception", "fatal"})
_BESIDE = frozenset({"event", "level", "timestamp", "exception", "stack"})
_COLOURS = ("36", "32", "35", "34", "33", "96", "92", "95")
_RED, _OWN = "31", "1"


class Terminal:
    """Lines for people, each with the name of who says it.

    Args:
        stream: Where to; colours only if it is a terminal.
        colour: Whether colours are wanted there.
        verbose: Whether everything is shown, not only what is loud.
    """

    def __init__(
        self, stream: TextIO, *, colour: bool = True, verbose: bool = False
    ) -> None:
        self._stream = stream
        self._colour = colour and stream.isatty()
        self._verbose = verbose
        self._names: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Show a message of the supervisor's."""
        for line in text.splitlines():
            self._write("ascwebhooks", line, _OWN)

    def child(self, name: str, line: str) -> None:
        """Show a child's line if it is loud, or if everything is shown."""
        loud, text = render(line)
        if loud or self._verbose:
            colour = self._names.setdefault(
                name, _COLOURS[len(self._names) % len(_COLOURS)]
            )
            self._write(name, text, _RED if loud else colour)

    def _write(self, name: str, text: str, colour: str) -> None:
        label = f"{name:<12} │"
        if self._colour:
            label = f"\x1b[{colour}m{label}\x1b[0m"
        try:
            self._stream.write(f"{label} {printable(text)}\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal is gone; what we supervise should not go with it.
            pass


def render(line: str) -> tuple[bool, str]:
    """Return whether a line is loud, and how people read it.

    Children log JSON objects with ``level`` and ``event``; whatever else they
    write counts as information.
    """
    record = _record(line)
    if record is None:
        return False, line
    level = str(record.get("level", "info")).lower()
    rest = " ".join(
        f"{key}={_short(value)}" for key, value in record.items() if key not in _BESIDE
    )
    text = f"{level}: {record.get('event', '')} {rest}".rstrip()
    error = str(record.get("exception") or "").strip().rpartition("\n")[2]
    return level in _LOUD, f"{text}: {error}" if error else text


def printable(text: str) -> str:
    """Return ``text`` without what would steer a terminal."""
    return "".join(
        each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


class Log:
    """One child's output: a file, its last lines, and each line to ``show``.

    Args:
        path: The file; a full one becomes ``<name>.log.1``.
        show: Called with each whole line.
        rotate_bytes: The size above which it is rotated.
    """

    def __init__(
        self,
        path: Path,
        show: Callable[[str], None],
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self.recent: deque[str] = deque(maxlen=12)
        self._path = path
        self._show = show
        self._rotate_bytes = rotate_bytes
        self._rest = b""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._rotate()

    def feed(self, data: bytes) -> None:
        """Take what the child wrote, however it was cut up."""
        # A full disk loses lines; it does not end whoever writes and reads them.
        with suppress(OSError):
            self._file.write(data)
            self._file.flush()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LINE_BYTES:
            self._line(self._rest)
            self._rest = b""
        self._rotate()

    def finish(self) -> None:
        """Take what has no line end as a line: the child is gone."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def close(self) -> None:
        """Close the file."""
        self.finish()
        self._file.close()

    def _line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip("\r")
        self.recent.append(line)
        self._show(line)

    def _rotate(self) -> None:
        if self._file.tell() <= self._rotate_bytes:
            return
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab")


def _record(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
