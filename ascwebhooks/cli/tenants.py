"""``ascwebhooks tenants``: the gateway's customers."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import json_option
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import ROLES
from ascwebhooks.services.portals import LIFE, LONGEST_LIFE

_COLUMNS = ("id", "name", "home_region", "allowed_regions", "created_at")


@click.group()
def tenants() -> None:
    """List, create, show, update and delete tenants; open their pages to others."""


@tenants.command("list")
@page_options(None)
@pass_tools
def list_(tools: Tools, *, page: Page) -> None:
    """List tenants in the order of their ids."""
    page.show(tools.services.tenants.page, row=rows.tenant, columns=_COLUMNS)


@tenants.command()
@click.argument("tenant_id")
@click.option("--name", help="For people; default: the id.")
@click.option("--home-region", help="Where its endpoints are served; default REGION.")
@click.option(
    "--allowed-region",
    "allowed_regions",
    multiple=True,
    help="Where they may be served; may be given several times.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse events that are not as the catalogue (event-types) says.",
)
@json_option
@pass_tools
def create(
    tools: Tools,
    *,
    tenant_id: str,
    name: str | None,
    home_region: str | None,
    allowed_regions: tuple[str, ...],
    strict: bool,
    json_wanted: bool,
) -> None:
    """Create a tenant; its events carry TENANT_ID as tenantid."""
    row = tools.services.tenants.create(
        tenant_id,
        name=name,
        home_region=home_region or tools.settings.region,
        allowed_regions=allowed_regions or None,
        strict=strict,
    )
    output.details(rows.tenant(row), json_wanted=json_wanted)


@tenants.command()
@click.argument("tenant_id")
@json_option
@pass_tools
def show(tools: Tools, *, tenant_id: str, json_wanted: bool) -> None:
    """Show a tenant."""
    row = tools.services.tenants.get(tenant_id)
    output.details(rows.tenant(row), json_wanted=json_wanted)


@tenants.command()
@click.argument("tenant_id")
@click.option("--name", help="For people.")
@click.option("--home-region", help="Where its endpoints are served by default.")
@click.option(
    "--allowed-region",
    "allowed_regions",
    multiple=True,
    help="All of them, each by an option; they replace those there are.",
)
@click.option(
    "--strict/--not-strict",
    default=None,
    help="Whether to refuse events that are not as the catalogue says.",
)
@json_option
@pass_tools
def update(tools: Tools, /, *, tenant_id: str, json_wanted: bool, **given: Any) -> None:
    """Change a tenant: what is not given stays as it is."""
    changes = {
        name: value for name, value in given.items() if value not in (None, "", ())
    }
    if not changes:
        raise click.UsageError("nothing to change: see --help.")
    if "allowed_regions" in changes:
        changes["allowed_regions"] = list(changes["allowed_regions"])
    row = tools.services.tenants.change(tenant_id, changes)
    output.details(rows.tenant(row), json_wanted=json_wanted)


@tenants.command("portal-link")
@click.argument("tenant_id")
@click.option(
    "--role",
    type=click.Choice([each.value for each in ROLES]),
    default=Role.VIEWER.value,
    show_default=True,
)
@click.option(
    "--expires-in",
    type=click.IntRange(1, int(LONGEST_LIFE.total_seconds())),
    default=int(LIFE.total_seconds()),
    show_default=True,
    metavar="SECONDS",
    help="Until when it can be opened.",
)
@pass_tools
def portal_link(tools: Tools, *, tenant_id: str, role: str, expires_in: int) -> None:
    """Print a link, alone, that opens the tenant's pages once."""
    row, token = tools.services.portals.create_link(
        tenant_id, role=Role(role), expires_in=timedelta(seconds=expires_in)
    )
    base = tools.settings.public_url or f"http://{tools.settings.bind}"
    until = row.expires_at.astimezone(UTC)
    click.echo(f"As {role}; it opens once, until {until:%H:%M:%S} UTC.", err=True)
    click.echo(f"{base}/portal/{token}")


@tenants.command()
@click.argument("tenant_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_tools
def delete(tools: Tools, *, tenant_id: str, yes: bool) -> None:
    """Delete a tenant; what is pending at its endpoints is dead-lettered."""
    if not yes:
        click.confirm(f"Delete {tenant_id} and its endpoints?", abort=True, err=True)
    tools.services.tenants.delete(tenant_id)
    click.echo(f"Deleted {tenant_id}.")
