"""``ascwebhooks event-types``: the catalogue."""

from __future__ import annotations

import click

from ascwebhooks.cli import output
from ascwebhooks.cli.options import json_option, limit_option
from ascwebhooks.domain import event_types as catalogue
from ascwebhooks.domain.event_types import EventType

_COLUMNS = ("type", "sender", "description")


@click.group("event-types")
def event_types() -> None:
    """List and show the types of events that are known."""


@event_types.command("list")
@click.option("--group", help="What comes before the dot, such as budget.")
@click.option("--cursor", metavar="TYPE", help="Go on after this one.")
@limit_option
@json_option
def list_(
    *, group: str | None, cursor: str | None, limit: int, json_wanted: bool
) -> None:
    """List event types; a tenant may publish others."""
    page = catalogue.page(after=cursor, limit=limit + 1, group=group)
    found = [_row(each) for each in page]
    output.page(found, _COLUMNS, limit=limit, json_wanted=json_wanted, key="type")


@event_types.command()
@click.argument("event_type")
@json_option
def show(*, event_type: str, json_wanted: bool) -> None:
    """Show an event type with the schema of its data and an example."""
    output.details(_row(catalogue.find(event_type)), json_wanted=json_wanted)


def _row(found: EventType) -> output.Row:
    return {
        "type": found.type,
        "group": found.group,
        "sender": found.sender.value,
        "description": found.description,
        "schema": found.schema,
        "example": found.example,
    }
