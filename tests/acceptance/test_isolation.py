"""Nothing waits for an endpoint but its own deliveries."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ascwebhooks.embedded.receiver import Receiver
from tests.acceptance.cluster import Tally, cluster, event
from tests.waiting import wait_until

HANGING = 200


@contextmanager
def hanging_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Accept connections and never answer; yield its URL and the connections."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", held
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in held:
            each.close()


def test_200_endpoints_that_hang_delay_nobody(
    database_url: str, redis_url: str, tmp_path: Path, record_property
) -> None:
    """Each hangs for its 15 s with several deliveries; a healthy one notices nothing.

    A design in which a task waits for its receivers fails this: 200 hanging
    mailboxes would hold the eight threads for minutes.
    """
    tally = Tally()
    with (
        cluster(database_url, redis_url, tmp_path) as run,
        hanging_server() as (url, held),
        Receiver(on_delivery=tally.count) as receiver,
    ):
        run.tenant(receiver, 1)
        for number in range(HANGING):
            run.services.endpoints.create(
                "acme", url=f"{url}/{number}", event_types=["hang.all"]
            )
        run.start("ingest", "deliver", "slow", "maintenance", "beat")
        hang = [
            event(number, 1).replace(b"budget.0", b"hang.all") for number in range(5)
        ]
        run.services.acceptance.accept(hang, via="test")
        wait_until(lambda: len(held) >= HANGING, 20, "every one of them hangs")
        started = time.monotonic()
        for number in range(100, 150):
            before = tally.requests
            run.services.acceptance.accept([event(number, 1)], via="test")
            wait_until(
                lambda before=before: tally.requests > before, 5, "it is delivered"
            )
        record_property("seconds for 50", time.monotonic() - started)
        assert run.query("SELECT count(*) FROM attempt WHERE error = 'timeout'") == 0
        assert tally.requests == 50
