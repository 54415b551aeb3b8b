"""Health: whether each part works, and how to mend what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ascwebhooks.domain import ids
from ascwebhooks.domain.verdicts import LAGGING
from ascwebhooks.errors import AscWebhooksError
from ascwebhooks.services.sealing import PLATFORM, SECRETS, Sealing
from ascwebhooks.storage import migrate, partitions
from ascwebhooks.storage.streams import Stream
from ascwebhooks.storage.unit_of_work import UnitOfWork

_CLOCK_TOLERANCE = timedelta(seconds=2)
_BACKLOG = 10_000
_LOW_PARTITIONS = 2


@dataclass(frozen=True)
class Finding:
    """What one check found; ``mend`` says what to do if it is not well."""

    check: str
    well: bool
    detail: str
    mend: str | None = None


@dataclass(frozen=True)
class Report:
    """All that was found; ``workers`` says what queues each consumes."""

    findings: Sequence[Finding]
    workers: Mapping[str, Sequence[str]]

    @property
    def well(self) -> bool:
        """Whether nothing is to be mended."""
        return all(each.well for each in self.findings)


Check = Callable[[], Finding]


class Health:
    """Checks of the parts this process depends on."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        engine: Engine,
        client: redis.Redis,
        stream: Stream,
        sealing: Sealing,
        *,
        workers: Callable[[], dict[str, list[str]]],
        retention: timedelta,
    ) -> None:
        """Take the parts; ``workers`` asks who is there: queues by worker name."""
        self._uow = uow
        self._engine = engine
        self._client = client
        self._stream = stream
        self._sealing = sealing
        self._workers = workers
        self._retention = retention

    def ready(self) -> list[Finding]:
        """Check what serving a request takes: database, schema, broker, keys."""
        return list(_run([self._database, self._schema, self._broker, self._keys]))

    def examine(self) -> list[Finding]:
        """Check everything that ``doctor`` reports."""
        return list(self.report().findings)

    def report(self) -> Report:
        """Check everything, and say who works on what."""
        staff: dict[str, list[str]] = {}

        def workers() -> Finding:
            staff.update(self._workers())
            return _staffed(staff)

        findings = [
            *self.ready(),
            *_run(
                [
                    self._ring,
                    self._partitions,
                    self._clock,
                    self._lag,
                    self._backlog,
                    workers,
                ]
            ),
        ]
        return Report(findings, staff)

    def backlog(self) -> dict[str, int]:
        """Return how many deliveries there are of each status."""
        with self._uow() as uow:
            window = ids.window(datetime.now(UTC), self._retention)
            return uow.deliveries.counts(window)

    def _database(self) -> Finding:
        with self._engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        return Finding("database", well=True, detail=f"PostgreSQL {version}")

    def _schema(self) -> Finding:
        with self._engine.connect() as connection:
            found = migrate.revision(connection)
        wanted = migrate.newest()
        if found == wanted:
            return Finding("migrations", well=True, detail=f"at {found}")
        return Finding(
            "migrations",
            well=False,
            detail=f"at {found}, this version needs {wanted}",
            mend="run 'ascwebhooks migrate'.",
        )

    def _partitions(self) -> Finding:
        with self._engine.connect() as connection:
            last = max(partitions.days(connection), default=None)
        today = datetime.now(UTC).date()
        ahead = -1 if last is None else (last - today).days
        return Finding(
            "partitions",
            well=ahead >= _LOW_PARTITIONS,
            detail=f"made for {ahead} days ahead",
            mend="start 'ascwebhooks worker --maintenance' and beat, or migrate.",
        )

    def _broker(self) -> Finding:
        info = self._client.info("server")
        policy = self._client.config_get("maxmemory-policy").get("maxmemory-policy")
        name = info.get("server_name", "redis")
        version = info.get("valkey_version") or info.get("redis_version")
        if policy in (None, "noeviction"):
            return Finding("broker", well=True, detail=f"{name} {version}")
        return Finding(
            "broker",
            well=False,
            detail=f"{name} {version}, maxmemory-policy {policy}",
            mend="set maxmemory-policy noeviction: anything else drops events.",
        )

    def _keys(self) -> Finding:
        self._sealing.content_hash(PLATFORM, b"")
        return Finding("keys", well=True, detail=f"the platform's {SECRETS} key opens")

    def _ring(self) -> Finding:
        with self._uow() as uow:
            missing = self._sealing.missing(uow.data_keys.ring_keys())
        if not missing:
            detail = "it has every key that wraps a data key"
            return Finding("key ring", well=True, detail=detail)
        return Finding(
            "key ring",
            well=False,
            detail=f"data keys are wrapped with {', '.join(missing)}, not in the ring",
            mend=_MENDS["keys"],
        )

    def _clock(self) -> Finding:
        with self._uow() as uow:
            skew = abs(uow.now() - datetime.now(UTC))
        return Finding(
            "clock",
            well=skew <= _CLOCK_TOLERANCE,
            detail=f"{skew.total_seconds():.3f} s from PostgreSQL's",
            mend="run an NTP client here and on the database's machine.",
        )

    def _lag(self) -> Finding:
        waiting, unsettled = self._stream.lag()
        if waiting is None:
            return Finding(
                "stream",
                well=False,
                detail=f"not all of the {unsettled} events in hand are still on it",
                mend="let nobody but workers delete from it or trim it.",
            )
        return Finding(
            "stream",
            well=waiting <= LAGGING,
            detail=f"{waiting} events not read yet, {unsettled} in hand",
            mend="start another 'ascwebhooks worker --ingest'.",
        )

    def _backlog(self) -> Finding:
        with self._uow() as uow:
            due = uow.mailboxes.due(ids.window(datetime.now(UTC), self._retention))
        return Finding(
            "mailboxes",
            well=len(due) <= _BACKLOG,
            detail=f"{len(due)} with something due that nobody serves now",
            mend="start another 'ascwebhooks worker --deliver'.",
        )


def _staffed(staff: Mapping[str, list[str]]) -> Finding:
    """Say whether somebody works on each kind of queue."""
    queues = {queue for some in staff.values() for queue in some}
    missing = [
        what
        for what, there in {
            "--deliver": any(
                q.startswith("deliver.") and not q.endswith(".slow") for q in queues
            ),
            "--deliver --slow": any(q.endswith(".slow") for q in queues),
            "--maintenance": "maintenance" in queues,
        }.items()
        if not there
    ]
    return Finding(
        "workers",
        well=not missing,
        detail=f"{len(staff)} answer"
        + (f"; none {', '.join(missing)}" * bool(missing)),
        mend="start: " + "; ".join(f"ascwebhooks worker {each}" for each in missing),
    )


def _run(checks: list[Check]) -> Iterator[Finding]:
    for check in checks:
        name = check.__name__.removeprefix("_")
        try:
            yield check()
        except (SQLAlchemyError, redis.RedisError, AscWebhooksError, OSError) as error:
            detail = str(error).splitlines()[0][:300]
            yield Finding(name, well=False, detail=detail, mend=_MENDS.get(name))


_MENDS = {
    "database": "is PostgreSQL running, and is ASCWEBHOOKS_DATABASE_URL right?",
    "schema": "is PostgreSQL running, and is ASCWEBHOOKS_DATABASE_URL right?",
    "broker": "is Valkey running, and is ASCWEBHOOKS_REDIS_URL right?",
    "keys": "ASCWEBHOOKS_ENCRYPTION_KEYS must hold the key that wrapped the data keys.",
}
