"""Operational events by real processes, one of which is killed at its work."""

from __future__ import annotations

import json
from pathlib import Path

from ascwebhooks.embedded.receiver import Received, Receiver
from tests.acceptance.cluster import Tally, cluster, event
from tests.waiting import wait_until

DEAD = 3_000
TOLD = "SELECT count(*) FROM event WHERE source = '/ascwebhooks'"


def test_every_dead_letter_is_told_once_although_maintenance_is_killed(
    database_url: str, redis_url: str, tmp_path: Path
):
    """An endpoint is deleted with 3,000 pending; another one is told of each."""
    tally, about = Tally(), set()

    def take(received: Received) -> None:
        tally.count(received)
        about.add(json.loads(received.body)["data"]["delivery_id"])

    with (
        Receiver(on_delivery=take) as receiver,
        cluster(database_url, redis_url, tmp_path) as site,
    ):
        tenant_id = site.tenant(receiver, 1)
        (mine,) = site.services.endpoints.page(tenant_id, after=None, limit=2)
        site.services.endpoint_states.pause(tenant_id, mine.endpoint.id)
        site.services.endpoints.create(
            tenant_id, url=receiver.url, event_types=["delivery.*"]
        )
        for at in range(0, DEAD, 500):
            some = [event(number, 1) for number in range(at, at + 500)]
            site.services.acceptance.accept(some, via="stream")
        site.start("deliver", "slow", "beat")
        site.services.endpoint_states.delete(tenant_id, mine.endpoint.id)

        site.start("maintenance")
        wait_until(lambda: site.query(TOLD) > 0, 30, "the first are told")
        site.kill("maintenance")
        site.start("maintenance")
        wait_until(lambda: len(tally.by_event) >= DEAD, 60, "all are delivered")
        wait_until(lambda: site.query("SELECT count(*) FROM notice") == 0, 10, "done")

        assert site.query(TOLD) == DEAD
        assert len(tally.by_event) == len(about) == DEAD
        assert tally.duplicates == 0
