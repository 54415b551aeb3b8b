"""Bytes and texts from outside, as they can be shown and nothing else."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import NamedTuple

from markupsafe import Markup, escape

#: A page is slow to lay out beyond this; the bytes can be had whole.
SHOWN_BYTES = 64 * 1024
#: What would not be seen, or would change how the rest is seen: controls but for line
#: breaks and tabs, bidi and other format characters, U+2028, halves of surrogates,
#: and whatever only an application of its own gives a meaning.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\ue000-\uf8ff\U000e0000-\U000e007f]"
)


class Shown(NamedTuple):
    """Some bytes as a page shows them.

    Args:
        text: As they are.
        pretty: Indented, if they are JSON and not laid out already; else None.
        is_text: Whether they are UTF-8.
        size_bytes: How many there are.
        is_cut: Whether ``text`` is the beginning only.
    """

    text: str
    pretty: str | None
    is_text: bool
    size_bytes: int
    is_cut: bool


def show(data: bytes) -> Shown:
    """Return bytes as text."""
    is_cut = len(data) > SHOWN_BYTES
    shown = data[:SHOWN_BYTES]
    text = shown.decode(errors="replace")
    try:
        data.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    return Shown(text, None if is_cut else _pretty(text), is_text, len(data), is_cut)


def visible(text: object) -> Markup:
    """Return text with what would not be seen spelt out."""
    shown = "" if text is None else str(text)
    parts, at = [], 0
    for found in _UNSEEN.finditer(shown):
        parts += [escape(shown[at : found.start()]), _named(found[0])]
        at = found.end()
    return Markup("").join([*parts, escape(shown[at:])])


def spelled_out(text: object) -> str:
    """Return the same where no element can be: in attributes and options."""
    shown = "" if text is None else str(text)
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", shown)


def _named(character: str) -> Markup:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "a control character")
    return Markup('<span class="unseen" title="{}">{}</span>').format(name, code)


def _pretty(text: str) -> str | None:
    try:
        value = json.loads(text, parse_float=_Number, parse_int=_Number)
        made = _indent(value, "")
    except (ValueError, RecursionError):
        return None
    return None if made == text or not isinstance(value, dict | list) else made


class _Number(str):
    """A number as it was written: 1.0 stays 1.0, and 10**400 too."""

    __slots__ = ()


def _indent(value: object, at: str) -> str:
    if isinstance(value, _Number):
        return str(value)
    deeper = at + "  "
    if isinstance(value, dict) and value:
        rows = [f"{_text(name)}: {_indent(v, deeper)}" for name, v in value.items()]
        return _block("{", rows, "}", at)
    if isinstance(value, list) and value:
        return _block("[", [_indent(each, deeper) for each in value], "]", at)
    return _text(value)


def _block(opening: str, rows: list[str], closing: str, at: str) -> str:
    inside = f",\n{at}  ".join(rows)
    return f"{opening}\n{at}  {inside}\n{at}{closing}"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
