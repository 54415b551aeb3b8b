"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind

MOST_ITEMS = 1000


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment."""
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r}: give a time such as 2026-11-23T08:00:00Z.")
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class Json(click.ParamType[Any]):
    """A JSON value."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the value."""
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"this is not JSON: {error}.")


json_option = click.option(
    "--json", "json_wanted", is_flag=True, help="Print JSON instead of a table."
)
tenant_option = click.option(
    "--tenant", required=True, metavar="T", help="Whose: the tenant's id."
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, MOST_ITEMS),
    default=50,
    show_default=True,
    help="How many at most.",
)
cursor_option = click.option(
    "--cursor", metavar="ID", help="Go on after this one (next_cursor of a page)."
)
since_option = click.option("--since", type=Moment(), help="From this time on.")
until_option = click.option("--until", type=Moment(), help="Before this time.")


def id_of(kind: Kind, text: str | None) -> UUID | None:
    """Return the id in ``text``, if any; see ``domain.ids.read``."""
    return None if text is None else ids.read(kind, text)
