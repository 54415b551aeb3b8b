"""``ascwebhooks send``: put events onto the stream, as a gateway does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any
from uuid import uuid4

import click

from ascwebhooks.cli import output
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import Json
from ascwebhooks.client import Publisher, PublisherFull
from ascwebhooks.errors import InvalidInput, Unavailable

Event = dict[str, Any]
_BATCH = 500
_FLUSH_S = 5.0


@click.command()
@click.argument("type_", metavar="TYPE", required=False)
@click.option("--tenant", metavar="T", help="Whose event it is.")
@click.option("--data", type=Json(), help="Any JSON value; default null.")
@click.option(
    "--file",
    type=click.File("rb"),
    help="Whole CloudEvents, one JSON object a line; '-' is standard input. "
    "What is given beside it fills in what a line lacks.",
)
@click.option("--source", help="Default /ascwebhooks/cli.")
@click.option("--id", "id_", help="Default: made up.")
@click.option("--subject")
@pass_tools
def send(
    tools: Tools,
    *,
    type_: str | None,
    tenant: str | None,
    data: Any,
    file: IO[bytes] | None,
    source: str | None,
    id_: str | None,
    subject: str | None,
) -> None:
    """Put an event of TYPE, or a file of them, onto the stream.

    Whether it is accepted shows a moment later: in 'events list', or with the
    reason in 'rejected-events list'.
    """
    given = {"type": type_, "tenantid": tenant, "source": source, "subject": subject}
    given = {name: value for name, value in given.items() if value is not None}
    if file is not None:
        if data is not None or id_ is not None:
            raise click.UsageError("--data and --id do not go with --file.")
        _send(tools, _lines(file, given), None)
        return
    if type_ is None or tenant is None:
        raise click.UsageError("give TYPE and --tenant, or --file.")
    event = {"id": id_ or str(uuid4()), "source": "/ascwebhooks/cli", **given}
    _send(tools, iter([{**event, "data": data}]), event["id"])


def _lines(file: Iterable[bytes], given: Event) -> Iterator[Event | bytes]:
    """Yield each line's event, byte for byte unless something is filled in."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"line {number} is not JSON: {error}") from error
        if not isinstance(event, dict):
            raise InvalidInput(f"line {number} is not a JSON object.")
        yield line.strip() if given.keys() <= event.keys() else {**given, **event}


def _send(tools: Tools, events: Iterator[Event | bytes], event_id: str | None) -> None:
    settings = tools.settings
    sent = 0
    with (
        Publisher(
            settings.require_redis_url(), stream=settings.stream, raise_errors=True
        ) as publisher,
        output.progress("sent", None, click.echo) as told,
    ):
        for batch, problem in _batches(events):
            _publish(publisher, batch)
            sent += len(batch)
            told(sent)
            if problem is not None:
                raise InvalidInput(f"{problem} {_sent(sent)} before it.")
    name = "" if event_id is None else f", id {event_id}"
    click.echo(f"{_sent(sent)} to the stream {settings.stream}{name}.")


def _batches(
    events: Iterator[Event | bytes],
) -> Iterator[tuple[list[Event | bytes], InvalidInput | None]]:
    """Yield events in batches, the last one with what was wrong after it, if any."""
    batch: list[Event | bytes] = []
    try:
        for event in events:
            batch.append(event)
            if len(batch) == _BATCH:
                yield batch, None
                batch = []
    except InvalidInput as error:
        yield batch, error
    else:
        yield batch, None


def _sent(count: int) -> str:
    return f"Sent {count} event{'' if count == 1 else 's'}"


def _publish(publisher: Publisher, batch: list[Event | bytes]) -> None:
    try:
        publisher.publish_many(batch)
    except PublisherFull as error:
        raise Unavailable("The broker takes events too slowly.") from error
    if not publisher.flush(_FLUSH_S):
        why = publisher.stats.last_error or f"no answer within {_FLUSH_S:g} s"
        left = publisher.stats.buffered
        publisher.close(0)
        raise Unavailable(
            f"{left} of the events could not be written: {why.rstrip('.')}. "
            f"Is the broker running? 'ascwebhooks doctor' says more."
        )
