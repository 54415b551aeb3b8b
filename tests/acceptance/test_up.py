"""``ascwebhooks up`` as a new user runs it: the first start, the next, the worst."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis

from ascwebhooks.embedded import locks, ports
from tests.acceptance.ups import START_S, Up, left_over, make_home
from tests.waiting import wait_until


@pytest.fixture
def start() -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(home: Path, *options: str, **given: str) -> Up:
        started.append(Up(home, *options, **given))
        return started[-1]

    yield start
    for each in started:
        each.close()


class First:
    """What a first start showed, and the home that it left behind."""

    def __init__(self, up: Up) -> None:
        self.home = up.home
        up.ready()
        self.proof = up.proof
        self.readyz = _status(up.bind, "/readyz")
        self.doctor = up.command("doctor")
        self.env = json.loads(up.command("env", "--json", "--show-secrets"))
        self.tenants = _query(self.env["DATABASE_URL"], "SELECT count(*) FROM tenant")
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            self.waiting = client.xlen("asc:events")
        self.status = up.ctrl_c()
        self.output = up.output
        self.left_over = left_over(up.home)


@pytest.fixture(scope="module")
def first() -> Iterator[First]:
    for home in make_home():
        with closing(Up(home)) as up:
            found = First(up)
        yield found


@pytest.fixture
def new_home() -> Iterator[Path]:
    yield from make_home()


def _status(bind: str, path: str) -> int:
    with closing(http.client.HTTPConnection(bind, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def _query(url: str, statement: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])


def test_a_first_start_delivers_every_recorded_event_once_and_verified(first):
    assert first.proof == [254, 254, 254, 0]
    assert first.readyz == 200
    assert "✗" not in first.doctor


def test_other_programs_reach_what_it_started(first):
    """env gives the URLs of the embedded engines."""
    assert (first.tenants, first.waiting) == (3, 0)


def test_it_says_what_it_allows_for_its_demonstration_and_shows_one_key_and_login(
    first,
):
    assert "ASCWEBHOOKS_ALLOW_HTTP=true" in first.output
    assert "ASCWEBHOOKS_ALLOWED_NETWORKS=127.0.0.1/32" in first.output
    assert len(re.findall(r"^ascw_\S+$", first.output, re.MULTILINE)) == 1
    assert len(re.findall(r"shown once: +[a-z2-7-]{27}$", first.output, re.M)) == 1


def test_ctrl_c_is_0_and_leaves_no_process(first):
    assert (first.status, first.left_over) == (0, [])
    assert "Traceback" not in first.output
    assert not (first.home / "runtime.env").exists()


def test_a_second_start_keeps_its_data_and_proves_itself_with_one_test(first, start):
    """And a delivery worker that is killed meanwhile is started again."""
    up = start(first.home).ready()
    assert "254 delivered" in up.output
    assert "endpoint.test to ep_" in up.output
    assert up.proof == [1, 1, 1, 0]
    assert not re.search(r"^ascw_", up.output, re.MULTILINE)
    assert "log in as" not in up.output

    pid = up.said(r"deliver-1 started \(process (\d+)\)")[1]
    os.kill(int(pid), signal.SIGKILL)
    up.said(rf"deliver-1 started \(process (?!{pid}\))\d+\)")
    assert "killed by SIGKILL" in up.output
    target = json.loads((first.home / "demo.json").read_text())["targets"][0]
    where = ("--tenant", target["tenant_id"])
    up.command("endpoints", "test", target["endpoint_id"], *where)

    def served() -> bool:
        wanted = ("--event-type", "endpoint.test", "--status", "delivered", "--json")
        found = json.loads(up.command("deliveries", "list", *where, *wanted))
        return len(found["items"]) == 2

    wait_until(served, 60, "the worker that was started again delivers")
    assert up.ctrl_c() == 0


def test_after_kill_9_of_the_supervisor_the_next_start_is_a_normal_one(first, start):
    killed = start(first.home, "--no-proof")
    killed.said("beat started")
    killed.kill()
    up = start(first.home).ready()
    assert up.proof == [1, 1, 1, 0]
    assert up.ctrl_c() == 0


def test_with_both_urls_it_starts_no_engine(start, new_home, database_url, redis_url):
    up = start(new_home, DATABASE_URL=database_url, REDIS_URL=redis_url).ready()
    assert "postgres started" not in up.output
    assert "valkey started" not in up.output
    assert up.proof == [254, 254, 254, 0]
    assert redis_url not in (new_home / "runtime.env").read_text()
    assert up.ctrl_c() == 0


def test_a_port_in_use_is_2_and_named(start, new_home):
    with socket.create_server((ports.HOST, 0)) as taken:
        bind = "{}:{}".format(*taken.getsockname())
        up = start(new_home, BIND=bind)
        assert up.process.wait(START_S) == 2
    assert "ASCWEBHOOKS_BIND" in up.output
    assert bind in up.output
    assert "Traceback" not in up.output


def test_a_home_in_use_is_1_and_names_the_process(start, new_home):
    with locks.home(new_home):
        up = start(new_home)
        assert up.process.wait(START_S) == 1
    assert f"in use by process {os.getpid()}" in up.output
    assert "Traceback" not in up.output
