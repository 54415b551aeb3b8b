"""A whole installation of real processes, for tests that break parts of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import psycopg2.extensions
import redis

from ascwebhooks import bootstrap, settings
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.embedded.receiver import Received, Receiver
from ascwebhooks.services.container import Services
from ascwebhooks.storage import migrate
from tests.waiting import wait_until

#: Short, so that a test need not wait a minute for what a dead worker held.
LEASE_S = 8
WORKERS = {
    "ingest": ("worker", "--ingest"),
    "deliver": ("worker", "--deliver"),
    "slow": ("worker", "--deliver", "--slow"),
    "maintenance": ("worker", "--maintenance"),
    "beat": ("beat",),
}


class Tally:
    """What a receiver got: how often each event, by ``webhook-id``."""

    def __init__(self) -> None:
        self.requests = 0
        self.by_event: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, received: Received) -> None:
        with self._lock:
            self.requests += 1
            if received.answered_status == 200:
                self.by_event[received.headers["webhook-id"]] += 1

    @property
    def duplicates(self) -> int:
        with self._lock:
            return sum(count - 1 for count in self.by_event.values())


class Cluster:
    """Worker processes on given engines, and the services to look at them."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.folder = folder
        self.env = {
            **os.environ,
            "ASCWEBHOOKS_DATABASE_URL": database_url,
            "ASCWEBHOOKS_REDIS_URL": redis_url,
            "ASCWEBHOOKS_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
            "ASCWEBHOOKS_HOME_DIR": str(folder),
            "ASCWEBHOOKS_ALLOW_HTTP": "1",
            "ASCWEBHOOKS_ALLOWED_NETWORKS": "127.0.0.1/32",
            "ASCWEBHOOKS_LEASE_S": str(LEASE_S),
        }
        migrate.upgrade(database_url, days_ahead=2)
        self.services: Services = bootstrap.build(settings.read(self.env))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: Counter[str] = Counter()
        self._looking: psycopg2.extensions.connection | None = None

    def start(self, *names: str) -> None:
        """Start processes and wait until they say that they run."""
        for name in names:
            argv = (sys.executable, "-c", _MAIN, *WORKERS[name])
            with self.log(name).open("ab") as output:
                program = Program(name=name, argv=argv, env=self.env)
                self.processes[name] = spawn(program, output)
        for name in names:
            wait_until(lambda name=name: self._says_started(name), 30, f"{name} runs")

    def _says_started(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.log(name).read_text()[-2000:]
        return self.log(name).read_text().count('_started"') > self.ended[name]

    def kill(self, name: str) -> None:
        """Kill -9."""
        self._end(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """End a process as a supervisor would."""
        self._end(name, signal.SIGTERM)

    def _end(self, name: str, number: int) -> None:
        self.ended[name] += 1
        stop(self.processes.pop(name), number, 40)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)
        if self._looking is not None:
            self._looking.close()
        self.services.close()

    def query(self, statement: str) -> int:
        """Return one number, over a connection that is none of the services'."""
        try:
            return self._query(statement)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # The server was restarted since.
            self._looking = None
            return self._query(statement)

    def _query(self, statement: str) -> int:
        if self._looking is None:
            self._looking = psycopg2.connect(self.database_url)
            self._looking.autocommit = True
        with self._looking.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def tenant(self, receiver: Receiver, endpoints: int, **options: object) -> str:
        """Create a tenant whose events each go to one of its endpoints."""
        self.services.tenants.create("acme")
        for number in range(endpoints):
            self.services.endpoints.create(
                "acme",
                url=f"{receiver.url}/{number}",
                event_types=[f"budget.{number}"],
                **options,  # type: ignore[arg-type]
            )
        return "acme"


_MAIN = "from ascwebhooks.bootstrap import main; main()"


def event(number: int, endpoints: int) -> bytes:
    """Return one event, for the endpoint whose turn it is."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": "/gateways/test",
            "type": f"budget.{number % endpoints}",
            "tenantid": "acme",
            "data": {"n": number, "pad": "x" * 400},
        }
    ).encode()


@contextmanager
def cluster(database_url: str, redis_url: str, folder: Path) -> Iterator[Cluster]:
    """A cluster without any process yet; all that are started end with it."""
    made = Cluster(database_url, redis_url, folder)
    try:
        yield made
    finally:
        made.close()
