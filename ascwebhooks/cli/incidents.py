"""``ascwebhooks incidents``: what rules found."""

from __future__ import annotations

from typing import Any

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    json_option,
    since_option,
    tenant_option,
    until_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.rules import RuleKind

_COLUMNS = ("id", "kind", "severity", "state", "subject", "opened_at", "resolved_at")
_EVENT_COLUMNS = ("id", "type", "time")


@click.group()
def incidents() -> None:
    """List and show incidents."""


@incidents.command("list")
@tenant_option
@click.option("--state", type=click.Choice(["open", "resolved"]))
@click.option("--kind", type=click.Choice([*map(str, RuleKind)]))
@since_option
@until_option
@page_options(Kind.INCIDENT)
@pass_tools
def list_(tools: Tools, /, *, tenant: str, page: Page, **filters: Any) -> None:
    """List a tenant's incidents, the newest first."""
    read = tools.services.incidents.page
    page.show(read, tenant, row=rows.incident, columns=_COLUMNS, **filters)


@incidents.command()
@click.argument("incident_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, incident_id: str, tenant: str, json_wanted: bool) -> None:
    """Show an incident with the events that told of it."""
    wanted = ids.read(Kind.INCIDENT, incident_id)
    found = tools.services.incidents.get(tenant, wanted)
    shown, told = rows.incident(found.incident), [rows.event(e) for e in found.events]
    if json_wanted:
        output.as_json({**shown, "events": told})
        return
    output.details(shown, json_wanted=False)
    output.console().print(output.table(told, _EVENT_COLUMNS))
