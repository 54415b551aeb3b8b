"""``ascwebhooks endpoints update``: changing an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.endpoints import create
from ascwebhooks.cli.options import json_option, tenant_option
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind

#: A new key makes another signature: that is rotate-secret's.
_OTHERS = {"url", "tenant", "signature", "json_wanted"}
#: An empty text is given: it takes a description away.
_NOT_GIVEN: tuple[object, ...] = (None, (), {})
Command = Callable[..., Any]


def _options_of_create(command: Command) -> Command:
    """Give a command the options that ``create`` has, without their defaults."""
    for each in reversed(create.params):
        if isinstance(each, click.Option) and each.name not in _OTHERS:
            command = _as_option(each)(command)
    return command


def _as_option(option: click.Option) -> Callable[[Command], Command]:
    return click.option(
        *option.opts,
        str(option.name),
        type=option.type,
        multiple=option.multiple,
        callback=option.callback,
        metavar=option.metavar,
        help=None if option.help is None else option.help.split("Default:")[0] or None,
    )


@click.command()
@click.argument("endpoint_id")
@tenant_option
@click.option("--url")
@_options_of_create
@click.option("--no-filter", is_flag=True, help="Take every event of its types.")
@json_option
@pass_tools
def update(
    tools: Tools,
    /,
    *,
    endpoint_id: str,
    tenant: str,
    no_filter: bool,
    json_wanted: bool,
    **given: Any,
) -> None:
    """Change an endpoint: what is not given stays as it is.

    --event-type and --header replace all of them that there are.
    """
    if no_filter and given["filter"] is not None:
        raise click.UsageError("give --filter or --no-filter.")
    changes = {name: value for name, value in given.items() if value not in _NOT_GIVEN}
    if no_filter:
        changes["filter"] = None
    if not changes:
        raise click.UsageError("nothing to change: see --help.")
    found = tools.services.endpoints.change(
        tenant, ids.read(Kind.ENDPOINT, endpoint_id), changes
    )
    output.details(rows.endpoint(found), json_wanted=json_wanted)
