"""What a filter may cost: the library knows no budget and lets nobody else run.

Checked when a filter is made, from its tokens; what depends on the event is left as
``Bounds``.  Why each bound is there: config/decisions/0007.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from ascwebhooks.domain import readings, tokens
from ascwebhooks.domain.readings import BYTES_A_VALUE, Data, Path
from ascwebhooks.domain.tokens import TEXT, Token

MAX_ITEMS = 1_000
MAX_SUMS = 8
MAX_NESTING = 32
_MACROS = {"exists", "all", "exists_one", "existsOne"}
_REFUSED_MACROS = {"map", "filter"}
#: A list in the event, by a plain path, or a list of literals.
_RECEIVER = re.compile(r"(?<![.\])}isn])(?:i(?:\.i|\[[sn]\])*|\[-?[sn](?:,-?[sn])*\])$")
# Microseconds that the library takes to compile a part of a pattern, each time it
# runs: a Unicode class is a table of a thousand ranges.
_COSTS_US = (
    (re.compile(r"\\[wWpPuUx]|[^\x00-\x7f]"), 200),
    (re.compile(r"\\[dDsS]|\(\?[a-zA-Z]*i"), 35),
    (re.compile(r"."), 5),
)
_COUNTED = re.compile(r"\{\s*([0-9]*)\s*,?\s*([0-9]*)\s*\}")
# What would hide a pattern from these looks at it: coded characters, flag x.
_CODED = re.compile(r"(?<!\\)(?:\\\\)*\\[xXuU0-9]")
_SPACED = re.compile(r"\(\?[a-zA-Z]*x")
MAX_PATTERN_US = 5_000
#: In values that are read, at up to 90 ns each.
MAX_READINGS = 400_000
#: In states of a pattern times bytes of text, at up to 12 ns each.
MAX_PATTERN_WORK = 4_000_000


class Refusal(Exception):
    """A filter is not taken; ``offset`` is where the fault is, from 0."""

    def __init__(self, message: str, offset: int) -> None:
        """Keep both apart."""
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an event must keep to, for a filter to be evaluated on it.

    ``once``: what of the data is read outside the macro.
    ``each``: what is read for each item that the macro walks.
    ``items``: the expression of the list that the macro walks, if there is one.
    ``walked``: the list's path, once for each time that the body names the item.
    ``sums``: how often texts or lists are put together, which copies both.
    ``pattern_size``: the states of patterns that may be run over the data.
    """

    once: tuple[Path, ...] = ()
    each: tuple[Path, ...] = ()
    variable: str | None = None
    items: str | None = None
    walked: tuple[Path, ...] = ()
    sums: int = 0
    pattern_size: int = 0

    def problem(self, data: Data, count: int) -> str | None:
        """Return why an event is too much for this filter, or None.

        Args:
            data: The event's.
            count: How many items the macro would walk.
        """
        if count > MAX_ITEMS:
            return f"a list of {count} items: at most {MAX_ITEMS:,} are walked"
        # The first look costs nothing, and is enough for nearly every event.
        if self._problem(lambda _: data.most, count) is None:
            return None
        return self._problem(data.weight, count)

    def _problem(self, weight: Callable[[Path], int], count: int) -> str | None:
        read = sum(weight(each) for each in (*self.once, *self.walked))
        read += count * sum(weight(each) for each in self.each)
        if read * (1 + self.sums) > MAX_READINGS:
            return "the data that the filter reads is too large, or read too often"
        text_bytes = max(map(weight, self.once), default=0) * BYTES_A_VALUE
        if self.pattern_size * text_bytes * (1 + self.sums) > MAX_PATTERN_WORK:
            return "the data is too large for this filter's patterns"
        return None


def check_nesting(found: Sequence[Token]) -> None:
    """Raise Refusal if brackets are nested deeply; the parser takes stack for each."""
    depth = 0
    for token in found:
        depth += token.kind in "([{"
        depth -= token.kind in ")]}"
        if depth > MAX_NESTING:
            raise Refusal(f"nested deeper than {MAX_NESTING}", token.offset)


def check(found: Sequence[Token]) -> Bounds:
    """Return the bounds of a filter.

    Raises:
        Refusal: If it may cost too much whatever the event is.
    """
    sums = [token for token in found if token.kind == "+"]
    if len(sums) > MAX_SUMS:
        raise Refusal(f"at most {MAX_SUMS} '+' in a filter", sums[MAX_SUMS].offset)
    macros = list(_macros(found))
    if len(macros) > 1:
        raise Refusal(
            "only one exists, all or exists_one in a filter", found[macros[1]].offset
        )
    size = _pattern_size(found)
    if not macros:
        return Bounds(readings.paths(found), sums=len(sums), pattern_size=size)
    return _macro_bounds(found, macros[0], len(sums), size)


def _macro_bounds(
    found: Sequence[Token], at: int, sums: int, pattern_size: int
) -> Bounds:
    end = tokens.closing(found, at + 1)
    body = found[at + 1 : end]
    inside = next(_calls(body, {"matches"}), None)
    if inside is not None:
        raise Refusal("no matches within exists or all", body[inside].offset)
    receiver = _RECEIVER.search(tokens.kinds(found[: at - 1]))
    if receiver is None:
        raise Refusal(
            f"{found[at].text} walks a list in the event, such as data.items,"
            " or a list of literals",
            found[at].offset,
        )
    listed = found[receiver.start() : at - 1]
    variable = body[1].text if len(body) > 1 else ""
    return Bounds(
        once=readings.paths(found[: at + 1]) + readings.paths(found[end:]),
        each=readings.paths(body),
        variable=variable,
        items="".join(token.text for token in listed),
        # The first mention is its declaration.
        walked=readings.paths(listed) * (len(readings.mentions(body, variable)) - 1),
        sums=sums,
        pattern_size=pattern_size,
    )


def _macros(found: Sequence[Token]) -> Iterator[int]:
    for at in _calls(found, _MACROS | _REFUSED_MACROS):
        if found[at].text in _REFUSED_MACROS:
            raise Refusal(f"{found[at].text} is not supported", found[at].offset)
        yield at


def _calls(found: Sequence[Token], names: set[str]) -> Iterator[int]:
    """Return where methods of these names are called."""
    for each in re.finditer(r"(?<=\.)i(?=\()", tokens.kinds(found)):
        if found[each.start()].text in names:
            yield each.start()


def _pattern_size(found: Sequence[Token]) -> int:
    """Return how large the filter's patterns are together, in states."""
    cost_us = size = 0
    for at in _calls(found, {"matches"}):
        argument = found[at + 2 : at + 4]
        if tokens.kinds(argument) != f"{TEXT})":
            raise Refusal("matches takes a pattern in quotes", found[at].offset)
        pattern = argument[0]
        if _is_hidden(pattern.text):
            raise Refusal(
                "coded characters and flag x are not supported in a pattern",
                pattern.offset,
            )
        times = _repetitions(pattern.text)
        cost_us += _cost_us(pattern.text) * times
        size += len(pattern.text) * times
        if cost_us > MAX_PATTERN_US:
            raise Refusal("the pattern is too large", pattern.offset)
    return size


def _is_hidden(pattern: str) -> bool:
    coded = pattern[0] in "\"'" and _CODED.search(pattern)
    return bool(coded or _SPACED.search(pattern))


def _repetitions(pattern: str) -> int:
    counts = (
        max(int(low or 1), int(high or 1)) for low, high in _COUNTED.findall(pattern)
    )
    return prod(max(count, 1) for count in counts)


def _cost_us(pattern: str) -> int:
    cost_us = 0
    for part, each_us in _COSTS_US:
        pattern, count = part.subn("", pattern)
        cost_us += count * each_us
    return cost_us
