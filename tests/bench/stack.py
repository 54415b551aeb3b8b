"""Engines, workers, tenants and endpoints: the whole product, on a fresh database."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import redis
from sqlalchemy import Engine

from ascwebhooks import logs
from ascwebhooks.bootstrap import Parts
from ascwebhooks.domain.budgets import ScopeType
from ascwebhooks.domain.rules import RuleKind
from ascwebhooks.embedded.engines import Engines, of_home
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.embedded.valkey import Valkey
from ascwebhooks.settings import PREFIX, Settings, read
from ascwebhooks.storage.migrate import upgrade
from tests.bench import events
from tests.bench.failures import BenchFailed

_WORKERS_TIMEOUT_S = 60.0
_COMPLAINT = re.compile(r'"level": ?"(?:warning|error|critical)"|^Traceback')
_numbers = count(1)


@dataclass(frozen=True)
class Crew:
    """How many delivery processes, and how many threads in each."""

    deliver: int = 1
    threads: int = 8


class Bench:
    """The engines, as a server in earnest runs them, and a folder."""

    def __init__(self, folder: Path, engines: Engines) -> None:
        """Take started engines."""
        assert engines.postgres is not None
        assert engines.valkey is not None
        self.folder = folder
        self.postgres: Postgres = engines.postgres
        self.valkey: Valkey = engines.valkey

    @contextmanager
    def product(self, crew: Crew) -> Iterator[Product]:
        """Give the whole product on a new database and an empty Valkey."""
        with self.idle() as product, product.workers(crew):
            yield product

    @contextmanager
    def idle(self) -> Iterator[Product]:
        """Give it without workers: nothing happens but what the caller does."""
        number = next(_numbers)
        name = f"bench_{number}"
        with redis.Redis.from_url(self.valkey.url()) as client:
            client.flushall()
        self.postgres.create_database(name)
        try:
            product = Product(self, self.postgres.url(name), self.folder / name)
            try:
                yield product
            finally:
                product.close()
        finally:
            self.postgres.drop_database(name)


@contextmanager
def bench() -> Iterator[Bench]:
    """Start engines of our own in a temporary folder."""
    logs.configure("WARNING", "console")
    with tempfile.TemporaryDirectory(prefix="asc-bench-", dir="/tmp") as name:
        folder = Path(name)
        # As root the engines run as another user, who must get in.
        folder.chmod(0o755)
        engines = of_home(folder, durable=True)
        with ExitStack() as stack:
            for engine in engines.all():
                stack.callback(engine.stop)
                engine.start()
            yield Bench(folder, engines)


#: Half of them look at each signal, half at windows.
_RULES: tuple[tuple[RuleKind, dict[str, Any]], ...] = (
    (RuleKind.APPROVED_MODELS, {"allowed": ["claude-*", "gpt-4*"]}),
    (RuleKind.ERROR_RATE, {"threshold": 0.9, "window_s": 600}),
    (RuleKind.ALLOWED_REGIONS, {"allowed": ["eu-*"]}),
    (RuleKind.LATENCY, {"threshold": 60_000, "window_s": 900}),
)
_SCOPES = (
    (ScopeType.TENANT, None),
    (ScopeType.ORG, "acme"),
    (ScopeType.BUSINESS_UNIT, "retail"),
    (ScopeType.TEAM, "search"),
    (ScopeType.USER, "ana"),
    (ScopeType.PROJECT, "shop"),
    (ScopeType.KEY, "cd626f4893afcff0"),
    (ScopeType.FEATURE, "chat"),
    (ScopeType.TAG, "blue"),
    (ScopeType.MODEL, "copilot"),
)
_PERIODS = tuple(
    {"type": "calendar", "unit": unit, "zone": zone}
    for zone in ("UTC", "Europe/Berlin")
    for unit in ("month", "day", "week", "quarter", "year")
)


class Product:
    """Workers on one database, and hands to set it up and look at it."""

    def __init__(self, bench: Bench, database_url: str, folder: Path) -> None:
        """Migrate the database and read the settings that workers will read."""
        folder.mkdir()
        self._bench = bench
        self._folder = folder
        self.database_url = database_url
        self.redis_url = bench.valkey.url()
        self._environ = _environ(database_url, self.redis_url, folder)
        self.settings: Settings = read(self._environ)
        upgrade(database_url)
        self._parts = Parts(self.settings)
        self.services = self._parts.services()
        self._connection = psycopg2.connect(database_url)
        self._connection.autocommit = True
        self.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.pids: dict[str, int] = {
            "postgres": bench.postgres.pid or 0,
            "valkey": bench.valkey.pid or 0,
        }

    def endpoints(self, urls: Sequence[str], tenants: int) -> None:
        """Make one endpoint for each URL, in turn at so many tenants."""
        for number in range(tenants):
            self.services.tenants.create(events.tenant(number))
        for number, url in enumerate(urls):
            self.services.endpoints.create(
                events.tenant(number % tenants),
                url=url,
                event_types=[events.type_of(number)],
            )

    def budgets(self, count: int, url: str) -> None:
        """Make one tenant with so many budgets, all of which each signal charges.

        One endpoint takes the requests that failed, and what is told of budgets.
        """
        tenant_id = events.tenant(0)
        self.services.tenants.create(tenant_id)
        self.services.endpoints.create(
            tenant_id, url=url, event_types=["request.failed", "budget.*"]
        )
        for number in range(count):
            # No two alike: those would be summed up once.
            period = _PERIODS[number // len(_SCOPES) % len(_PERIODS)]
            kind, name = _SCOPES[number % len(_SCOPES)]
            self.services.budgets.create(
                tenant_id,
                name=f"budget {number}",
                scope_type=kind,
                scope_id=name,
                limit=Decimal("0.05"),
                currency="USD",
                period=period,
            )

    def rules(self, count: int) -> None:
        """Give that tenant so many rules, of which none ever opens."""
        for number in range(count):
            kind, given = _RULES[number % len(_RULES)]
            self.services.rules.create(
                events.tenant(0), name=f"rule {number}", kind=kind, **given
            )

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def workers(self, crew: Crew) -> Iterator[None]:
        """Run the workers and wait until all of them answer."""
        running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, arguments in _commands(crew).items():
                running[name] = self._start(name, arguments)
            self.pids |= {name: each.pid for name, each in running.items()}
            self._wait(running)
            yield
            self._check(running)
        finally:
            for process in running.values():
                process.send_signal(signal.SIGTERM)
            for process in running.values():
                stop(process, signal.SIGTERM, 15)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
        self.services.close()
        self._parts.engine.dispose()

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._parts.engine

    def _start(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        argv = (str(_console_script()), *arguments)
        program = Program(name=name, argv=argv, env=self._environ, cwd=self._folder)
        with (self._folder / f"{name}.log").open("ab") as log:
            return spawn(program, log)

    def _wait(self, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + _WORKERS_TIMEOUT_S
        wanted = {name for name in running if name != "beat"}
        while missing := wanted - {each.split("@")[0] for each in self._answering()}:
            self._check(running)
            if time.monotonic() > deadline:
                raise BenchFailed(f"not up in time: {', '.join(sorted(missing))}")

    def _answering(self) -> list[str]:
        return list(self._parts.celery.control.inspect(timeout=0.5).ping() or {})

    def _check(self, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
        for name, process in running.items():
            if process.poll() is not None:
                said = (self._folder / f"{name}.log").read_text()[-3000:]
                raise BenchFailed(f"{name} ended by itself:\n{said}")

    def complaints(self) -> list[str]:
        """Return what workers logged as a warning or worse, the first of each log."""
        found = []
        for log in sorted(self._folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            bad = [each for each in lines if _COMPLAINT.search(each)]
            found += [f"{log.stem}: {each}" for each in bad[:3]]
        return found


def _commands(crew: Crew) -> dict[str, list[str]]:
    commands = {"beat": ["beat"]}
    workers = {"maintenance": ["--maintenance"], "ingest": ["--ingest"]}
    workers["slow"] = ["--deliver", "--slow"]
    for number in range(crew.deliver):
        threads = ["--threads", str(crew.threads)]
        workers[f"deliver{number + 1}"] = ["--deliver", *threads]
    for name, flags in workers.items():
        commands[name] = ["worker", *flags, "--name", f"{name}@bench"]
    return commands


def _console_script() -> Path:
    beside = Path(sys.executable).parent / "ascwebhooks"
    found = beside if beside.exists() else shutil.which("ascwebhooks")
    if found is None:
        raise BenchFailed("there is no command 'ascwebhooks': pip install -e .")
    return Path(found)


def _environ(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    own = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEYS": "k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "HOME_DIR": str(folder),
        "ALLOW_HTTP": "true",
        "ALLOWED_NETWORKS": str(ipaddress.ip_network("127.0.0.0/8")),
    }
    return kept | {PREFIX + name: value for name, value in own.items()}
