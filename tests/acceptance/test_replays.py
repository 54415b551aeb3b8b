"""Ten thousand dead letters arrive, each once, whatever happens to the replay.

Real engines, real worker processes, a real receiver, the real command line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from ascwebhooks import bootstrap, settings
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.embedded.valkey import Valkey
from ascwebhooks.storage.claims import Failure, NewAttempt
from ascwebhooks.storage.unit_of_work import UnitOfWork
from tests.acceptance.cluster import Cluster, Tally, cluster, event
from tests.waiting import wait_until

DEAD = 10_000
ATTEMPTS_EACH = 3
ENDPOINTS = 10
BATCH = 500
RATE = 2_000
PENDING_OR_SENT = "SELECT count(*) FROM delivery WHERE status <> 'dead_lettered'"
DELIVERED = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
NOW = datetime.now(UTC)

Report = Callable[[str, object], None]


@pytest.fixture
def run(
    own_postgres: Postgres, own_valkey: Valkey, tmp_path: Path
) -> Iterator[Cluster]:
    with cluster(own_postgres.url(), own_valkey.url(), tmp_path) as made:
        yield made


def make_dead(run: Cluster, count: int) -> None:
    """Accept events and record failed attempts of each, until none is left to make."""
    parts = bootstrap.Parts(settings.read(run.env))
    for at in range(0, count, BATCH):
        raws = [event(number, ENDPOINTS) for number in range(at, at + BATCH)]
        run.services.acceptance.accept(raws, via="stream")
    rows = _pending(parts.uow)
    for at in range(0, count, BATCH):
        with parts.uow() as uow:
            for attempt in range(1, ATTEMPTS_EACH + 1):
                _fail(uow, rows[at : at + BATCH], attempt)
            uow.commit()
    parts.engine.dispose()


def _pending(uow: Callable[[], UnitOfWork]) -> list[tuple[UUID, UUID]]:
    with uow() as looking:
        page = looking.deliveries.page("acme", after=None, limit=DEAD)
        return sorted((each.id, each.endpoint_id) for each in page)


def _fail(uow: UnitOfWork, rows: list[tuple[UUID, UUID]], attempt: int) -> None:
    last = attempt == ATTEMPTS_EACH
    nothing = (None,) * 6
    random = os.urandom(ids.random_bytes(len(rows)))
    names = ids.uuid7_batch(int(time.time() * 1000), random)
    uow.claims.add_attempts(
        [
            NewAttempt(
                delivery_id,
                name,
                "acme",
                endpoint_id,
                NOW,
                503,
                "http_status",
                *nothing,
                1.0,
                b"",
            )
            for name, (delivery_id, endpoint_id) in zip(names, rows, strict=True)
        ],
        again=False,
    )
    then = ("dead_lettered", None) if last else ("pending", 60.0)
    reason = "attempts_exhausted" if last else None
    what = (attempt - 1, *then, 503, "http_status", reason)
    moved = [Failure(each, *what) for each, _ in rows]
    assert len(uow.claims.failed(moved)) == len(rows)


def reopened(run: Cluster) -> int:
    return run.query("SELECT coalesce(sum(reopened), 0) FROM replay")


def test_ten_thousand_dead_letters_arrive_each_once(
    run: Cluster, record_property: Report
) -> None:
    """By filter; paused and resumed once, its process killed with -9 once."""
    tally = Tally()
    with Receiver(on_delivery=tally.count) as receiver:
        run.tenant(receiver, ENDPOINTS)
        make_dead(run, DEAD)
        assert run.query(PENDING_OR_SENT) == 0
        assert run.query("SELECT min(attempt_count) FROM delivery") == ATTEMPTS_EACH
        run.start("deliver", "slow", "maintenance", "beat")

        replays = run.services.replays
        began_s = time.monotonic()
        replay = replays.create("acme", filter={}, rate_per_s=RATE).replay
        record_property("created in ms", (time.monotonic() - began_s) * 1000)
        assert replay.total == DEAD

        wait_until(lambda: reopened(run) >= 2_000, 30, "it is under way")
        replays.pause("acme", replay.id)
        at_rest = reopened(run)
        wait_until(
            lambda: run.query(DELIVERED) == at_rest, 30, "the rest is waited for"
        )
        assert (reopened(run), run.query(PENDING_OR_SENT)) == (at_rest, at_rest)
        assert at_rest < DEAD, "it was paused too late to prove anything"
        replays.resume("acme", replay.id)

        wait_until(lambda: reopened(run) > at_rest, 30, "it goes on")
        run.kill("maintenance")
        at_kill = reopened(run)
        assert at_kill < DEAD, "it was killed too late to prove anything"
        assert run.query(PENDING_OR_SENT) == at_kill, "all of a batch or nothing"
        run.start("maintenance")

        wait_until(lambda: run.query(DELIVERED) == DEAD, 120, "all are delivered")
        wait_until(
            lambda: replays.get("acme", replay.id).replay.state == "finished",
            30,
            "the replay is finished",
        )
        took_s = time.monotonic() - began_s

    progress = replays.get("acme", replay.id)
    record_property("reopened at the pause", at_rest)
    record_property("reopened at the kill", at_kill)
    record_property("received", len(tally.by_event))
    record_property("duplicates", tally.duplicates)
    record_property("took s", took_s)
    assert (len(tally.by_event), tally.requests, tally.duplicates) == (DEAD, DEAD, 0)
    assert (progress.replay.reopened, progress.replay.skipped) == (DEAD, 0)
    assert progress.outcome == {"delivered": DEAD}
    assert run.query("SELECT max(attempt_count) FROM delivery") == ATTEMPTS_EACH + 1
    assert run.query("SELECT count(*) FROM attempt") == DEAD * (ATTEMPTS_EACH + 1)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ascwebhooks", *arguments, "--tenant", "acme"]


@pytest.fixture
def told(run: Cluster) -> Callable[..., str]:
    """Run a command that must succeed; return what it printed."""

    def told(*arguments: str) -> str:
        done = subprocess.run(
            command(*arguments),
            env=run.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return told


def test_the_command_line_replays_follows_and_leaves_it_running(
    run: Cluster, told: Callable[..., str]
) -> None:
    """Plain lines where there is no terminal; Ctrl-C stops the showing alone."""

    count = 2 * BATCH
    tally = Tally()
    with Receiver(on_delivery=tally.count) as receiver:
        run.tenant(receiver, ENDPOINTS)
        make_dead(run, count)
        groups = json.loads(told("dead-letters", "list", "--json"))["items"]
        assert len(groups) == ENDPOINTS
        assert {each["deliveries"] for each in groups} == {count // ENDPOINTS}
        assert {each["dead_reason"] for each in groups} == {"attempts_exhausted"}
        assert all(each["first"] <= each["last"] for each in groups)
        endpoint = groups[0]["endpoint_id"]
        shown = json.loads(told("dead-letters", "show", endpoint, "--json"))
        assert {each["endpoint_id"] for each in shown["items"]} == {endpoint}
        dry = json.loads(told("dead-letters", "replay", "--dry-run", "--json"))
        assert dry["count"] == count
        assert run.query("SELECT count(*) FROM replay") == 0

        run.start("deliver", "slow", "maintenance", "beat")
        follower = subprocess.Popen(
            command("dead-letters", "replay", "--rate", "20"),
            env=run.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: reopened(run) > 20, 30, "it is under way")
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("reopened: ")
        follower.send_signal(signal.SIGINT)
        _, errors = follower.communicate(timeout=10)
        (replay,) = json.loads(told("replay", "list", "--json"))["items"]
        assert follower.returncode == 0
        assert f"ascwebhooks replay status {replay['id']} --tenant acme" in errors
        assert replay["state"] == "running"

        name = replay["id"]
        assert "paused" in told("replay", "pause", name)
        assert "running" in told("replay", "resume", name)
        assert "cancelled" in told("replay", "cancel", name)
        before = reopened(run)
        rest = json.loads(told("replay", "create", "--all", "--json"))
        assert rest["state"] == "finished"
        assert rest["reopened"] == count - before
        wait_until(lambda: run.query(DELIVERED) == count, 60, "all are delivered")
        assert tally.duplicates == 0

        one = json.loads(told("deliveries", "list", "--limit", "1", "--json"))["items"][
            0
        ]
        assert one["replay_id"] in (name, rest["id"])
        again = json.loads(told("replay", "create", one["id"], "--json", "--no-wait"))
        assert (again["total"], again["filter"]) == (1, None)
        last = ids.read(Kind.REPLAY, again["id"])
        wait_until(
            lambda: run.services.replays.get("acme", last).outcome == {"delivered": 1},
            30,
            "what had arrived is sent again",
        )

    ended = subprocess.run(
        command("deliveries", "cancel", one["id"]),
        env=run.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "already" in ended.stderr) == (1, True)
    assert tally.duplicates == 1, "the one that was asked for by its id"
