"""``ascwebhooks replay``: sending again what had ended, as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import click

from ascwebhooks.cli import following, output
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    Moment,
    id_of,
    json_option,
    since_option,
    tenant_option,
    until_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, ErrorClass
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.replays import REPLAYABLE, ReplayState
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.replays import Progress

_COLUMNS = ("id", "created_at", "state", "total", "reopened", "skipped", "created_by")

endpoint_option = click.option(
    "--endpoint", "endpoint_id", metavar="ID", help="To this endpoint."
)
type_option = click.option("--type", "event_type", help="Of exactly this type.")
reason_option = click.option(
    "--reason",
    "dead_reason",
    type=click.Choice([each.value for each in DeadReason]),
    help="That died of this.",
)
error_option = click.option(
    "--error",
    type=click.Choice([each.value for each in ErrorClass]),
    help="Whose last attempt failed of this.",
)
status_code_option = click.option(
    "--status-code",
    type=click.IntRange(100, 999),
    help="Whose last attempt was answered this.",
)
died_since_option = click.option(
    "--died-since",
    type=Moment(),
    help="That became dead letters then or later.",
)
rate_option = click.option(
    "--rate",
    "rate_per_s",
    type=click.IntRange(min=1),
    help="How many fall due in a second, at most.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Count, and make nothing."
)
_wait_option = click.option(
    "--wait/--no-wait",
    default=True,
    help="Follow it until all is reopened; Ctrl-C leaves it running.",
)


@click.group("replay")
def replay() -> None:
    """Replay deliveries that had ended; follow and steer replays."""


@replay.command()
@click.argument("delivery_ids", nargs=-1)
@tenant_option
@click.option(
    "--status",
    type=click.Choice([each.value for each in REPLAYABLE]),
    help="Which had ended like this; dead letters if not given.",
)
@endpoint_option
@type_option
@reason_option
@error_option
@status_code_option
@since_option
@until_option
@died_since_option
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@rate_option
@dry_run_option
@_wait_option
@json_option
@pass_tools
def create(
    tools: Tools,
    /,
    *,
    delivery_ids: tuple[str, ...],
    tenant: str,
    everything: bool,
    rate_per_s: int | None,
    dry_run: bool,
    wait: bool,
    json_wanted: bool,
    **narrow: Any,
) -> None:
    """Replay these deliveries, or those that the options describe."""
    wanted = filters(**narrow)
    if sum((bool(delivery_ids), bool(wanted), everything)) != 1:
        raise InvalidInput("give deliveries, or what describes them, or --all.")
    chosen = [ids.read(Kind.DELIVERY, each) for each in delivery_ids] or None
    what = {"deliveries": chosen, "filter": None if chosen else wanted}
    following.run(
        tools,
        tenant,
        what,
        rate_per_s=rate_per_s,
        dry_run=dry_run,
        json_wanted=json_wanted,
        wait=wait,
    )


@replay.command("list")
@tenant_option
@click.option("--state", type=click.Choice([each.value for each in ReplayState]))
@page_options(Kind.REPLAY)
@pass_tools
def list_(tools: Tools, *, tenant: str, page: Page, state: str | None) -> None:
    """List a tenant's replays, the newest first."""
    read = tools.services.replays.page
    page.show(read, tenant, row=following.row_of, columns=_COLUMNS, state=state)


@replay.command()
@click.argument("replay_id")
@tenant_option
@click.option("--follow", is_flag=True, help="Until all is reopened.")
@json_option
@pass_tools
def status(
    tools: Tools, *, replay_id: str, tenant: str, follow: bool, json_wanted: bool
) -> None:
    """Show how far a replay is, and what became of what it reopened."""
    found = tools.services.replays.get(tenant, _id(replay_id))
    if follow:
        found = following.follow(tools, found, quiet=json_wanted)
    output.details(following.with_outcome(found), json_wanted=json_wanted)


@replay.command()
@click.argument("replay_id")
@tenant_option
@json_option
@pass_tools
def pause(tools: Tools, *, replay_id: str, tenant: str, json_wanted: bool) -> None:
    """Reopen no more for now; what was reopened goes out."""
    _steer(tools.services.replays.pause, replay_id, tenant, json_wanted)


@replay.command()
@click.argument("replay_id")
@tenant_option
@json_option
@pass_tools
def resume(tools: Tools, *, replay_id: str, tenant: str, json_wanted: bool) -> None:
    """Go on after a pause, from where it was."""
    _steer(tools.services.replays.resume, replay_id, tenant, json_wanted)


@replay.command()
@click.argument("replay_id")
@tenant_option
@json_option
@pass_tools
def cancel(tools: Tools, *, replay_id: str, tenant: str, json_wanted: bool) -> None:
    """Reopen no more, for good; what was reopened goes out."""
    _steer(tools.services.replays.cancel, replay_id, tenant, json_wanted)


def filters(
    *,
    status: str | None = None,
    endpoint_id: str | None = None,
    event_type: str | None = None,
    dead_reason: str | None = None,
    error: str | None = None,
    status_code: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    died_since: datetime | None = None,
) -> DeliveryFilters:
    """Return what the options narrow deliveries to; empty if none was given."""
    found: dict[str, Any] = {
        "status": status,
        "endpoint_id": id_of(Kind.ENDPOINT, endpoint_id),
        "event_type": event_type,
        "dead_reason": dead_reason,
        "error": error,
        "status_code": status_code,
        "since": since,
        "until": until,
        "died_since": died_since,
    }
    given = {name: value for name, value in found.items() if value is not None}
    return cast(DeliveryFilters, given)


def _id(text: str) -> UUID:
    return ids.read(Kind.REPLAY, text)


def _steer(
    change: Callable[[str, UUID], Progress],
    replay_id: str,
    tenant: str,
    json_wanted: bool,
) -> None:
    found = change(tenant, _id(replay_id))
    output.details(following.with_outcome(found), json_wanted=json_wanted)
