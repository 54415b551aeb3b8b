"""The commands as processes, on real engines and with real workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.embedded import ports
from ascwebhooks.errors import NotAuthenticated
from tests.acceptance.cluster import Cluster, cluster
from tests.waiting import wait_until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def site(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def run(site: Cluster) -> Run:
    """Run a command on the cluster's engines; other settings by name."""

    def run(
        *arguments: str, given: str = "", **changed: str
    ) -> subprocess.CompletedProcess[str]:
        named = {f"ASCWEBHOOKS_{name}": value for name, value in changed.items()}
        return subprocess.run(
            [sys.executable, "-m", "ascwebhooks", *arguments],
            env={**site.env, **named},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def done(run: Run) -> Callable[..., str]:
    """Run a command that must succeed; return what it printed."""

    def done(*arguments: str, **options: str) -> str:
        ended = run(*arguments, **options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return done


def items(text: str) -> list[dict[str, object]]:
    return list(json.loads(text)["items"])


def test_a_key_is_printed_alone_listed_without_itself_and_revoked(site, run, done):
    ended = run("keys", "create", "--role", "viewer", "--name", "reports")
    key = ended.stdout.removesuffix("\n")
    assert (ended.returncode, key.split()) == (0, [key])
    assert site.services.keys.recognise(key).role == Role.VIEWER

    listed = done("keys", "list", "--json")
    assert key not in listed
    assert [each["name"] for each in items(listed)] == ["reports"]

    done("keys", "revoke", str(items(listed)[0]["id"]))
    with pytest.raises(NotAuthenticated):
        site.services.keys.recognise(key)


def test_what_is_not_there_is_1_and_said_without_a_traceback(run):
    ended = run("endpoints", "list", "--tenant", "nobody")
    assert ended.returncode == 1
    assert ended.stderr.startswith("ascwebhooks: ")
    assert "Traceback" not in ended.stderr


def test_what_is_sent_is_accepted_by_a_worker_or_rejected_with_the_reason(
    site, run, done
):
    site.start("ingest")
    done("tenants", "create", "acme")
    done("send", "budget.exceeded", "--tenant", "acme", "--data", '{"n": 1}')
    done("send", "budget.exceeded", "--tenant", "nobody")
    lines = [
        json.dumps({"id": f"from-file-{n}", "source": "/file", "tenantid": "acme"})
        for n in range(3)
    ]
    done("send", "key.rotated", "--file", "-", given="\n".join(lines))

    def accepted() -> list[dict[str, object]]:
        return items(done("events", "list", "--tenant", "acme", "--json"))

    wait_until(lambda: len(accepted()) == 4, 30, "all four are accepted")
    rejected = items(done("rejected-events", "list", "--json"))
    assert [each["code"] for each in rejected] == ["unknown_tenant"]

    first = accepted()[-1]
    shown = json.loads(
        done("events", "show", str(first["id"]), "--tenant", "acme", "--json")
    )
    assert (shown["type"], shown["data"]) == ("budget.exceeded", {"n": 1})


def test_a_bad_line_in_a_file_is_named_and_what_came_before_it_was_sent(site, run):
    good = json.dumps({"id": "1", "source": "/f", "type": "t.x", "tenantid": "acme"})
    ended = run("send", "--file", "-", given=f"{good}\nnot json\n")
    assert ended.returncode == 2
    assert "line 2" in ended.stderr
    with site.redis() as client:
        assert client.xlen("asc:events") == 1


def test_a_page_says_how_to_go_on(site, done):
    for name in ("acme", "globex", "initech"):
        site.services.tenants.create(name)
    first = json.loads(done("tenants", "list", "--json", "--limit", "2"))
    assert [each["id"] for each in first["items"]] == ["acme", "globex"]
    rest = done("tenants", "list", "--json", "--cursor", first["next_cursor"])
    assert [each["id"] for each in items(rest)] == ["initech"]
    assert json.loads(rest)["next_cursor"] is None


def test_listen_verifies_what_a_worker_delivers_and_fails_when_told_to(site, done):
    """One 503, then a retry a second later, both signed and printed."""
    site.start("ingest", "deliver", "slow", "maintenance", "beat")
    site.services.tenants.create("acme")
    port = ports.choose()
    endpoint = json.loads(
        done(
            *("endpoints", "create", f"http://127.0.0.1:{port}/in"),
            *("--tenant", "acme", "--retry-schedule-s", "1", "--json"),
        )
    )
    with _listening(site, port, endpoint["secret"], "--fail", "503:1") as lines:
        done("endpoints", "test", endpoint["id"], "--tenant", "acme")
        received = wait_until(lambda: lines(2), 30, "the retry came")

    assert [each["answered_status"] for each in received] == [503, 200]
    assert all(each["verified"] for each in received)
    assert {each["type"] for each in received} == {"endpoint.test"}
    assert len({each["webhook_id"] for each in received}) == 1

    def delivered() -> list[dict[str, object]]:
        wanted = ("--tenant", "acme", "--status", "delivered", "--json")
        return items(done("deliveries", "list", *wanted))

    found = wait_until(delivered, 30, "it is recorded as delivered")[0]
    shown = done("deliveries", "show", str(found["id"]), "--tenant", "acme", "--json")
    statuses = [each["status_code"] for each in json.loads(shown)["attempts"]]
    assert statuses == [503, 200]


_LISTEN = (sys.executable, "-m", "ascwebhooks", "listen", "--json")


class _listening:  # noqa: N801  (used as a function)
    """``ascwebhooks listen --json`` as a process, ended by Ctrl-C."""

    def __init__(self, site: Cluster, port: int, secret: str, *options: str) -> None:
        self._out = site.folder / "listen.out"
        self._err = site.folder / "listen.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*_LISTEN, "--port", str(port), "--secret", secret, *options],
                env=site.env,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Callable[[int], list[dict[str, object]]]:
        wait_until(lambda: "Listening" in self._err.read_text(), 30, "it listens")
        return self._lines

    def _lines(self, at_least: int) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self._out.read_text().splitlines()]
        return found if len(found) >= at_least else []

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(20) == 0


def test_doctor_says_which_worker_is_missing(site, run):
    site.start("ingest", "deliver", "maintenance")
    ended = run("doctor", "--json")
    found = {each["check"]: each for each in items(ended.stdout)}
    assert ended.returncode == 1
    assert {name for name, each in found.items() if not each["well"]} == {"workers"}
    assert "--deliver --slow" in str(found["workers"]["mend"])


def test_doctor_says_which_part_is_away(run):
    away = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    ended = run("doctor", "--json", **away)
    found = {each["check"]: each for each in items(ended.stdout)}
    assert ended.returncode == 1
    assert not found["database"]["well"]
    assert not found["broker"]["well"]
    assert found["database"]["mend"]
    assert "Traceback" not in ended.stderr


def test_a_command_whose_database_or_broker_is_away_says_so(run):
    for arguments, name in (
        (("migrate",), "DATABASE_URL"),
        (("send", "budget.exceeded", "--tenant", "acme"), "REDIS_URL"),
    ):
        url = f"{'postgresql' if name == 'DATABASE_URL' else 'redis'}://127.0.0.1:1/0"
        ended = run(*arguments, **{name: url})
        assert ended.returncode == 1, arguments
        assert "ascwebhooks: " in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_filter_is_tried_out_made_and_explained(site, run, done):
    """And a filter that is no good is 2, with the place of the fault."""
    site.services.tenants.create("acme")
    url = "http://127.0.0.1:9009/hook"
    made = site.services.endpoints.create("acme", url=url, event_types=[])
    endpoint_id = ids.show(Kind.ENDPOINT, made.described.endpoint.id)
    tenant = ("--tenant", "acme")
    raw = {"specversion": "1.0", "id": "1", "source": "/t", "type": "a.b"}
    whole = json.dumps({**raw, "tenantid": "acme", "data": {"n": 1}}).encode()

    wrong = run("subscriptions", "create", endpoint_id, *tenant, "--filter", "1 +")
    assert wrong.returncode == 2
    assert "line 1, column 4" in wrong.stderr
    created = done(
        "subscriptions",
        "create",
        endpoint_id,
        *tenant,
        "--filter",
        "data.n > 1",
        "--json",
    )
    subscription_id = json.loads(created)["id"]
    (verdict,) = site.services.acceptance.accept([whole], via="test")
    event_id = ids.show(Kind.EVENT, verdict.id)

    assert event_id in done("subscriptions", "preview", *tenant)
    previewed = json.loads(
        done("subscriptions", "preview", *tenant, "--filter", "data.n > 1", "--json")
    )
    assert previewed["counts"] == {"events": 1, "matched": 0, "failed": 0}
    (why,) = json.loads(done("events", "why", event_id, *tenant, "--json"))["endpoints"]
    assert (why["endpoint_id"], why["outcome"]) == (endpoint_id, "filtered")
    assert (why["subscription_id"], why["filter"]) == (subscription_id, "data.n > 1")
    table = done("events", "why", event_id, *tenant)
    assert all(each in table for each in (endpoint_id, "filtered", "data.n > 1"))

    changed = ("subscriptions", "update", subscription_id, *tenant)
    assert json.loads(done(*changed, "--disable", "--json"))["enabled"] is False
    assert json.loads(done(*changed, "--no-filter", "--json"))["filter"] is None
    assert run(*changed).returncode == 2
    listed = items(done("subscriptions", "list", *tenant, "--json"))
    assert [each["id"] for each in listed] == [subscription_id]
    done("subscriptions", "delete", subscription_id, *tenant)
    assert run("subscriptions", "show", subscription_id, *tenant).returncode == 1
