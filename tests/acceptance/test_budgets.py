"""Budgets with real workers: whatever dies, costs count and lines fire once.

Two readers of the stream, killed by SIGKILL again and again while they charge budgets,
a broker that is flushed, and a receiver that says what it was told.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.receiver import Received, Receiver
from ascwebhooks.embedded.valkey import Valkey
from tests.acceptance.cluster import WORKERS, Cluster, cluster
from tests.waiting import wait_until

REQUESTS = 6_000
TEAMS = 5
COST = Decimal("0.0123456789")
KILLS = 6
LINES = [10, 25, 50, 75, 90, 100]


@pytest.fixture
def run(own_postgres: Postgres, own_valkey: Valkey, tmp_path: Path):
    with cluster(own_postgres.url(), own_valkey.url(), tmp_path) as made:
        yield made


class Told:
    """What a receiver was told: each event's data, by ``webhook-id``."""

    def __init__(self) -> None:
        self.events: dict[str, dict] = {}
        self._lock = threading.Lock()

    def note(self, received: Received) -> None:
        with self._lock:
            body = json.loads(received.body)
            self.events[received.headers["webhook-id"]] = body


def request(number: int) -> bytes:
    scope = {"org_id": "acme", "team_id": f"team-{number % TEAMS}"}
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"request-{number}",
            "source": "/gateways/test",
            "type": "request.completed",
            "tenantid": "acme",
            "data": {
                "request_id": f"request-{number}",
                "scope": scope,
                "cost": {"amount": str(COST), "currency": "USD"},
            },
        }
    ).encode()


def publish(run: Cluster, numbers: range) -> None:
    pipe = run.redis().pipeline(transaction=False)
    for number in numbers:
        pipe.xadd("asc:events", {"event": request(number)})
    pipe.execute()


def budgets(run: Cluster) -> None:
    """One of the organisation's and one of each team's, each a little too small."""
    names = [("org", "acme", REQUESTS)]
    names += [("team", f"team-{n}", REQUESTS // TEAMS) for n in range(TEAMS)]
    for kind, name, requests in names:
        run.services.budgets.create(
            "acme",
            name=f"{kind} {name}",
            scope_type=kind,
            scope_id=name,
            limit=COST * requests * Decimal("0.99"),
            currency="USD",
            period={"type": "calendar", "unit": "year", "zone": "Europe/Berlin"},
            thresholds=[Decimal(each) for each in LINES],
        )


def charged(run: Cluster) -> int:
    return run.query("SELECT coalesce(sum(requests), 0) FROM budget_spend")


def test_readers_that_are_killed_while_they_charge(run: Cluster) -> None:
    WORKERS["ingest2"] = WORKERS["ingest"]
    told = Told()
    with Receiver(on_delivery=told.note) as receiver:
        run.services.tenants.create("acme")
        run.services.endpoints.create(
            "acme", url=receiver.url, event_types=["budget.*"]
        )
        budgets(run)
        run.start("ingest", "ingest2", "deliver", "maintenance", "beat")
        share = REQUESTS // KILLS
        for number in range(KILLS):
            before = charged(run)
            # The same twice: what one reader has, another one may get again.
            publish(run, range(number * share, (number + 1) * share))
            publish(run, range(number * share, number * share + 50))
            wait_until(lambda before=before: charged(run) > before, 30, "it charges")
            name = ("ingest", "ingest2")[number % 2]
            run.kill(name)
            run.start(name)
        wait_until(lambda: charged(run) == 2 * REQUESTS, 150, "all is charged")

        row = "SELECT count(*) FROM budget_spend WHERE spent = "
        assert run.query(f"{row}{COST * REQUESTS}") == 1
        assert run.query(f"{row}{COST * (REQUESTS // TEAMS)}") == TEAMS
        owed = "SELECT count(*) FROM event WHERE type LIKE 'budget.%'"
        wait_until(lambda: len(told.events) == run.query(owed), 60, "all is told")

    fired = Counter(
        (body["data"]["budget_id"], line)
        for body in told.events.values()
        for line in body["data"]["crossed_thresholds"]
    )
    assert len(fired) == (1 + TEAMS) * len(LINES)
    assert set(fired.values()) == {1}
    exceeded = [each for each in told.events.values() if each["type"].endswith("ded")]
    assert len(exceeded) == 1 + TEAMS
