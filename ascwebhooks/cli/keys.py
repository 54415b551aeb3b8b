"""``ascwebhooks keys``: API keys."""

from __future__ import annotations

from datetime import timedelta

import click

from ascwebhooks.cli import rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role

_COLUMNS = ("id", "role", "tenant_id", "name", "shown", "expires_at", "revoked_at")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option("--role", type=click.Choice([each.value for each in Role]), required=True)
@click.option("--tenant", metavar="T", help="For this tenant alone; else for all.")
@click.option("--name", default="", help="For people.")
@click.option(
    "--expires-in-s", type=click.IntRange(1), help="When it ends; default never."
)
@pass_tools
def create(
    tools: Tools, *, role: str, tenant: str | None, name: str, expires_in_s: int | None
) -> None:
    """Create a key and print it, alone; it is not shown again."""
    expires_in = None if expires_in_s is None else timedelta(seconds=expires_in_s)
    row, secret = tools.services.keys.create(
        Role(role), tenant_id=tenant, name=name, expires_in=expires_in
    )
    click.echo(f"Created {rows.shown(Kind.API_KEY, row.id)}; shown once:", err=True)
    click.echo(secret)


@keys.command("list")
@click.option("--tenant", metavar="T", help="This tenant's; else all.")
@page_options(Kind.API_KEY)
@pass_tools
def list_(tools: Tools, *, tenant: str | None, page: Page) -> None:
    """List keys, the newest first."""
    page.show(tools.services.keys.page, tenant, row=rows.key, columns=_COLUMNS)


@keys.command()
@click.argument("key_id")
@pass_tools
def revoke(tools: Tools, *, key_id: str) -> None:
    """End a key, at once."""
    tools.services.keys.revoke(ids.read(Kind.API_KEY, key_id))
    click.echo(f"Revoked {key_id}.")
