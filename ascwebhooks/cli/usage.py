"""``ascwebhooks usage``: what was used, step by step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import Moment, json_option, tenant_option
from ascwebhooks.domain.rules import USAGE_GROUPS

_COLUMNS = ("at", "requests", "errors", "denials", "fallbacks", "spend", "alerts")
_GROUPED = ("at", "group", "requests", "errors", "denials", "fallbacks", "spend")
_HOUR = timedelta(hours=1)


@click.command()
@tenant_option
@click.option("--from", "since", type=Moment(), help="By default an hour ago.")
@click.option("--to", "until", type=Moment(), help="By default now.")
@click.option(
    "--step",
    "step_s",
    type=click.IntRange(60),
    default=300,
    show_default=True,
    help="Seconds: whole minutes.",
)
@click.option("--group-by", multiple=True, type=click.Choice(USAGE_GROUPS))
@json_option
@pass_tools
def usage(
    tools: Tools,
    *,
    tenant: str,
    since: datetime | None,
    until: datetime | None,
    step_s: int,
    group_by: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """Show what a tenant used, with alerts and deliveries."""
    ends = until or datetime.now(UTC)
    found = tools.services.usage.timeline(
        tenant,
        since=since or ends - _HOUR,
        until=ends,
        step_s=step_s,
        group_by=group_by,
    )
    shown = [rows.usage(each) for each in found.points]
    if json_wanted:
        output.as_json({"items": shown})
        return
    columns = _GROUPED if group_by else _COLUMNS
    output.console().print(output.table(shown, columns))
