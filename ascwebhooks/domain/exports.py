"""Rows for other programs: JSON lines, and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

# What spreadsheets take for the beginning of a formula, and what makes a new cell.
_FORMULA = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20")
_NEW_CELL = ("\t", "\r", "\n")
# What cannot be seen and has none of the categories that say so.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


class Format(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES = {Format.JSONL: "application/x-ndjson", Format.CSV: "text/csv"}


def lines(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], format: Format
) -> Iterator[str]:
    """Return rows as lines, each with its end; for CSV the names come first.

    Args:
        rows: Values that JSON has, by name.
        columns: The names of a CSV's columns, in order; JSON has all there is.
        format: Which.
    """
    if format is Format.JSONL:
        for row in rows:
            yield json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        return
    yield _csv(columns)
    for row in rows:
        yield _csv([_cell(row.get(name)) for name in columns])


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    """Return a value as a cell; what a spreadsheet would compute begins with ``'``.

    Source:
        OWASP, "CSV Injection".
    """
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = str(value)
    is_run = text.lstrip(" ").startswith(_NEW_CELL) or _seen(text).startswith(_FORMULA)
    return "'" + text if is_run else text


def _seen(text: str) -> str:
    """Return a text without what a spreadsheet may drop at its beginning.

    That is spaces of all kinds, control and format characters, and marks that have
    nothing to stand on.
    """
    for at, each in enumerate(text):
        if each not in _BLANK and unicodedata.category(each)[0] not in "ZCM":
            return text[at:]
    return ""
