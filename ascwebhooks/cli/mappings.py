"""``ascwebhooks mappings``: how other gateways' records become events."""

from __future__ import annotations

from pathlib import Path

import click

from ascwebhooks.cli import output
from ascwebhooks.cli.options import json_option
from ascwebhooks.services import gateways
from ascwebhooks.services.gateways import Tried


@click.group()
def mappings() -> None:
    """Check the files in ``MAPPINGS_DIR``."""


@mappings.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument(
    "example",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@json_option
def check(*, file: Path, example: Path | None, json_wanted: bool) -> None:
    """Check a mapping, and show what it makes of the records in EXAMPLE.

    Nothing is published, and no service need run.
    """
    mapping = gateways.load_file(file)
    tried = [] if example is None else gateways.try_out(mapping, example.read_bytes())
    if json_wanted:
        output.as_json({"name": mapping.name, "records": [t._asdict() for t in tried]})
    else:
        click.echo(
            f"{mapping.name}: in order, with {len(mapping.data)} fields of data."
        )
        for number, each in enumerate(tried):
            _show(number, each)
    if any(each.problem for each in tried):
        raise click.exceptions.Exit(1)


def _show(number: int, tried: Tried) -> None:
    if tried.event is None:
        click.echo(f"record {number}: {tried.problem or 'passed over.'}")
        return
    click.echo(f"record {number}:")
    output.as_json(tried.event)
