"""``ascwebhooks env``: the settings in force."""

from __future__ import annotations

import shlex

import click

from ascwebhooks import settings
from ascwebhooks.cli import output
from ascwebhooks.cli.context import Tools, pass_tools


@click.command()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
@click.option("--show-secrets", is_flag=True, help="Show passwords and keys, too.")
@pass_tools
def env(tools: Tools, *, json_wanted: bool, show_secrets: bool) -> None:
    """Show the settings in force, the embedded engines' URLs among them."""
    values = settings.dump(tools.settings, show_secrets=show_secrets)
    if json_wanted:
        output.as_json(values)
        return
    for name, value in values.items():
        click.echo(f"{settings.PREFIX}{name}={_for_shell(value)}")


def _for_shell(value: object) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(",".join(value) if isinstance(value, list) else str(value))
