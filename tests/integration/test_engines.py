"""PostgreSQL and Valkey as this package runs them."""

from __future__ import annotations

import subprocess
from contextlib import closing
from dataclasses import replace

import psycopg2
import pytest
import redis
from celery import Celery

from ascwebhooks.embedded import processes
from ascwebhooks.embedded.engines import of_home
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.processes import Program
from ascwebhooks.errors import Unavailable
from tests.integration.engines import engines_of_ones_own


def ask(url: str, statement: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row[0] if row else None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("max_connections", "200"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("timezone", "UTC"),
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
    ],
)
def test_postgres_is_set_up_to_lose_nothing(own_postgres_for_reading, setting, value):
    assert ask(own_postgres_for_reading.url(), f"SHOW {setting}") == value


@pytest.fixture(scope="module")
def own_postgres_for_reading():
    # One for all the questions above: they change nothing.
    with engines_of_ones_own(valkey=False) as engines:
        yield engines.postgres


def test_a_killed_postgres_keeps_what_was_committed(own_postgres: Postgres):
    with closing(psycopg2.connect(own_postgres.url())) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 1 AS n")
        own_postgres.kill()
    own_postgres.start()
    assert ask(own_postgres.url(), "SELECT n FROM kept") == 1


def test_each_test_has_a_database_of_its_own(bare_database_url, postgres_server):
    assert ask(bare_database_url, "SELECT current_database()") != "ascwebhooks"
    assert ask(postgres_server.url(), "SELECT current_database()") == "ascwebhooks"


def test_what_is_in_the_way_is_not_destroyed(own_postgres: Postgres):
    """A folder that is no database, yet not empty, may be somebody's."""
    own_postgres.stop()
    (own_postgres.data_dir / "PG_VERSION").unlink()
    with pytest.raises(Unavailable, match="in the way"):
        own_postgres.start()
    assert (own_postgres.data_dir / "global").is_dir()


def test_another_version_of_postgres_is_said(own_postgres: Postgres):
    own_postgres.stop()
    (own_postgres.data_dir / "PG_VERSION").write_text("17\n")
    with pytest.raises(Unavailable, match="made by PostgreSQL 17"):
        own_postgres.start()


def test_a_postgres_that_cannot_start_says_why(own_postgres: Postgres):
    own_postgres.stop()
    (own_postgres.data_dir / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(Unavailable, match="unrecognized configuration parameter"):
        own_postgres.start()


def test_valkey_keeps_its_url_and_its_data(own_valkey):
    url = own_valkey.url()
    with redis.Redis.from_url(url) as client:
        client.set("kept", "1")
    own_valkey.kill()
    own_valkey.start()
    known = of_home(own_valkey.data_dir.parent, postgres=False).valkey
    assert known.url() == own_valkey.url() == url
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"1"
        assert client.config_get("maxmemory-policy") == {
            "maxmemory-policy": "noeviction"
        }


def test_valkey_asks_for_the_password(own_valkey):
    _, _, address = own_valkey.url().partition("@")
    with (
        redis.Redis.from_url(f"redis://{address}") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    arguments = own_valkey.program().argv
    assert not any(own_valkey.url().split(":")[2].split("@")[0] in a for a in arguments)


def test_a_start_waits_for_who_still_works_in_the_data_directory(own_valkey):
    """A predecessor that shuts down; a second server would destroy the files."""
    own_valkey.stop()
    predecessor = processes.spawn(
        Program(name="old", argv=("sleep", "600"), cwd=own_valkey.data_dir),
        subprocess.DEVNULL,
    )
    try:
        with pytest.raises(Unavailable, match=f"in use by process {predecessor.pid}"):
            processes.wait_until_left(own_valkey.data_dir, timeout_s=0)
        waits: list[float] = []

        def pause(seconds: float) -> None:
            waits.append(seconds)
            predecessor.kill()
            predecessor.wait()

        own_valkey.prepare(pause)
        assert len(waits) == 1
    finally:
        predecessor.kill()
        predecessor.wait()


def test_servers_see_nothing_of_our_environment(
    postgres_server, valkey_server, monkeypatch, tmp_path
):
    """Keys are none of their business, and PGPORT would change what they do.

    Asked of ``env`` in their place: servers write their titles over theirs.
    """
    monkeypatch.setenv("ASCWEBHOOKS_ENCRYPTION_KEYS", "k1:secret")
    for server in (postgres_server, valkey_server):
        program = replace(server.program(), argv=("env",), cwd=tmp_path, user=None)
        with (tmp_path / "output").open("w+b") as output:
            assert processes.spawn(program, output).wait(30) == 0
            output.seek(0)
            names = {line.partition(b"=")[0] for line in output}
        assert names == {b"PATH", b"LC_ALL", b"TZ"}


def test_celery_takes_the_same_url(redis_url):
    app = Celery(broker=redis_url)
    app.send_task("any.task", queue="q")
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("q") == 1
    app.close()
