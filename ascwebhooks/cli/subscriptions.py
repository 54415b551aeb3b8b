"""``ascwebhooks subscriptions``: which events an endpoint wants."""

from __future__ import annotations

from typing import Any

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    id_of,
    json_option,
    tenant_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.services.previews import MAX_EVENTS

_COLUMNS = ("id", "endpoint_id", "event_types", "filter", "enabled")
_PREVIEW_COLUMNS = ("event_id", "type", "matched", "error")

_filter_option = click.option(
    "--filter", "filter_", metavar="CEL", help="Such as 'data.spend > data.budget'."
)
_types_option = click.option(
    "--event-type",
    "event_types",
    multiple=True,
    help="A type or a pattern such as 'budget.*'; may be given several times.",
)


@click.group()
def subscriptions() -> None:
    """List, create, show, update, delete and preview subscriptions."""


@subscriptions.command("list")
@tenant_option
@click.option("--endpoint", "endpoint_id", metavar="EP", help="Only this endpoint's.")
@click.option("--event-type", help="Only those that take this type.")
@page_options(Kind.SUBSCRIPTION)
@pass_tools
def list_(
    tools: Tools,
    *,
    tenant: str,
    page: Page,
    endpoint_id: str | None,
    event_type: str | None,
) -> None:
    """List a tenant's subscriptions, the newest first."""
    page.show(
        tools.services.subscriptions.page,
        tenant,
        row=rows.subscription,
        columns=_COLUMNS,
        endpoint_id=id_of(Kind.ENDPOINT, endpoint_id),
        event_type=event_type,
    )


@subscriptions.command()
@click.argument("endpoint_id")
@tenant_option
@_types_option
@_filter_option
@click.option("--disabled", is_flag=True, help="It takes nothing until enabled.")
@json_option
@pass_tools
def create(
    tools: Tools,
    *,
    endpoint_id: str,
    tenant: str,
    event_types: tuple[str, ...],
    filter_: str | None,
    disabled: bool,
    json_wanted: bool,
) -> None:
    """Create a subscription of an endpoint."""
    made = tools.services.subscriptions.create(
        tenant,
        endpoint_id=ids.read(Kind.ENDPOINT, endpoint_id),
        event_types=event_types or ("*",),
        filter=filter_,
        enabled=not disabled,
    )
    output.details(rows.subscription(made), json_wanted=json_wanted)


@subscriptions.command()
@click.argument("subscription_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, subscription_id: str, tenant: str, json_wanted: bool) -> None:
    """Show a subscription."""
    found = tools.services.subscriptions.get(tenant, _id(subscription_id))
    output.details(rows.subscription(found), json_wanted=json_wanted)


@subscriptions.command()
@click.argument("subscription_id")
@tenant_option
@_types_option
@_filter_option
@click.option("--no-filter", is_flag=True, help="Take every event of its types.")
@click.option("--enable/--disable", "enabled", default=None)
@json_option
@pass_tools
def update(
    tools: Tools,
    /,
    *,
    subscription_id: str,
    tenant: str,
    json_wanted: bool,
    **given: Any,
) -> None:
    """Change a subscription: what is not given stays as it is."""
    changes = _changes(**given)
    found = tools.services.subscriptions.change(tenant, _id(subscription_id), changes)
    output.details(rows.subscription(found), json_wanted=json_wanted)


@subscriptions.command()
@click.argument("subscription_id")
@tenant_option
@pass_tools
def delete(tools: Tools, *, subscription_id: str, tenant: str) -> None:
    """Delete a subscription; what is pending at its endpoint is still sent."""
    tools.services.subscriptions.delete(tenant, _id(subscription_id))
    click.echo(f"Deleted {subscription_id}.")


@subscriptions.command()
@tenant_option
@_types_option
@_filter_option
@click.option(
    "--limit", type=click.IntRange(1, MAX_EVENTS), default=20, show_default=True
)
@json_option
@pass_tools
def preview(
    tools: Tools,
    *,
    tenant: str,
    event_types: tuple[str, ...],
    filter_: str | None,
    limit: int,
    json_wanted: bool,
) -> None:
    """Say which of the last events a subscription would have taken."""
    found = tools.services.previews.preview(
        tenant, event_types=event_types or ("*",), filter=filter_, limit=limit
    )
    shown = rows.preview(found)
    if json_wanted:
        output.as_json(shown)
        return
    output.console().print(output.table(shown["items"], _PREVIEW_COLUMNS))
    counts = shown["counts"]
    click.echo(f"{counts['matched']} of {counts['events']} matched.", err=True)


def _changes(
    *,
    event_types: tuple[str, ...],
    filter_: str | None,
    no_filter: bool,
    enabled: bool | None,
) -> dict[str, Any]:
    if no_filter and filter_ is not None:
        raise click.UsageError("give --filter or --no-filter.")
    changes: dict[str, Any] = {} if enabled is None else {"enabled": enabled}
    if event_types:
        changes["event_types"] = list(event_types)
    if no_filter or filter_ is not None:
        changes["filter"] = filter_
    if not changes:
        raise click.UsageError("nothing to change: see --help.")
    return changes


def _id(text: str) -> Any:
    return ids.read(Kind.SUBSCRIPTION, text)
