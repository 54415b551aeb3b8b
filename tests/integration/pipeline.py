"""The pipeline without its processes: real engines, services put together by bootstrap.

What a worker would do on a ring, a test does itself: ``pipeline.turns().take(…)``.
So no message is lost or taken unless the test says so, and the broker's queues can
be looked at.

Every test module has the fixtures: tests/conftest.py names this one as a plug-in.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import Engine, text

from ascwebhooks.bootstrap import Parts
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.batches import Writing
from ascwebhooks.services.ingestion import Ingestion
from ascwebhooks.services.intakes import Accepted, Refused
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.services.turns import Turns
from ascwebhooks.settings import Settings
from ascwebhooks.storage.engine import make_engine
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import Base
from ascwebhooks.storage.unit_of_work import UnitOfWork
from ascwebhooks.tasks.app import deliver_queue
from tests.waiting import wait_until

TENANT = "acme"
SOURCE = "/gateways/one"
#: Nobody listens there: for endpoints that no test sends anything to.
NOWHERE = "http://127.0.0.1:9009/hook"
_RECYCLED = "asc_test_recycled"
LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


class Pipeline:
    """One process's services on a database and a broker of the test's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.parts = Parts(settings)
        self.services = self.parts.services()
        self.uow = self.parts.uow
        self.redis = redis.Redis.from_url(settings.require_redis_url())
        self._turns: list[Turns] = []
        self._nobody: set[UUID] = set()

    @property
    def engine(self) -> Engine:
        return self.parts.engine

    def close(self) -> None:
        """Stop everything; requests that are out are not waited for."""
        for turns in self._turns:
            turns.stop(0.1)
        self.services.close()
        self.parts.celery.close()
        self.redis.close()

    # Making things

    def endpoint(
        self,
        url: str = NOWHERE,
        *,
        event_types: Sequence[str] = ("*",),
        tenant_id: str = TENANT,
        **options: Any,
    ) -> UUID:
        """Create an endpoint of the tenant, by default for all event types."""
        return self.endpoint_with_secret(
            url, event_types=event_types, tenant_id=tenant_id, **options
        )[0]

    def endpoint_with_secret(
        self, url: str, *, tenant_id: str = TENANT, **options: Any
    ) -> tuple[UUID, str]:
        """Create an endpoint; return its id and its secret."""
        created = self.services.endpoints.create(tenant_id, url=url, **options)
        return created.described.endpoint.id, created.secret

    def acceptance(
        self,
        ring: Callable[[set[Due]], object],
        uow: Callable[[], UnitOfWork] | None = None,
        triggers: Triggers | None = None,
    ) -> Acceptance:
        """Return an acceptance of one's own, with another bell or other triggers."""
        return Acceptance(uow or self.uow, self.writing(triggers, uow), ring=ring)

    def writing(
        self,
        triggers: Triggers | None = None,
        uow: Callable[[], UnitOfWork] | None = None,
    ) -> Writing:
        """Return what batches are written with, by default without triggers."""
        sealing = Sealing(uow or self.uow, self.parts.ring, os.urandom)
        keep = self.settings.keep_signals == "all"
        return Writing(sealing, os.urandom, triggers or Triggers(), keep_signals=keep)

    def accept(
        self, *raws: bytes, via: str = "stream", **terms: Any
    ) -> list[Accepted | Refused]:
        """Accept events as the stream's reader or the API would."""
        return self.services.acceptance.accept(raws, via=via, **terms)

    def deliver_one(self, data: str = "{}", **attributes: Any) -> UUID:
        """Accept one event; return the id of the one delivery it causes."""
        (verdict,) = self.accept(event(data, **attributes))
        assert isinstance(verdict, Accepted), verdict
        return self.one("SELECT id FROM delivery WHERE event_id = :id", id=verdict.id)

    def turns(self, *, region: str = "default", slow: bool = False) -> Turns:
        """Start a delivery worker's desk and loop; stopped with the pipeline."""
        turns = self.services.make_turns(region, slow)
        turns.start()
        self._turns.append(turns)
        return turns

    def ingestion(self) -> Ingestion:
        return self.services.make_ingestion()

    # Looking at things, over connections of their own

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Return rows, read in a transaction of its own."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    def one(self, sql: str, **values: Any) -> Any:
        """Return the one value of the one row."""
        ((value,),) = self.rows(sql, **values)
        return value

    def do(self, sql: str, **values: Any) -> int:
        """Change rows behind the services' back; return how many."""
        with self.engine.begin() as connection:
            return connection.execute(text(sql), values).rowcount

    def delivery(self, delivery_id: UUID) -> Any:
        """Return the row of a delivery."""
        (row,) = self.rows("SELECT * FROM delivery WHERE id = :id", id=delivery_id)
        return row

    def attempts(self, delivery_id: UUID) -> list[Any]:
        """Return the rows of a delivery's attempts, the first one first."""
        return self.rows(
            "SELECT * FROM attempt WHERE delivery_id = :id ORDER BY id", id=delivery_id
        )

    def mailbox(self, endpoint_id: UUID) -> Any:
        """Return the row of a mailbox."""
        (row,) = self.rows(
            "SELECT * FROM mailbox WHERE endpoint_id = :id", id=endpoint_id
        )
        return row

    def after_attempts(self, delivery_id: UUID, count: int = 1) -> Any:
        """Return the delivery's row as soon as so many attempts are recorded."""
        wait_until(
            lambda: len(self.attempts(delivery_id)) >= count,
            10,
            f"{count} attempts of the delivery",
        )
        return self.delivery(delivery_id)

    def waiting_for_a_lock(self) -> int:
        """Return how many of this database's sessions wait for another one's lock."""
        return self.one(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )

    def idle(self, endpoint_id: UUID) -> Any:
        """Return the mailbox's row as soon as nobody holds its lease."""

        def free() -> Any:
            box = self.mailbox(endpoint_id)
            return box if box.lease_token is None else None

        return wait_until(free, 10, "the lease is given back")

    def taken_back(self, turns: Turns) -> None:
        """Wait until nothing claimed is left to be sent: it is out, or given back."""
        wait_until(
            lambda: not any(each.lane.queued for each in turns._all()),
            10,
            "what was not sent is taken back",
        )

    def messages(self, queue: str = "deliver.default") -> list[bytes]:
        """Return what waits in one of the broker's queues, as it lies there."""
        return self.redis.lrange(queue, 0, -1)

    def rung(self, *, region: str = "default", slow: bool = False) -> list[UUID]:
        """Return whom the messages on a queue ring, all that was rung until now.

        A ring of nobody's marks the end: the bell rings in order.
        """
        nobody = uuid4()
        self._nobody.add(nobody)
        self.services.rings.ring([Due(nobody, region)])
        wait_until(
            lambda: nobody in self._on_queue(deliver_queue(region, slow=False)),
            5,
            "the bell has rung",
        )
        found = self._on_queue(deliver_queue(region, slow=slow))
        return [each for each in found if each not in self._nobody]

    def forget_rings(self) -> None:
        """Lose all that the broker holds, doors and messages, once it is there."""
        self.rung()
        self.redis.flushdb()

    def _on_queue(self, queue: str) -> list[UUID]:
        messages = reversed(self.messages(queue))  # the oldest lies at the end
        return [each for message in messages for each in endpoints_in(message)]


def endpoints_in(message: bytes) -> list[UUID]:
    """Return the endpoints that a message of Celery's rings."""
    body = json.loads(base64.b64decode(json.loads(message)["body"]))
    return [UUID(each) for each in body[0][0]]


def event(data: str = "{}", /, **attributes: Any) -> bytes:
    """Return an event; ``...`` leaves an attribute out, and data goes in raw."""
    whole = {
        "specversion": "1.0",
        "id": "event-1",
        "source": SOURCE,
        "type": "budget.exceeded",
        "tenantid": TENANT,
        **attributes,
    }
    kept = {name: value for name, value in whole.items() if value is not ...}
    return json.dumps(kept).encode()[:-1] + b',"data":' + data.encode() + b"}"


@pytest.fixture(name="event")
def make_event() -> Callable[..., bytes]:
    """Makes the bytes of an event (``event``)."""
    return event


def settings_of(database_url: str, redis_url: str) -> Settings:
    """Return settings of a process that may deliver to this machine."""
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        encryption_keys=(("k1", bytes(range(32))),),
        allow_http=True,
        allowed_networks=LOOPBACK,
    )


@pytest.fixture(scope="session")
def recycled_database(
    postgres_server: Postgres, migrated_template: str
) -> Iterator[Engine]:
    """One database for all tests that leave its tables as they are: making one for
    each, with its hundreds of partitions and indexes, takes longer than most tests.
    """
    postgres_server.create_database(_RECYCLED, migrated_template)
    engine = make_engine(postgres_server.url(_RECYCLED), pool_size=1)
    yield engine
    engine.dispose()
    postgres_server.drop_database(_RECYCLED)


@pytest.fixture
def empty_database_url(recycled_database: Engine, postgres_server: Postgres) -> str:
    """Tables without a row, and nobody else connected.

    A module whose tests change tables overrides this one with ``database_url``.
    """
    with recycled_database.begin() as connection:
        run = connection.exec_driver_sql
        run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        run("SET LOCAL session_replication_role = replica")  # no foreign keys
        for table in Base.metadata.tables:
            run(f"DELETE FROM {table}")
    return postgres_server.url(_RECYCLED)


@pytest.fixture
def make_pipeline(
    empty_database_url: str, redis_url: str
) -> Iterator[Callable[..., Pipeline]]:
    """Makes services, with settings changed as the test says."""
    settings = settings_of(empty_database_url, redis_url)
    with ExitStack() as stack:

        def make(**changes: Any) -> Pipeline:
            pipeline = Pipeline(replace(settings, **changes))
            stack.callback(pipeline.close)
            return pipeline

        yield make


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """Services with one tenant, and nothing else."""
    made = make_pipeline()
    made.services.tenants.create(TENANT)
    return made
