"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
_LINE_EVERY_S = 2.0
#: How wide a table is where there is no terminal to ask.
_FILE_COLUMNS = 160
_SHORT = 100
#: What is of no use when it is cut, since it is there to be copied.
_WHOLE = {"id", "secret"}


def console() -> Console:
    """Return standard output; nothing in what is printed counts as markup."""
    width = None if sys.stdout.isatty() else _FILE_COLUMNS
    return Console(markup=False, highlight=False, emoji=False, width=width)


def as_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def page(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    limit: int,
    json_wanted: bool,
    key: str = "id",
) -> None:
    """Print a page of a list.

    Args:
        rows: One more than ``limit`` if there are more.
        columns: What the table shows; JSON has everything.
        limit: How many were asked for.
        json_wanted: Whether it is printed as ``{"items": […], "next_cursor": …}``.
        key: What the list is in order of.
    """
    shown = rows[:limit]
    cursor = shown[-1][key] if len(rows) > limit else None
    if json_wanted:
        as_json({"items": shown, "next_cursor": cursor})
        return
    console().print(table(shown, columns))
    if cursor is not None:
        click.echo(f"There are more: --cursor {cursor}", err=True)


def table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Return rows as a table; a column's title is its name in JSON."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        made.add_row(*(Text(_cell(row.get(name))) for name in columns))
    return made


def details(row: Row, *, json_wanted: bool) -> None:
    """Print one thing with everything about it."""
    if json_wanted:
        as_json(row)
        return
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in row.items():
        made.add_row(name, Text(_cell(value)))
    console().print(made)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, dict | list | tuple):
        text = json.dumps(value, ensure_ascii=False)
        short = len(text) <= _SHORT
        return text if short else json.dumps(value, ensure_ascii=False, indent=2)
    return str(value)


@contextmanager
def progress(
    what: str,
    total: int | None,
    say: Callable[[str], None],
    *,
    quiet: bool = False,
) -> Iterator[Callable[[int], None]]:
    """Show how far long work is: a bar on a terminal, plain lines elsewhere.

    Args:
        what: The work, such as ``delivered``.
        total: How much there is; None if that is not known.
        say: Prints a line, where there is no terminal.
        quiet: Whether nothing is shown: what follows is for a program.

    Yields:
        What is told how much is done, as often as one likes.
    """
    if quiet:
        yield lambda _: None
        return
    if not sys.stdout.isatty():
        yield _Lines(what, total, say)
        return
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*parts, console=console(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    """Says how far it is every two seconds, and at the end."""

    def __init__(
        self, what: str, total: int | None, say: Callable[[str], None]
    ) -> None:
        self._what = what
        self._total = total
        self._say = say
        self._said = 0
        self._due_at = time.monotonic() + _LINE_EVERY_S

    def __call__(self, done: int) -> None:
        """Take note of how much is done."""
        ended = done == self._total != self._said
        if ended or (done != self._said and time.monotonic() > self._due_at):
            self._due_at = time.monotonic() + _LINE_EVERY_S
            self._said = done
            of = "" if self._total is None else f" of {self._total}"
            self._say(f"{self._what}: {done}{of}")
