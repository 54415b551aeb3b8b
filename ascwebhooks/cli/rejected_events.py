"""``ascwebhooks rejected-events``: what was not accepted, and why."""

from __future__ import annotations

import sys
from typing import IO

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import json_option
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.services.intakes import Accepted

_COLUMNS = ("id", "rejected_at", "tenant_id", "claimed_tenant", "code", "detail")
_tenant_option = click.option(
    "--tenant", metavar="T", help="This tenant's; else all, also those of no tenant."
)


@click.group("rejected-events")
def rejected_events() -> None:
    """List, show, resubmit and delete rejected events."""


@rejected_events.command("list")
@_tenant_option
@page_options(Kind.REJECTED_EVENT)
@pass_tools
def list_(tools: Tools, *, tenant: str | None, page: Page) -> None:
    """List rejected events, the newest first."""
    read = tools.services.rejected_events.page
    page.show(read, tenant, row=rows.rejected_event, columns=_COLUMNS)


@rejected_events.command()
@click.argument("rejected_id")
@_tenant_option
@json_option
@pass_tools
def show(
    tools: Tools, *, rejected_id: str, tenant: str | None, json_wanted: bool
) -> None:
    """Show a rejected event with the bytes that came, as text."""
    found = tools.services.rejected_events.get(
        tenant, ids.read(Kind.REJECTED_EVENT, rejected_id)
    )
    row = {**rows.rejected_event(found.rejected), "raw": rows.readable(found.raw)}
    output.details(row, json_wanted=json_wanted)


@rejected_events.command()
@click.argument("rejected_id")
@_tenant_option
@click.option(
    "--event",
    "event_file",
    type=click.File("rb"),
    help="The event as it should be, CloudEvents JSON; '-': standard input.",
)
@json_option
@pass_tools
def resubmit(
    tools: Tools,
    *,
    rejected_id: str,
    tenant: str | None,
    event_file: IO[bytes] | None,
    json_wanted: bool,
) -> None:
    """Accept a rejected event after all, as it came or edited."""
    verdict = tools.services.rejected_events.resubmit(
        tenant,
        ids.read(Kind.REJECTED_EVENT, rejected_id),
        None if event_file is None else event_file.read(),
    )
    accepted = isinstance(verdict, Accepted)
    row = {"accepted": accepted, **rows.verdict(verdict)}
    output.details(row, json_wanted=json_wanted)
    if not accepted:
        sys.exit(1)


@rejected_events.command()
@click.argument("rejected_id")
@_tenant_option
@pass_tools
def delete(tools: Tools, *, rejected_id: str, tenant: str | None) -> None:
    """Delete a rejected event."""
    tools.services.rejected_events.delete(
        tenant, ids.read(Kind.REJECTED_EVENT, rejected_id)
    )
    click.echo(f"Deleted {rejected_id}.")
