"""``ascwebhooks audit``: who did what, and whether the log is whole."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from ascwebhooks.cli import output
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import (
    json_option,
    limit_option,
    since_option,
    until_option,
)
from ascwebhooks.domain import exports
from ascwebhooks.domain.audit import COLUMNS, shown
from ascwebhooks.domain.exports import Format
from ascwebhooks.errors import AuditBroken

_COLUMNS = ("seq", "at", "actor_name", "action", "resource_id", "tenant_id", "address")


@click.group()
def audit() -> None:
    """List, export and verify the audit log."""


def _filters(command: Any) -> Any:
    for option in (
        until_option,
        since_option,
        click.option("--tenant", metavar="T", help="Of this tenant."),
        click.option("--resource", metavar="ID", help="About this resource."),
        click.option("--action", help="This action, such as endpoint.paused."),
        click.option("--actor", help="By whoever has this id or name."),
    ):
        command = option(command)
    return command


@audit.command("list")
@_filters
@limit_option
@click.option("--cursor", type=int, metavar="SEQ", help="Go on before this entry.")
@json_option
@pass_tools
def list_(
    tools: Tools, /, *, limit: int, cursor: int | None, json_wanted: bool, **given: Any
) -> None:
    """List entries, the newest first."""
    found = tools.services.audit.page(before=cursor, limit=limit + 1, **_read(**given))
    rows = [{"id": each.seq, **shown(each)} for each in found]
    output.page(rows, _COLUMNS, limit=limit, json_wanted=json_wanted)


@audit.command()
@_filters
@click.option(
    "--format",
    "format_",
    type=click.Choice([each.value for each in Format]),
    default=Format.JSONL.value,
)
@pass_tools
def export(tools: Tools, /, *, format_: str, **given: Any) -> None:
    """Print all entries, the newest first, as JSON lines or CSV."""
    found = tools.services.audit.export(**_read(**given))
    for line in exports.lines(map(shown, found), COLUMNS, Format(format_)):
        sys.stdout.write(line)


@audit.command()
@json_option
@pass_tools
def verify(tools: Tools, *, json_wanted: bool) -> None:
    """Follow the chain of hashes; say where it is broken, if it is."""
    with output.progress("entries followed", None, _say) as progress:
        found = tools.services.audit.verify(progress)
    broken = found.broken
    if json_wanted:
        told = None if broken is None else broken._asdict()
        output.as_json(
            {"entries": found.entries, "hash": found.hash.hex(), "broken": told}
        )
    if broken is not None:
        raise AuditBroken(
            f"the audit log is broken at entry {broken.seq}: {broken.why}."
        )
    if not json_wanted:
        click.echo(f"{found.entries} entries, whole. The last hash: {found.hash.hex()}")


def _read(
    *,
    actor: str | None,
    action: str | None,
    resource: str | None,
    tenant: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Any:
    return {
        "actor": actor,
        "action": action,
        "resource": resource,
        "tenant_ids": None if tenant is None else [tenant],
        "since": since,
        "until": until,
    }


def _say(line: str) -> None:
    click.echo(line, err=True)
