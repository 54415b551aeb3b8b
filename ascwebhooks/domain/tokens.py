"""A filter's text in tokens: the library shows neither its syntax tree nor its macros.

What is no token of CEL's is a sign here; the library refuses such text by itself.

Source:
    The CEL language definition, "Syntax": the grammar's lexis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space> [\t\f\n\r ]+ | //[^\n]* )
    | (?P<text> [bB]? (?:
        [rR] (?: \"{3}(?s:.*?)\"{3} | '{3}(?s:.*?)'{3} | "[^"\n\r]*" | '[^'\n\r]*' )
        | \"{3} (?: \\(?s:.) | [^\\] )*? \"{3} | '{3} (?: \\(?s:.) | [^\\] )*? '{3}
        | " (?: \\. | [^"\\\n\r] )* " | ' (?: \\. | [^'\\\n\r] )* '
    ))
    | (?P<number> 0x[0-9a-fA-F]+[uU]? | [0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?[uU]? )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<sign> (?s:.) )
    """,
    re.VERBOSE,
)
_LITERALS = {"true", "false", "null"}
#: What a token is, in one letter: runs of tokens are then matched by patterns.
NAME, TEXT, NUMBER, IN = "i", "s", "n", "o"
_KINDS = {"text": TEXT, "number": NUMBER, "name": NAME}


class Token(NamedTuple):
    """A token, its kind (a sign is its own) and where it begins, from 0."""

    kind: str
    text: str
    offset: int


def split(text: str) -> list[Token]:
    """Return the tokens of a filter, without space and comments."""
    return [
        Token(_kind(str(each.lastgroup), each[0]), each[0], each.start())
        for each in _TOKEN.finditer(text)
        if each.lastgroup != "space"
    ]


def _kind(group: str, text: str) -> str:
    if group == "name" and text in _LITERALS:
        return NUMBER
    if group == "name" and text == "in":
        return IN
    return _KINDS.get(group, text)


def kinds(tokens: Sequence[Token]) -> str:
    """Return the kinds of tokens, a letter each."""
    return "".join(token.kind for token in tokens)


def closing(tokens: Sequence[Token], opening: int) -> int:
    """Return the index of the bracket that closes the one at ``opening``."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += tokens[at].kind in "([{"
        depth -= tokens[at].kind in ")]}"
        if depth == 0:
            return at
    return len(tokens)


def place(text: str, offset: int) -> tuple[int, int]:
    """Return the line and the column, both from 1, of an offset."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)
