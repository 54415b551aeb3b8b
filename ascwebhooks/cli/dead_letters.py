"""``ascwebhooks dead-letters``: what died, of what, and sending it again."""

from __future__ import annotations

from typing import Any

import click

from ascwebhooks.cli import following, output, replays, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    json_option,
    since_option,
    tenant_option,
    until_option,
)
from ascwebhooks.cli.replays import (
    died_since_option,
    dry_run_option,
    endpoint_option,
    error_option,
    rate_option,
    reason_option,
    status_code_option,
    type_option,
)
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.ids import Kind

_GROUP_COLUMNS = (
    "endpoint_id",
    "dead_reason",
    "deliveries",
    "first",
    "last",
    "last_status_code",
    "last_error",
)
_COLUMNS = (
    "id",
    "event_type",
    "dead_reason",
    "attempt_count",
    "last_status_code",
    "last_error",
    "completed_at",
)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay dead letters."""


@dead_letters.command("list")
@tenant_option
@endpoint_option
@type_option
@reason_option
@error_option
@status_code_option
@since_option
@until_option
@died_since_option
@json_option
@pass_tools
def list_(tools: Tools, /, *, tenant: str, json_wanted: bool, **narrow: Any) -> None:
    """List dead letters by endpoint and reason, with when they first and last died."""
    wanted = replays.filters(**narrow)
    groups = tools.services.dead_letters.groups(tenant, **wanted)
    found = [_group(each) for each in groups.items]
    if json_wanted:
        output.as_json({"items": found, "next_cursor": None})
        return
    output.console().print(output.table(found, _GROUP_COLUMNS))
    if not groups.is_exact:
        click.echo("Counting took too long: these are of the last days.", err=True)


@dead_letters.command()
@click.argument("endpoint_id")
@tenant_option
@type_option
@reason_option
@error_option
@status_code_option
@since_option
@until_option
@died_since_option
@page_options(Kind.DELIVERY)
@pass_tools
def show(tools: Tools, /, *, tenant: str, page: Page, **narrow: Any) -> None:
    """Show an endpoint's dead letters, the newest first."""
    page.show(
        tools.services.deliveries.page,
        tenant,
        row=rows.delivery,
        columns=_COLUMNS,
        **replays.filters(status=Status.DEAD_LETTERED, **narrow),
    )


@dead_letters.command("replay")
@tenant_option
@endpoint_option
@type_option
@reason_option
@error_option
@status_code_option
@since_option
@until_option
@died_since_option
@rate_option
@dry_run_option
@json_option
@pass_tools
def replay_(
    tools: Tools,
    /,
    *,
    tenant: str,
    rate_per_s: int | None,
    dry_run: bool,
    json_wanted: bool,
    **narrow: Any,
) -> None:
    """Replay dead letters: all of them, or those that the options describe."""
    what = {"filter": replays.filters(**narrow)}
    following.run(
        tools,
        tenant,
        what,
        rate_per_s=rate_per_s,
        dry_run=dry_run,
        json_wanted=json_wanted,
    )


def _group(group: Any) -> rows.Row:
    return {
        "endpoint_id": rows.shown(Kind.ENDPOINT, group.endpoint_id),
        "dead_reason": group.dead_reason,
        "deliveries": group.deliveries,
        "first": rows.moment(group.first),
        "last": rows.moment(group.last),
        "last_status_code": group.last_status_code,
        "last_error": group.last_error,
    }
