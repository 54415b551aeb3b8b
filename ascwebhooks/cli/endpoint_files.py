"""Files of endpoints: JSON, JSON Lines and CSV, each row with its line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ascwebhooks.errors import InvalidInput

_LISTS = {"event_types", "retry_schedule_s"}
_NUMBERS = {"timeout_s", "max_in_flight", "rate_limit_per_s", "retry_schedule_s"}
_BLANK = re.compile(r"[\s,]*")
_BETWEEN = re.compile(r"[\s,;]+")
_WRAPPED = re.compile(r'\s*\{\s*"endpoints"\s*:\s*(?=\[)')


class Row(NamedTuple):
    """A row and the line that it begins in, from 1."""

    line: int
    value: Any


def read(name: str, data: bytes) -> list[Row]:
    """Return the rows of a file.

    What it is shows by its name, or else by how it begins: ``[`` or an object with
    ``endpoints`` alone is JSON, any other ``{`` is JSON Lines, the rest is CSV.

    Raises:
        InvalidInput: If it is none of these; the message names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}, line {line}: this is not UTF-8.") from error
    try:
        return list(_reader(name, text)(text))
    except _Fault as fault:
        raise InvalidInput(f"{name}, line {fault.line}: {fault}.") from fault


class _Fault(Exception):
    def __init__(self, line: int, said: str) -> None:
        super().__init__(said)
        self.line = line


def _reader(name: str, text: str) -> Callable[[str], Iterator[Row]]:
    if name.lower().endswith(".csv"):
        return _csv
    if text.lstrip().startswith("[") or _WRAPPED.match(text):
        return _json
    return _json_lines if text.lstrip().startswith("{") else _csv


def _json(text: str) -> Iterator[Row]:
    wrapped = _WRAPPED.match(text)
    at = text.index("[", wrapped.end() if wrapped else 0) + 1
    decoder = json.JSONDecoder()
    # The whole first: what follows finds where each item begins, no more.
    try:
        json.loads(text)
    except ValueError as error:
        raise _fault(error, 1) from error
    while text[at := _end(_BLANK, text, at)] != "]":
        value, end = decoder.raw_decode(text, at)
        yield Row(text.count("\n", 0, at) + 1, value)
        at = end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield Row(number, json.loads(line))
        except ValueError as error:
            raise _fault(error, number) from error


def _fault(error: ValueError, line: int) -> _Fault:
    at = line + getattr(error, "lineno", 1) - 1
    return _Fault(at, f"this is not JSON: {getattr(error, 'msg', error)}")


def _csv(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [each.strip() for each in next(reader, [])]
        if "url" not in names:
            raise _Fault(1, "no column 'url'; the first line names the columns")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(names):
                raise _Fault(line, f"{len(cells)} cells for {len(names)} columns")
            if any(each.strip() for each in cells):
                given = zip(names, cells, strict=False)
                yield Row(
                    line, {name: _cell(name, each) for name, each in given if each}
                )
            line = reader.line_num + 1
    except csv.Error as error:
        raise _Fault(reader.line_num, f"this is not CSV: {error}") from error


def _cell(name: str, text: str) -> Any:
    """Return a cell's value; what is none is left as text, for its field to refuse."""
    if name == "headers":
        try:
            return json.loads(text)
        except ValueError:
            return text
    parts = (
        [each for each in _BETWEEN.split(text) if each] if name in _LISTS else [text]
    )
    if name in _NUMBERS:
        parts = [_number(each) for each in parts]
    return parts if name in _LISTS else parts[0]


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text
