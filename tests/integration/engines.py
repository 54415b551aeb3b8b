"""Real PostgreSQL and Valkey servers for tests.

Shared by the whole session, for speed: ``database_url`` and ``redis_url`` give
each test something empty of its own on them.  A test that stops, kills or fills
a server asks for ``own_postgres`` or ``own_valkey``.

Servers end with this process, also when it is killed (see ``embedded.runner``).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from ascwebhooks.embedded.engines import Engines, of_home
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.valkey import Valkey

_TEMPLATE = "asc_test_template"
_REDIS_DATABASES = 64
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests; it would not survive a power cut."""
    with engines_of_ones_own(valkey=False, durable=False) as engines:
        assert engines.postgres is not None
        yield engines.postgres


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """One Valkey for all tests."""
    with engines_of_ones_own(postgres=False) as engines:
        assert engines.valkey is not None
        yield engines.valkey


@pytest.fixture(scope="session")
def migrate() -> Callable[[str], object]:
    """How a new database gets its tables; a test module may override it."""
    from ascwebhooks.storage.migrate import upgrade

    return upgrade


@pytest.fixture(scope="session")
def migrated_template(
    postgres_server: Postgres, migrate: Callable[[str], object]
) -> str:
    """The name of a database with all tables, for copying."""
    postgres_server.create_database(_TEMPLATE)
    migrate(postgres_server.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture
def bare_database_url(postgres_server: Postgres) -> Iterator[str]:
    """A database of the test's own without tables."""
    yield from _database(postgres_server, "template1")


@pytest.fixture
def redis_url(valkey_server: Valkey) -> Iterator[str]:
    """An empty numbered database, in turn: a straggler of the test before writes
    to another one.
    """
    url = valkey_server.url(next(_numbers) % _REDIS_DATABASES)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    yield url


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that the test may stop, kill and start again; as in earnest."""
    with engines_of_ones_own(valkey=False) as engines:
        assert engines.postgres is not None
        yield engines.postgres


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A Valkey that the test may stop, kill and start again."""
    with engines_of_ones_own(postgres=False) as engines:
        assert engines.valkey is not None
        yield engines.valkey


def _database(server: Postgres, template: str) -> Iterator[str]:
    name = f"asc_test_{next(_numbers)}"
    server.create_database(name, template)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


@contextmanager
def engines_of_ones_own(
    *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Iterator[Engines]:
    """Engines with a home of their own, started, and gone afterwards.

    Not below pytest's ``tmp_path``: as root the engines run as another user, who
    cannot enter that.
    """
    with tempfile.TemporaryDirectory(prefix="asc-test-", dir="/tmp") as folder:
        home = Path(folder)
        home.chmod(0o755)
        engines = of_home(home, postgres=postgres, valkey=valkey, durable=durable)
        with ExitStack() as stack:
            for engine in engines.all():
                stack.callback(engine.stop)
                engine.start()
            yield engines
