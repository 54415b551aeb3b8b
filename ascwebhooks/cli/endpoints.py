"""``ascwebhooks endpoints``: where a tenant's events go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    json_option,
    tenant_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import MAX_RATE_PER_S, Ordering
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.services.described import WithSecret

_COLUMNS = ("id", "url", "state", "event_types", "description")
_FORMAT = click.Choice([each.value for each in Format])
_ORDERING = click.Choice([each.value for each in Ordering])
_SIGNATURE = click.Choice([each.value for each in Scheme])


@click.group()
def endpoints() -> None:
    """List, create, show, update, delete, pause, resume and test endpoints."""


@endpoints.command("list")
@tenant_option
@page_options(Kind.ENDPOINT)
@pass_tools
def list_(tools: Tools, *, tenant: str, page: Page) -> None:
    """List a tenant's endpoints, the newest first."""
    read = tools.services.endpoints.page
    page.show(read, tenant, row=rows.endpoint, columns=_COLUMNS)


def _headers(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    headers = {}
    for each in values:
        name, colon, value = each.partition(":")
        if not colon:
            raise click.BadParameter(f"{each!r}: give 'name: value'.")
        headers[name.strip()] = value.strip()
    return headers


def _delays(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> list[int] | None:
    if value is None:
        return None
    try:
        return [int(each) for each in value.split(",")]
    except ValueError as error:
        raise click.BadParameter("give seconds, as in 5,300,1800.") from error


@endpoints.command()
@click.argument("url")
@tenant_option
@click.option(
    "--event-type",
    "event_types",
    multiple=True,
    help="A type or a pattern such as 'budget.*'; may be given several times.",
)
@click.option("--filter", metavar="CEL", help="Such as 'data.spend > data.budget'.")
@click.option("--description", help="For people.")
@click.option(
    "--header", "headers", multiple=True, callback=_headers, help="'name: value'."
)
@click.option("--timeout-s", type=click.IntRange(1, 30))
@click.option("--max-in-flight", type=click.IntRange(1, 1000))
@click.option("--rate-limit-per-s", type=click.IntRange(1, MAX_RATE_PER_S))
@click.option("--ordering", type=_ORDERING, help="Default: none.")
@click.option("--retry-schedule-s", callback=_delays, help="As in 5,300,1800.")
@click.option("--region", help="Default: the tenant's home region.")
@click.option("--format", type=_FORMAT, help="Default: standard.")
@click.option("--signature", type=_SIGNATURE, help="Default: v1, HMAC-SHA256.")
@json_option
@pass_tools
def create(
    tools: Tools, /, *, url: str, tenant: str, json_wanted: bool, **given: Any
) -> None:
    """Create an endpoint; its secret is shown once, or its public key with v1a."""
    options = {name: value for name, value in given.items() if value}
    made = tools.services.endpoints.create(tenant, url=url, **options)
    if not given["event_types"]:
        click.echo("No --event-type: it gets nothing but tests.", err=True)
    _with_secret(made, json_wanted=json_wanted)


@endpoints.command()
@click.argument("endpoint_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, endpoint_id: str, tenant: str, json_wanted: bool) -> None:
    """Show an endpoint."""
    found = tools.services.endpoints.get(tenant, ids.read(Kind.ENDPOINT, endpoint_id))
    output.details(rows.endpoint(found), json_wanted=json_wanted)


@endpoints.command()
@click.argument("endpoint_id")
@tenant_option
@pass_tools
def delete(tools: Tools, *, endpoint_id: str, tenant: str) -> None:
    """Delete an endpoint; what is pending there is dead-lettered."""
    tools.services.endpoint_states.delete(tenant, ids.read(Kind.ENDPOINT, endpoint_id))
    click.echo(f"Deleted {endpoint_id}.")


@endpoints.command()
@click.argument("endpoint_id")
@tenant_option
@pass_tools
def pause(tools: Tools, *, endpoint_id: str, tenant: str) -> None:
    """Pause an endpoint: its deliveries wait."""
    tools.services.endpoint_states.pause(tenant, ids.read(Kind.ENDPOINT, endpoint_id))
    click.echo(f"Paused {endpoint_id}.")


@endpoints.command()
@click.argument("endpoint_id")
@tenant_option
@pass_tools
def resume(tools: Tools, *, endpoint_id: str, tenant: str) -> None:
    """Resume a paused endpoint, or enable a disabled one."""
    tools.services.endpoint_states.resume(tenant, ids.read(Kind.ENDPOINT, endpoint_id))
    click.echo(f"Resumed {endpoint_id}.")


@endpoints.command("rotate-secret")
@click.argument("endpoint_id")
@tenant_option
@click.option(
    "--overlap-s",
    type=click.IntRange(0),
    default=86_400,
    show_default=True,
    help="How long the secrets there were sign too.",
)
@click.option("--signature", type=_SIGNATURE, help="v1 or v1a from now on.")
@json_option
@pass_tools
def rotate_secret(
    tools: Tools,
    *,
    endpoint_id: str,
    tenant: str,
    overlap_s: int,
    signature: str | None,
    json_wanted: bool,
) -> None:
    """Give an endpoint a new secret; shown once."""
    made = tools.services.secrets.rotate(
        tenant,
        ids.read(Kind.ENDPOINT, endpoint_id),
        timedelta(seconds=overlap_s),
        signature,
    )
    _with_secret(made, json_wanted=json_wanted)


@endpoints.command()
@click.argument("endpoint_id")
@tenant_option
@json_option
@pass_tools
def test(tools: Tools, *, endpoint_id: str, tenant: str, json_wanted: bool) -> None:
    """Send an endpoint.test event to it, whatever it subscribes to."""
    accepted = tools.services.events.send_test(
        tenant, ids.read(Kind.ENDPOINT, endpoint_id), str(uuid4())
    )
    shown = ids.show(Kind.EVENT, accepted.id)
    if json_wanted:
        output.as_json({"event_id": shown, "deliveries": accepted.deliveries})
        return
    click.echo(f"Accepted {shown}.")
    click.echo(
        f"What became of it: ascwebhooks events show {shown} --tenant {tenant}",
        err=True,
    )


def _with_secret(made: WithSecret, *, json_wanted: bool) -> None:
    row = rows.endpoint(made.described)
    if made.secret is not None:
        row["secret"] = made.secret
    output.details(row, json_wanted=json_wanted)
