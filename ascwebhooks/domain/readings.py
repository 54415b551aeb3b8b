"""What a filter reads of an event's data, and what each reading costs.

The library copies a list, item by item, each time that a filter names it, and compares
value by value; so a reading costs by the number of values in what is read.  A long text
counts as several.  Figures: config/decisions/0007.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec

from ascwebhooks.domain import tokens
from ascwebhooks.domain.tokens import NAME, TEXT, Token

#: So many bytes of text cost as much as another value.
BYTES_A_VALUE = 64
#: The keys from ``data`` to what is read; ``()`` is all of it.
Path = tuple[str, ...]

_STEPS = re.compile(r"(?:\.i(?!\()|\[s\])*")
_PLAIN = re.compile(r"\"([^\"\\]*)\"|'([^'\\]*)'")
_decode = msgspec.json.Decoder().decode


class Data:
    """An event's data with the weights of its parts."""

    def __init__(self, raw: bytes) -> None:
        """Take the data in JSON; it is decoded when it is first asked for."""
        self._raw = raw
        self._weights: dict[Path, int] = {}

    @cached_property
    def value(self) -> Any:
        """The data, decoded.

        Raises:
            ValueError: If it is too large a number, or no JSON.
        """
        return _decode(self._raw)

    @cached_property
    def most(self) -> int:
        """A weight that no part is above, without a look at the values."""
        marks = sum(self._raw.count(each) for each in (b",", b":", b"[", b"{"))
        return marks + 1 + len(self._raw) // BYTES_A_VALUE

    def weight(self, path: Path = ()) -> int:
        """Return what reading a part costs: the number of values in it."""
        found = self._weights.get(path)
        if found is None:
            found = self._weights[path] = _weight(self._at(path))
        return found

    def _at(self, path: Path) -> Any:
        value = self.value
        for key in path:
            if not isinstance(value, dict) or key not in value:
                # A key that a list is asked for fails, after the list was read.
                return value if isinstance(value, list) else None
            value = value[key]
        return value


def _weight(value: Any) -> int:
    total = 0
    left = [value]
    while left:
        each = left.pop()
        total += 1
        if isinstance(each, str):
            size = len(each) if each.isascii() else len(each.encode())
            total += size // BYTES_A_VALUE
        elif isinstance(each, list):
            left.extend(each)
        elif isinstance(each, dict):
            left.extend(each)
            left.extend(each.values())
    return total


def paths(found: Sequence[Token]) -> tuple[Path, ...]:
    """Return the path of each reading of the data in these tokens."""
    kinds = tokens.kinds(found)
    return tuple(
        _path(found[at + 1 : _end(kinds, at + 1)]) for at in mentions(found, "data")
    )


def mentions(found: Sequence[Token], name: str) -> list[int]:
    """Return where these tokens name a variable."""
    return [
        at
        for at, token in enumerate(found)
        if token.kind == NAME
        and token.text == name
        and (at == 0 or found[at - 1].kind != ".")
    ]


def _end(kinds: str, start: int) -> int:
    steps = _STEPS.match(kinds, start)
    return start if steps is None else steps.end()


def _path(steps: Sequence[Token]) -> Path:
    """Return the keys as far as they are plain; what follows is within them."""
    path = []
    for token in steps:
        if token.kind == NAME:
            path.append(token.text)
        elif token.kind == TEXT:
            plain = _PLAIN.fullmatch(token.text)
            if plain is None:
                break
            path.append(plain[1] or plain[2] or "")
    return tuple(path)
