"""What a filter may cost: the library knows no budget and lets nobody else run.

Checked when a filter is made, from its tokens; what depends on the event is left as
``Bounds``.  Why each bound is there: config/decisions/0007.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from ascwebhooks.domain import tokens
from ascwebhooks.domain.tokens import NAME, TEXT, Token

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
MAX_WORK = 64_000_000
MAX_PATTERN_WORK = 32_000_000


class Refusal(Exception):
    """A filter is not taken; ``offset`` is where the fault is, from 0."""

    def __init__(self, message: str, offset: int) -> None:
        """Keep both apart."""
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an event must keep to, for a filter to be evaluated on it.

    ``variable``: what the macro calls an item, or None without a macro.
    ``items``: the expression of the list that the macro walks.
    ``rereads``: how often the macro's body reads ``data`` for each item.
    ``pattern_size``: the states of patterns that may be run over ``data``.
    """

    variable: str | None = None
    items: str | None = None
    rereads: int = 0
    pattern_size: int = 0

    def problem(self, size_bytes: int, count: int) -> str | None:
        """Return why an event is too much for this filter, or None.

        Args:
            size_bytes: Of the event's data.
            count: How many items the macro would walk.
        """
        if count > MAX_ITEMS:
            return f"a list of {count} items: at most {MAX_ITEMS:,} are walked"
        if count * self.rereads * size_bytes > MAX_WORK:
            return "the list is too long and the data too large for this filter"
        if self.pattern_size * size_bytes > MAX_PATTERN_WORK:
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
    # Without the data, patterns run over attributes, which are short.
    size = _pattern_size(found) * bool(_reads(found))
    if not macros:
        return Bounds(pattern_size=size)
    return _macro_bounds(found, macros[0], size)


def _macro_bounds(found: Sequence[Token], at: int, pattern_size: int) -> Bounds:
    body = found[at + 1 : tokens.closing(found, at + 1)]
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
    items = "".join(token.text for token in found[receiver.start() : at - 1])
    variable = body[1].text if len(body) > 1 else ""
    return Bounds(variable, items, _reads(body), pattern_size)


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


def _reads(found: Sequence[Token]) -> int:
    """Return how often these tokens name the event's data."""
    return sum(
        token.kind == NAME
        and token.text == "data"
        and (at == 0 or found[at - 1].kind != ".")
        for at, token in enumerate(found)
    )


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
