"""``ascwebhooks deliveries``: each event's way to each endpoint."""

from __future__ import annotations

from typing import Any

import click

from ascwebhooks.cli import output, rows, tailing
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    id_of,
    json_option,
    since_option,
    tenant_option,
    until_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass, Status
from ascwebhooks.domain.ids import Kind

_COLUMNS = (
    "id",
    "event_type",
    "status",
    "attempt_count",
    "last_status_code",
    "last_error",
    "next_attempt_at",
)
_ATTEMPT_COLUMNS = ("started_at", "status_code", "error", "total_ms", "address")


@click.group()
def deliveries() -> None:
    """List, show, follow, retry and cancel deliveries."""


@deliveries.command("list")
@tenant_option
@click.option("--status", type=click.Choice([each.value for each in Status]))
@click.option("--endpoint", "endpoint_id", metavar="ID", help="To this endpoint.")
@click.option("--event-type", help="Of exactly this type.")
@click.option(
    "--error",
    type=click.Choice([each.value for each in ErrorClass]),
    help="Whose last attempt failed like this.",
)
@click.option("--status-code", type=int, help="Whose last answer was this.")
@click.option(
    "--reason",
    "dead_reason",
    type=click.Choice([each.value for each in DeadReason]),
    help="That died of this.",
)
@click.option("--replay", "replay_id", metavar="ID", help="Reopened by this replay.")
@since_option
@until_option
@page_options(Kind.DELIVERY)
@pass_tools
def list_(
    tools: Tools,
    /,
    *,
    tenant: str,
    page: Page,
    status: str | None,
    endpoint_id: str | None,
    replay_id: str | None,
    **filters: Any,
) -> None:
    """List a tenant's deliveries, the newest first."""
    page.show(
        tools.services.deliveries.page,
        tenant,
        row=rows.delivery,
        columns=_COLUMNS,
        status=None if status is None else Status(status),
        endpoint_id=id_of(Kind.ENDPOINT, endpoint_id),
        replay_id=id_of(Kind.REPLAY, replay_id),
        **filters,
    )


@deliveries.command()
@click.argument("delivery_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, delivery_id: str, tenant: str, json_wanted: bool) -> None:
    """Show a delivery with its attempts and the body that each of them sent."""
    found = tools.services.deliveries.get(tenant, ids.read(Kind.DELIVERY, delivery_id))
    attempts = [rows.attempt(each) for each in found.attempts]
    row = {**rows.delivery(found.delivery), "body": rows.readable(found.body)}
    if json_wanted:
        output.as_json({**row, "attempts": attempts})
        return
    output.details(row, json_wanted=False)
    flat = [{**each, "total_ms": each["timings_ms"]["total"]} for each in attempts]
    output.console().print(output.table(flat, _ATTEMPT_COLUMNS))


@deliveries.command()
@click.argument("delivery_id")
@tenant_option
@json_option
@pass_tools
def retry(tools: Tools, *, delivery_id: str, tenant: str, json_wanted: bool) -> None:
    """Make a delivery due now: a pending one as it is, any other anew."""
    row = tools.services.deliveries.retry(tenant, ids.read(Kind.DELIVERY, delivery_id))
    output.details(rows.delivery(row), json_wanted=json_wanted)


@deliveries.command()
@click.argument("delivery_id")
@tenant_option
@json_option
@pass_tools
def cancel(tools: Tools, *, delivery_id: str, tenant: str, json_wanted: bool) -> None:
    """Cancel a pending delivery: it is not tried again."""
    row = tools.services.deliveries.cancel(tenant, ids.read(Kind.DELIVERY, delivery_id))
    output.details(rows.delivery(row), json_wanted=json_wanted)


@deliveries.command()
@click.option("--tenant", metavar="T", help="Whose; without it, all tenants'.")
@click.option("--json", "json_wanted", is_flag=True, help="A JSON object on each line.")
@click.option(
    "--count", type=click.IntRange(1), help="End after so many; by default, never."
)
@pass_tools
def tail(
    tools: Tools, *, tenant: str | None, json_wanted: bool, count: int | None
) -> None:
    """Show deliveries as they come and as they move on, until Ctrl-C."""
    tailing.follow(tools, tenant, json_wanted=json_wanted, count=count)
