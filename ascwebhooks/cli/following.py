"""Following a replay on the command line, from its creation to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.replays import ReplayState
from ascwebhooks.services.replay_counts import Counted
from ascwebhooks.services.replays import Progress

_LOOK_EVERY_S = 0.5


def run(
    tools: Tools,
    tenant: str,
    what: dict[str, Any],
    *,
    rate_per_s: int | None,
    dry_run: bool,
    json_wanted: bool,
    wait: bool = True,
) -> None:
    """Create a replay and follow it, or count what it would be about.

    Args:
        tools: Whose services are called.
        tenant: Whose deliveries.
        what: ``deliveries`` or ``filter``, as ``Replays.create`` takes them.
        rate_per_s: How many fall due in a second, at most.
        dry_run: Whether it is only counted.
        json_wanted: Whether the end is printed as JSON, and nothing before it.
        wait: Whether it is followed.
    """
    replays = tools.services.replays
    if dry_run:
        output.details(
            _counted(replays.preview(tenant, **what)), json_wanted=json_wanted
        )
        return
    made = replays.create(tenant, rate_per_s=rate_per_s, created_by="cli", **what)
    assert made.counted is not None
    if not json_wanted:
        for note in made.counted.notes:
            click.echo(note, err=True)
    found = follow(tools, made, quiet=json_wanted) if wait else made
    # What has been found since it was counted takes precedence.
    row = {**_counted(made.counted), **with_outcome(found)}
    output.details(row, json_wanted=json_wanted)


def row_of(progress: Progress) -> rows.Row:
    """Return a replay, by the names that the HTTP API gives it."""
    row, plan = progress.replay, progress.plan
    wanted = None if plan.filter is None else dict(plan.filter)
    return {
        "id": rows.shown(Kind.REPLAY, row.id),
        "tenant_id": row.tenant_id,
        "state": str(row.state),
        "filter": wanted and {name: _text(each) for name, each in wanted.items()},
        "rate_per_s": row.rate_per_s,
        "cutoff": rows.moment(row.cutoff),
        "total": row.total,
        "total_is_exact": plan.total_is_exact,
        "reopened": row.reopened,
        "skipped": row.skipped,
        "created_by": row.created_by,
        "created_at": rows.moment(row.created_at),
        "finished_at": rows.moment(row.finished_at),
    }


def _text(value: object) -> str:
    if isinstance(value, UUID):
        return rows.shown(Kind.ENDPOINT, value)
    return (rows.moment(value) or "") if isinstance(value, datetime) else str(value)


def with_outcome(progress: Progress) -> rows.Row:
    """Return a replay with what became of what it reopened."""
    outcome = progress.outcome
    return {**row_of(progress), "outcome": None if outcome is None else dict(outcome)}


def _counted(counted: Counted) -> rows.Row:
    return {
        "count": counted.count,
        "total": counted.total,
        "total_is_exact": counted.is_exact,
        "notes": list(counted.notes),
    }


def follow(tools: Tools, progress: Progress, *, quiet: bool) -> Progress:
    """Show how far a replay is until it rests; Ctrl-C stops the showing alone."""
    row = progress.replay
    shown = rows.shown(Kind.REPLAY, row.id)
    try:
        if quiet:
            return _until_it_rests(tools, progress, lambda _: None)
        with output.progress("reopened", row.total, click.echo) as tell:
            return _until_it_rests(tools, progress, tell)
    except KeyboardInterrupt:
        click.echo(
            f"It goes on without you: ascwebhooks replay status {shown}"
            f" --tenant {row.tenant_id}",
            err=True,
        )
        raise click.exceptions.Exit(0) from None


def _until_it_rests(
    tools: Tools, progress: Progress, tell: Callable[[int], None]
) -> Progress:
    replays = tools.services.replays
    while progress.replay.state == ReplayState.RUNNING:
        time.sleep(_LOOK_EVERY_S)
        progress = replays.look(progress.replay.tenant_id, progress.replay.id)
        tell(progress.replay.reopened + progress.replay.skipped)
    return replays.get(progress.replay.tenant_id, progress.replay.id)
