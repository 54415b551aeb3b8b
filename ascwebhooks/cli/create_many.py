"""``ascwebhooks endpoints create-many``: a file of endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import click

from ascwebhooks.cli import endpoint_files, output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import json_option, tenant_option
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.onboarding import Verdict

_COLUMNS = ("line", "status", "id", "secret", "problem")
#: So many are made in one transaction; events of the tenant wait for it.
_BATCH = 100


@click.command("create-many")
@click.argument("file", type=click.File("rb"))
@tenant_option
@click.option("--dry-run", is_flag=True, help="Check every row, and make nothing.")
@click.option(
    "--allow-duplicates",
    is_flag=True,
    help="Make an endpoint also where the tenant has one with the same URL.",
)
@json_option
@pass_tools
def create_many(
    tools: Tools,
    *,
    file: IO[bytes],
    tenant: str,
    dry_run: bool,
    allow_duplicates: bool,
    json_wanted: bool,
) -> int:
    """Create an endpoint for each row of FILE: JSON, JSON Lines or CSV; '-' is stdin.

    A row has the fields of an endpoint by their names in the API. In CSV the first
    line names the columns; event_types and retry_schedule_s are separated by blanks,
    headers is a JSON object. Rows that are not in order keep no other from being
    made: mend them and give the file again. Secrets are shown once. The exit status
    is 1 if any row failed.
    """
    found = endpoint_files.read(file.name, file.read())
    if not found:
        raise InvalidInput(f"{file.name} has no rows.")
    verdicts = _made(tools, tenant, found, dry_run, allow_duplicates, quiet=json_wanted)
    made = [_row(line, each, dry_run) for line, each in verdicts]
    failed = sum(each["status"] == "failed" for each in made)
    if json_wanted:
        done = 0 if dry_run else len(made) - failed
        output.as_json(
            {"dry_run": dry_run, "created": done, "failed": failed, "items": made}
        )
        return 1 if failed else 0
    output.console().print(output.table(made, _COLUMNS))
    well = "are in order" if dry_run else "were created"
    click.echo(f"{len(made) - failed} of {len(made)} {well}.", err=True)
    return 1 if failed else 0


def _made(
    tools: Tools,
    tenant: str,
    found: Sequence[endpoint_files.Row],
    dry_run: bool,
    allow_duplicates: bool,
    *,
    quiet: bool,
) -> Iterator[tuple[int, Verdict]]:
    """Yield each row's line and verdict, a batch at a time."""
    # What a dry run does not make, it can find twice within one call alone.
    size = len(found) if dry_run else _BATCH
    with output.progress("rows", len(found), _say, quiet=quiet) as told:
        for at in range(0, len(found), size):
            batch = found[at : at + size]
            verdicts = tools.services.onboarding.create(
                tenant,
                [each.value for each in batch],
                dry_run=dry_run,
                allow_duplicates=allow_duplicates,
            )
            yield from zip((each.line for each in batch), verdicts, strict=True)
            told(at + len(batch))


def _say(line: str) -> None:
    click.echo(line, err=True)


def _row(line: int, verdict: Verdict, dry_run: bool) -> rows.Row:
    made = verdict.made
    problems = [f"{name}: {' '.join(said)}" for name, said in verdict.errors.items()]
    return {
        "line": line,
        "status": "failed" if problems else "valid" if dry_run else "created",
        "url": verdict.url,
        "id": made and rows.shown(Kind.ENDPOINT, made.described.endpoint.id),
        "secret": made and made.secret,
        "public_key": made and made.described.public_key,
        "warnings": list(verdict.warnings),
        "errors": verdict.errors,
        "problem": "\n".join([*problems, *verdict.warnings]) or None,
    }
