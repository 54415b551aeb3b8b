"""``ascwebhooks verify``: check a delivery's signature by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import IO

import click

from ascwebhooks.domain import signing
from ascwebhooks.domain.signing import SignatureInvalid


@click.command()
@click.option("--secret", required=True, help="whsec_… or whpk_….")
@click.option("-H", "--header", "headers", multiple=True, help="'name: value'.")
@click.option(
    "--headers-file",
    type=click.File("r", encoding="latin-1"),
    help="Lines 'name: value'; other lines are passed over.",
)
@click.option(
    "--body-file", type=click.File("rb"), required=True, help="'-': standard input."
)
@click.option(
    "--tolerance-s",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    help="How old it may be.",
)
def verify(
    *,
    secret: str,
    headers: tuple[str, ...],
    headers_file: IO[str] | None,
    body_file: IO[bytes],
    tolerance_s: int,
) -> None:
    """Say whether a delivery was signed with the secret or key, and why not."""
    if not headers and headers_file is None:
        raise click.UsageError("give the headers: -H or --headers-file.")
    given = _headers([*(headers_file or ()), *headers])
    body = body_file.read()
    problem = _problem(secret, given, body, tolerance_s)
    if problem is None:
        click.echo("verified")
        return
    click.echo(f"not verified: {problem}")
    if body.endswith(b"\n") and not _problem(
        secret, given, body.rstrip(b"\r\n"), tolerance_s
    ):
        click.echo("It is right without the line break at the end: that was added.")
    sys.exit(1)


def _headers(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _problem(
    secret: str, headers: dict[str, str], body: bytes, tolerance_s: int
) -> str | None:
    tolerance = timedelta(seconds=tolerance_s)
    try:
        signing.verify(secret, headers, body, datetime.now(UTC), tolerance)
    except SignatureInvalid as error:
        return str(error)
    return None
