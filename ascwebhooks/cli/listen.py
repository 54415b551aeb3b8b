"""``ascwebhooks listen``: a receiver to try deliveries with."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from ascwebhooks.cli.rows import moment
from ascwebhooks.domain import signing
from ascwebhooks.embedded.receiver import Failure, Received, Receiver, Verify, verifier
from ascwebhooks.errors import Unavailable

_ENDS = {signal.SIGINT, signal.SIGTERM}
_MARKS = {True: "✓ verified", False: "✗ not verified", None: "- not checked"}


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8390,
    show_default=True,
    help="On 127.0.0.1; 0 is any free one.",
)
@click.option(
    "--secret", help="whsec_… or whpk_…; without it signatures are not checked."
)
@click.option("--fail", help="Answer 503 always, or 503:3 the first three times.")
@click.option("--delay", type=click.FloatRange(0), default=0.0, help="Seconds.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object a line.")
def listen(
    *,
    port: int,
    secret: str | None,
    fail: str | None,
    delay: float,
    json_wanted: bool,
) -> None:
    """Receive deliveries, verify each and print it; Ctrl-C ends it."""
    failure = None if fail is None else Failure.parse(fail)
    lock = threading.Lock()

    def show(received: Received) -> None:
        text = _object(received) if json_wanted else _line(received)
        with lock:
            click.echo(text)

    with _ends_blocked():
        try:
            receiver = Receiver(
                port,
                verify=None if secret is None else _verify(secret),
                on_delivery=show,
                failure=failure,
                delay_s=delay,
            )
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on port {port}: {error.strerror}. Give another --port."
            ) from error
        with receiver:
            at = f"{receiver.url}/ (any path)"
            click.echo(f"Listening on {at}. Ctrl-C ends.", err=True)
            signal.sigwait(_ENDS)


@contextmanager
def _ends_blocked() -> Iterator[None]:
    """Block the signals that end us before threads start: only we get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _verify(secret: str) -> Verify:
    signing.check_key(secret)  # a malformed one is said now, not at each delivery

    def check(headers: Mapping[str, str], body: bytes) -> None:
        signing.verify(secret, headers, body, datetime.now(UTC))

    return verifier(check)


def _line(received: Received) -> str:
    at = received.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    name = received.headers.get("webhook-id", "no webhook-id")
    mark, status = _MARKS[received.verified], received.answered_status
    return f"{at}  {name}  {_type(received) or '?'}  {mark}  answered {status}"


def _object(received: Received) -> str:
    return json.dumps(
        {
            "at": moment(received.at),
            "webhook_id": received.headers.get("webhook-id"),
            "type": _type(received),
            "verified": received.verified,
            "answered_status": received.answered_status,
            "path": received.path,
            "headers": dict(received.headers),
            "body": received.body.decode(errors="replace"),
        },
        ensure_ascii=False,
    )


def _type(received: Received) -> str | None:
    if "ce-type" in received.headers:
        return received.headers["ce-type"]
    try:
        body: Any = json.loads(received.body)
    except ValueError:
        return None
    found = body.get("type") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
