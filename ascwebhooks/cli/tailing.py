"""Following deliveries on the command line: a live table, or a line for each."""

from __future__ import annotations

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click
from rich.live import Live

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools
from ascwebhooks.domain.deliveries import Status

_LOOK_EVERY_S = 1.0
#: How many that still wait are looked after, and how many are known again.
_WATCHED = 500
_KNOWN = 5_000
_COLUMNS = (
    "id",
    "tenant_id",
    "event_type",
    "status",
    "attempt_count",
    "last_status_code",
    "last_error",
)


def follow(
    tools: Tools, tenant: str | None, *, json_wanted: bool, count: int | None
) -> None:
    """Show deliveries as they come and as they move, until Ctrl-C.

    Args:
        tools: Whose services are called.
        tenant: Whose; None: whosever they are.
        json_wanted: Whether each is a JSON object on a line.
        count: How many changes are shown; None: without end.
    """
    changes = _changes(tools, tenant)
    try:
        if sys.stdout.isatty() and not json_wanted:
            _table(changes, count)
        else:
            _lines(changes, count, json_wanted=json_wanted)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None


def _changes(tools: Tools, tenant: str | None) -> Iterator[list[rows.Row]]:
    """Yield what is new or has moved, time after time, also if it is nothing."""
    known: OrderedDict[UUID, tuple[Any, ...]] = OrderedDict()
    than = None
    while True:
        waiting = [each for each, seen in known.items() if seen[0] == Status.PENDING]
        than, found = tools.services.deliveries.news(tenant, than, waiting[-_WATCHED:])
        changed = []
        for each in found:
            seen = (each.status, each.attempt_count, each.next_attempt_at)
            if known.get(each.id) != seen:
                changed.append(rows.delivery(each))
                known[each.id] = seen
        while len(known) > _KNOWN:
            known.popitem(last=False)
        yield changed
        time.sleep(_LOOK_EVERY_S)


def _lines(
    changes: Iterator[list[rows.Row]], count: int | None, *, json_wanted: bool
) -> None:
    left = count
    for changed in changes:
        for row in changed[:left]:
            click.echo(
                json.dumps(row, ensure_ascii=False) if json_wanted else _line(row)
            )
        sys.stdout.flush()
        if left is not None:
            left -= len(changed[:left])
            if not left:
                return


def _line(row: rows.Row) -> str:
    shown = (row[name] for name in _COLUMNS)
    return " ".join("-" if each is None else str(each) for each in shown)


def _table(changes: Iterator[list[rows.Row]], count: int | None) -> None:
    console = output.console()
    shown: OrderedDict[str, rows.Row] = OrderedDict()
    seen = 0
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for changed in changes:
            for row in changed:
                shown[row["id"]] = row
            while len(shown) > max(5, console.height - 3):
                shown.popitem(last=False)
            newest = list(reversed(shown.values()))
            live.update(output.table(newest, _COLUMNS), refresh=True)
            seen += len(changed)
            if count is not None and seen >= count:
                return
