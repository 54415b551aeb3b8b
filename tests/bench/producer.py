"""A gateway, as a process of its own: XADDs made events when told to.

It reads one JSON object from standard input (what to make), answers ``ready``,
waits for another line, writes to the stream and answers with the seconds, by
the clock that all processes of a machine share, at which each event went out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

import redis

from tests.bench import events

PIPELINE = 500


def burst(client: redis.Redis, stream: str, made: Sequence[bytes]) -> list[float]:
    """Write as fast as can be; return when the first and the last went out."""
    began = time.monotonic()
    for at in range(0, len(made), PIPELINE):
        pipe = client.pipeline(transaction=False)
        for event in made[at : at + PIPELINE]:
            pipe.xadd(stream, {"event": event})
        pipe.execute()
    return [began, time.monotonic()]


def paced(per_s: float) -> Callable[[redis.Redis, str, Sequence[bytes]], list[float]]:
    """Return what writes ``per_s`` events a second, each alone."""

    def write(client: redis.Redis, stream: str, made: Sequence[bytes]) -> list[float]:
        went_out = []
        began = time.monotonic()
        for number, event in enumerate(made):
            time.sleep(max(0.0, began + number / per_s - time.monotonic()))
            went_out.append(time.monotonic())
            client.xadd(stream, {"event": event})
        return went_out

    return write


def main() -> None:
    """Make, wait, write, tell."""
    order = json.loads(sys.stdin.readline())
    endpoints, tenants = order["endpoints"], order["tenants"]
    made = [
        events.signal(events.tenant(0), events.source_id(order["run"], number), number)
        if order.get("signals")
        else events.make(
            events.tenant(number % endpoints % tenants),
            events.type_of(number % endpoints),
            events.source_id(order["run"], number),
        )
        for number in range(order["count"])
    ]
    write = paced(order["per_s"]) if order["per_s"] else burst
    client = redis.Redis.from_url(order["redis_url"])
    client.ping()
    _say("ready")
    sys.stdin.readline()
    _say(write(client, order["stream"], made))


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
