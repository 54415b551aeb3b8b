"""Commands that are processes: worker, beat, web, migrate."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from ascwebhooks.cli.context import Tools, pass_tools, quiet
from ascwebhooks.services.duties import Duties


@click.command()
@click.option("--ingest", is_flag=True, help="Read the stream and accept events.")
@click.option("--deliver", is_flag=True, help="Send deliveries.")
@click.option("--slow", is_flag=True, help="With --deliver: serve the slow endpoints.")
@click.option("--maintenance", is_flag=True, help="Do what beat asks for.")
@click.option("--region", help="With --deliver: whose endpoints; default REGION.")
@click.option("--threads", type=click.IntRange(1, 64), help="Default DELIVER_THREADS.")
@click.option("--name", help="This worker's name; unique, made up if not given.")
@pass_tools
def worker(
    tools: Tools,
    *,
    ingest: bool,
    deliver: bool,
    slow: bool,
    maintenance: bool,
    region: str | None,
    threads: int | None,
    name: str | None,
) -> None:
    """Run a worker; each duty scales by starting another one."""
    if not (ingest or deliver or maintenance):
        raise click.UsageError("name a duty: --ingest, --deliver or --maintenance.")
    if slow and not deliver:
        raise click.UsageError("--slow goes with --deliver.")
    settings = tools.settings
    if threads is not None:
        settings = replace(settings, deliver_threads=threads)
    duties = Duties(
        ingest=ingest,
        deliver=deliver,
        slow=slow,
        maintenance=maintenance,
        region=region or settings.region,
        threads=settings.deliver_threads,
    )
    sys.exit(tools.run_worker(settings, duties, name))


@click.command()
@pass_tools
def beat(tools: Tools) -> None:
    """Run the clock: it asks for rings, sweeps and maintenance; two do no harm."""
    tools.run_beat(tools.settings)


@click.command()
@pass_tools
def web(tools: Tools) -> None:
    """Run the web server on BIND."""
    tools.run_web(tools.settings)


@click.command()
@pass_tools
def migrate(tools: Tools) -> None:
    """Bring the database to this version's schema and make partitions."""
    quiet(tools.settings)
    click.echo(f"The database is at revision {tools.migrate(tools.settings)}.")
