"""Retry schedules as people write and see them: ``5 s, 5 min, 2 h``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from math import log1p
from typing import NamedTuple

from ascwebhooks.errors import InvalidInput

_UNITS_S = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_SPELLINGS = {
    **dict.fromkeys(("s", "sec", "second", "seconds", ""), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_PIECE = re.compile(r"([0-9]+)\s*([a-z]*)", re.ASCII)
_MAX_DIGITS = 9
_APART = re.compile(r"[,;\n]")
_LABEL_ROOM = 11.0


class Planned(NamedTuple):
    """An attempt of a schedule.

    ``after_s``: how long after the first one, if each fails at once and nothing is
    spread.  ``x``: its place on a picture of them all, in percent; times further away
    are closer together there.  ``has_room``: whether a label fits.
    """

    number: int
    after_s: int
    x: float
    has_room: bool

    @property
    def after(self) -> str:
        """How long after the first one, as people read it."""
        return show_delay(self.after_s) if self.after_s else "at once"

    @property
    def about(self) -> str:
        """The same, in one unit."""
        for unit, size in _UNITS_S.items():
            if self.after_s >= size:
                return f"{round(self.after_s / size)} {unit}"
        return "at once"


def parse(text: str) -> list[int]:
    """Return the delays of a schedule, in seconds; none if the text is empty.

    Raises:
        InvalidInput: If one of them cannot be read.
    """
    return [_parse_delay(each) for each in _APART.split(text) if each.strip()]


def show(delays_s: Sequence[int]) -> str:
    """Return a schedule as people write it; ``parse`` reads it."""
    return ", ".join(map(show_delay, delays_s))


def show_delay(seconds: int) -> str:
    """Return a delay as people write it, such as ``1 h 30 min``."""
    pieces, left = [], seconds
    for unit, size in _UNITS_S.items():
        count, left = divmod(left, size)
        if count:
            pieces.append(f"{count} {unit}")
    return " ".join(pieces) or "0 s"


def planned(delays_s: Sequence[int]) -> list[Planned]:
    """Return when the attempts of a schedule would be made, the first one first."""
    ats = list(accumulate(delays_s, initial=0))
    whole = log1p(ats[-1]) or 1.0
    found: list[Planned] = []
    labelled = -_LABEL_ROOM
    for number, at in enumerate(ats, 1):
        x = 100 * log1p(at) / whole
        # The last one is always labelled.
        is_last = number == len(ats)
        has_room = is_last or (x - labelled >= _LABEL_ROOM and 100 - x >= _LABEL_ROOM)
        labelled = x if has_room else labelled
        found.append(Planned(number, at, round(x, 2), has_room))
    return found


def _parse_delay(text: str) -> int:
    written = text.strip().lower()
    pieces = _PIECE.findall(written)
    sizes = [_SPELLINGS.get(unit) for _, unit in pieces]
    # A number without a unit stands alone.
    is_vague = len(pieces) > 1 and "" in [unit for _, unit in pieces]
    is_long = any(len(count) > _MAX_DIGITS for count, _ in pieces)
    rest = _PIECE.sub("", written).strip()
    if not pieces or rest or is_vague or is_long or None in sizes:
        raise _unreadable(text)
    return sum(
        int(count) * (size or 0) for (count, _), size in zip(pieces, sizes, strict=True)
    )


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text.strip()[:40]!r} is no delay; write such as 30 s, 5 min, 2 h or 1 d,"
        " with commas between them.",
        field="retry_schedule_s",
    )
