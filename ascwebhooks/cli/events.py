"""``ascwebhooks events``: what was accepted, and what became of it."""

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

_COLUMNS = ("id", "accepted_at", "type", "source", "source_id", "size_bytes")
_WHY_COLUMNS = ("endpoint_id", "outcome", "why", "when")
_DELIVERY_COLUMNS = ("id", "endpoint_id", "status", "attempt_count", "last_error")


@click.group()
def events() -> None:
    """List and show accepted events; say why one was not sent."""


@events.command("list")
@tenant_option
@click.option("--type", help="Of exactly this type.")
@click.option("--source-id", help="With this id, as its source gave it.")
@since_option
@until_option
@page_options(Kind.EVENT)
@pass_tools
def list_(tools: Tools, /, *, tenant: str, page: Page, **filters: Any) -> None:
    """List a tenant's events, the newest first."""
    read = tools.services.events.page
    page.show(read, tenant, row=rows.event, columns=_COLUMNS, **filters)


@events.command()
@click.argument("event_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, event_id: str, tenant: str, json_wanted: bool) -> None:
    """Show an event with its data and its deliveries."""
    found = tools.services.events.get(tenant, ids.read(Kind.EVENT, event_id))
    deliveries = [rows.delivery(each) for each in found.deliveries]
    row = {
        **rows.event(found.event),
        "subject": found.kept and found.kept.subject,
        "traceparent": found.kept and found.kept.traceparent,
        "data": rows.document(found.data),
    }
    if json_wanted:
        output.as_json({**row, "deliveries": deliveries})
        return
    output.details(row, json_wanted=False)
    output.console().print(output.table(deliveries, _DELIVERY_COLUMNS))


@events.command()
@click.argument("event_id")
@tenant_option
@json_option
@pass_tools
def why(tools: Tools, *, event_id: str, tenant: str, json_wanted: bool) -> None:
    """Say what became of an event at each endpoint, and why it was not sent there."""
    wanted = ids.read(Kind.EVENT, event_id)
    found = tools.services.events.get(tenant, wanted, opened=False).explained
    items = [rows.explanation(each) for each in found.items]
    if json_wanted:
        output.as_json({"endpoints": items, "more_endpoints": found.more})
        return
    shown = [{**each, "why": _why(each), "when": _when(each)} for each in items]
    output.console().print(output.table(shown, _WHY_COLUMNS))
    if found.more:
        click.echo("The tenant has more endpoints than these.", err=True)


def _why(item: rows.Row) -> str:
    parts = [item["detail"], item["reason"], item["error"]]
    if item["subscription_id"]:
        changed = " (changed since)" if item["filter_changed"] else ""
        parts.append(f"{item['subscription_id']}: {item['filter']}{changed}")
    return "\n".join(each for each in parts if each)


def _when(item: rows.Row) -> str | None:
    due = item["next_attempt_at"]
    return f"due {due}" if due else item["at"]
