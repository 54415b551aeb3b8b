"""Where something stands in a gateway's record: ``usage.total["input tokens"][0]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_STEP = re.compile(
    r"""(?:^|\.)(?P<name>[A-Za-z_][A-Za-z0-9_-]*)   # a name, after a dot if not first
      | \[(?P<index>\d{1,4})\]
      | \["(?P<quoted>[^"]{1,200})"\]""",
    re.VERBOSE,
)


class Path(NamedTuple):
    """Names and places in lists, from the outside in; none is the record itself."""

    text: str
    steps: tuple[str | int, ...]

    def find(self, record: Any) -> Any:
        """Return what stands there; None if nothing does."""
        found = record
        for step in self.steps:
            if isinstance(step, str) and isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(step, int) and isinstance(found, list):
                found = found[step] if step < len(found) else None
            else:
                return None
        return found


def parse(text: str) -> Path:
    """Return the path that a text is.

    Raises:
        ValueError: If it is none.
    """
    rest = text.removeprefix("$").removeprefix(".") if text[:1] == "$" else text
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            raise ValueError(
                f'{text!r} is no path: names with dots between them, [0] or ["a name"].'
            )
        if step["index"] is not None:
            steps.append(int(step["index"]))
        else:
            steps.append(step["name"] or step["quoted"])
        at = step.end()
    if not steps and text != "$":
        raise ValueError("a path is not empty.")
    return Path(text, tuple(steps))
