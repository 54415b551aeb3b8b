"""The supervisor as a process of its own, interrupted and killed like one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from ascwebhooks import settings
from ascwebhooks.embedded import keyring, locks, places, processes, runner, runtime
from ascwebhooks.embedded.processes import Program
from ascwebhooks.errors import Conflict, SettingsInvalid
from tests.waiting import wait_until

# A small ``up``: what is embedded, then the programs given as JSON.
SCRIPT = """
import json, os, signal, sys
from ascwebhooks import settings
from ascwebhooks.embedded import locks, runtime
from ascwebhooks.embedded.engines import start_embedded
from ascwebhooks.embedded.output import Terminal
from ascwebhooks.embedded.processes import Program
from ascwebhooks.embedded.supervisor import Supervisor
from ascwebhooks.errors import AscWebhooksError

home = settings.read(os.environ).home_dir
try:
    with locks.home(home), Supervisor(Terminal(sys.stdout), home / "log") as supervisor:
        if sys.argv[1] == "engines":
            engines = start_embedded(settings.read(os.environ), supervisor)
            runtime.write(home, engines.urls())
        for each in json.loads(sys.argv[2]):
            each["argv"] = (sys.executable, "-u", "-c", *each["argv"])
            supervisor.start(Program(**each))
        supervisor.say("ready")
        supervisor.run()
except AscWebhooksError as error:
    sys.exit(str(error))
"""
IGNORES_TERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf'); signal.pause()"
)
WAITS = "import signal; print('up'); signal.pause()"
GRANDCHILD = (
    "import subprocess, sys; "
    "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    "print('grandchild', p.pid, flush=True); p.wait()"
)


class Up:
    """One run of the script; its output is in a file, so it never blocks."""

    def __init__(self, home: Path, what: str, programs: list[dict[str, object]]):
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        environment = {**os.environ, "ASCWEBHOOKS_HOME_DIR": str(home)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, what, json.dumps(programs)],
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    @property
    def output(self) -> str:
        return os.pread(self._output.fileno(), 1_000_000, 0).decode()

    def said(self, pattern: str, timeout_s: float = 30) -> re.Match[str]:
        return wait_until(
            lambda: re.search(pattern, self.output), timeout_s, f"{pattern} is said"
        )

    def pid(self, name: str) -> int:
        return int(self.said(rf"{name} started \(process (\d+)\)")[1])

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def ctrl_c(self) -> int:
        """As a terminal does: to the whole foreground group, not to us alone."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._output.close()


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="asc-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for name in (places.POSTGRES, places.VALKEY):
            processes.wait_until_left(Path(folder) / name, 30)


@pytest.fixture
def up(home: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(what: str = "engines", *programs: dict[str, object]) -> Up:
        started.append(Up(home, what, list(programs)))
        return started[-1]

    yield start
    for each in started:
        each.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except FileNotFoundError:
        return False


def urls(home: Path) -> tuple[str, str]:
    found = settings.read({"ASCWEBHOOKS_HOME_DIR": str(home)})
    return found.require_database_url(), found.require_redis_url()


def count_up(home: Path) -> tuple[int, int]:
    """Add one in PostgreSQL and in Valkey; return both counters."""
    database_url, redis_url = urls(home)
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS counter (n int)")
            cursor.execute("INSERT INTO counter VALUES (1)")
            cursor.execute("SELECT count(*) FROM counter")
            row = cursor.fetchone()
    finally:
        connection.close()
    with redis.Redis.from_url(redis_url) as client:
        return row[0], client.incr("counter")


def test_kill_9_leaves_no_process_and_the_next_start_has_the_data(home, up):
    first = up("engines", {"name": "child", "argv": [WAITS]})
    first.said("ready")
    children = [first.pid(name) for name in ("postgres", "valkey", "child")]
    assert count_up(home) == (1, 1)

    first.process.kill()
    first.process.wait()
    # At once, while the old servers may still be shutting down.
    second = up()
    second.said("ready", 60)
    assert count_up(home) == (2, 2)
    assert not any(alive(pid) for pid in children)
    assert second.end() == 0


def test_kill_9_alone_ends_every_process(home, up):
    """The same without a second start, which would wait for them or kill them."""
    run = up("engines", {"name": "child", "argv": [WAITS]})
    run.said("ready")
    children = [run.pid(name) for name in ("postgres", "valkey", "child")]
    assert all(alive(pid) for pid in children)

    run.process.kill()
    run.process.wait()
    wait_until(lambda: not any(map(alive, children)), 30, "all children end")
    assert processes.inside(home / places.POSTGRES) == []


def test_a_pid_file_that_names_a_stranger_does_not_stop_postgres(home, up):
    """After a crash the number may be another program's, of the same user."""
    first = up()
    first.said("ready")
    first.end()
    user = places.choose(home).user
    stranger = processes.spawn(
        Program(name="stranger", argv=("sleep", "600"), user=user, cwd=Path("/")),
        subprocess.DEVNULL,
    )
    try:
        stale = home / "postgres" / "postmaster.pid"
        stale.write_text(f"{stranger.pid}\n{stale.parent}\n1\n5432\n\n\n0 0\n")
        second = up()
        second.said("ready")
        assert alive(stranger.pid)
        assert second.end() == 0
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_start_names_the_process_that_has_the_home(home, up):
    first = up("none")
    first.said("ready")
    second = up("none")

    assert second.process.wait(30) == 1
    assert f"HOME_DIR {home} is in use by process {first.process.pid}" in second.output
    assert first.end() == 0


def test_what_a_dead_supervisor_wrote_is_not_believed(home, up):
    """Else the engines would be taken for given, and not be started."""
    runtime.write(
        home, {"DATABASE_URL": "postgresql://u@/gone", "REDIS_URL": "redis://gone"}
    )
    run = up()
    run.said("ready")
    assert count_up(home) == (1, 1)
    run.end()
    assert not (home / "runtime.env").exists(), "nothing runs, nothing is told"


def test_stops_in_reverse_order(up):
    run = up(
        "engines", {"name": "one", "argv": [WAITS]}, {"name": "two", "argv": [WAITS]}
    )
    run.said("ready")
    assert run.ctrl_c() == 0

    assert re.findall(r"(\w+) stopped", run.output) == [
        "two",
        "one",
        "valkey",
        "postgres",
    ]


def test_a_group_stops_together(up):
    """In turn, the first to stop would wait out the deaf one's three seconds."""
    deaf = {"name": "deaf", "argv": [IGNORES_TERM], "stop_timeout_s": 3, "group": "g"}
    other = {"name": "other", "argv": [WAITS], "group": "g"}
    run = up("none", other, deaf)
    run.said("ready")
    wait_until(lambda: "deaf" in log_of(run, "deaf"), 10, "it is deaf")
    run.process.terminate()
    run.said("other stopped", 2.5)
    assert run.process.wait(30) == 0
    assert run.output.index("other stopped") < run.output.index("deaf stopped")


def log_of(run: Up, name: str) -> str:
    home = Path(
        Path(f"/proc/{run.process.pid}/environ")
        .read_text()
        .partition("ASCWEBHOOKS_HOME_DIR=")[2]
        .partition("\0")[0]
    )
    path = home / "log" / f"{name}.log"
    return path.read_text() if path.exists() else ""


def test_what_does_not_stop_is_killed_after_its_time(up):
    run = up("none", {"name": "deaf", "argv": [IGNORES_TERM], "stop_timeout_s": 0.5})
    wait_until(lambda: "deaf" in log_of(run, "deaf"), 10, "it is deaf")
    child = run.pid("deaf")

    assert run.end() == 0
    assert "deaf has not stopped; killing it" in run.output
    assert not alive(child)


def test_a_second_ctrl_c_kills_at_once(up):
    run = up("none", {"name": "deaf", "argv": [IGNORES_TERM], "stop_timeout_s": 600})
    wait_until(lambda: "deaf" in log_of(run, "deaf"), 10, "it is deaf")
    run.process.send_signal(signal.SIGINT)
    run.said("press Ctrl-C again")
    assert run.end(signal.SIGINT) == 0


def test_a_program_that_ends_is_started_again_and_more_and_more_slowly(up):
    run = up("none", {"name": "brief", "argv": ["print('oh no'); raise SystemExit(3)"]})
    run.said(r"brief ended unexpectedly \(status 3\); starting it again in 0.8 s")
    run.end()

    assert re.findall(r"again in (\S+) s", run.output)[:3] == ["0.2", "0.4", "0.8"]
    assert "oh no" in run.output
    assert len(set(re.findall(r"brief started \(process (\d+)", run.output))) >= 3


def test_what_waits_for_its_restart_is_not_started_while_all_stops(up):
    """Its time comes while the deaf one, which stops last, is waited for."""
    deaf = {"name": "deaf", "argv": [IGNORES_TERM], "stop_timeout_s": 1.5}
    run = up("none", deaf, {"name": "brief", "argv": ["raise SystemExit(3)"]})
    wait_until(lambda: "deaf" in log_of(run, "deaf"), 10, "it is deaf")
    run.said("again in 0.4 s")
    assert run.end() == 0

    _, _, after = run.output.partition("stopping;")
    assert "deaf has not stopped" in after
    assert "brief started" not in after


def test_a_killed_engine_comes_back_with_its_data(home, up):
    run = up()
    run.said("ready")
    assert count_up(home) == (1, 1)
    for name in ("postgres", "valkey"):
        os.kill(run.pid(name), signal.SIGKILL)
        run.said(rf"{name} ended unexpectedly \(killed by SIGKILL\)")

    def counted() -> tuple[int, int] | None:
        try:
            return count_up(home)
        except (psycopg2.OperationalError, redis.ConnectionError):
            return None

    # A first attempt may count in PostgreSQL before Valkey is back.
    rows, number = wait_until(counted, 30, "both are back")
    assert rows >= 2
    assert number == 2
    assert run.end() == 0


def test_what_a_dead_program_left_behind_is_killed_before_it_starts_again(up):
    run = up("none", {"name": "parent", "argv": [GRANDCHILD]})
    grandchild = int(
        wait_until(
            lambda: re.search(r"grandchild (\d+)", log_of(run, "parent")), 10, "a child"
        )[1]
    )
    os.kill(run.pid("parent"), signal.SIGKILL)
    run.said("parent ended unexpectedly")
    assert not alive(grandchild)
    run.end()


def test_the_terminal_shows_warnings_and_the_log_shows_all(up):
    lines = (
        "import json, signal; "
        "print('plain'); "
        "print(json.dumps({'level': 'info', 'event': 'quiet'})); "
        "print(json.dumps({'level': 'warning', 'event': 'loud', 'n': 1, "
        "'x': '\\x1b[2J'})); "
        "signal.pause()"
    )
    run = up("none", {"name": "child", "argv": [lines]})
    run.said(r"child +│ warning: loud n=1")
    assert "plain" not in run.output
    assert "quiet" not in run.output
    assert "\x1b" not in run.output, "no colours in a file, no orders to a terminal"
    assert {"plain", "quiet", "loud"} <= set(re.findall(r"\w+", log_of(run, "child")))
    run.end()


def test_the_port_is_said_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"{port}.*in use") as caught:
            locks.check_bind(f"127.0.0.1:{port}")
    assert caught.value.context["setting"] == "ASCWEBHOOKS_BIND"
    assert "ASCWEBHOOKS_BIND" in str(caught.value)
    locks.check_bind(f"127.0.0.1:{port}")


def test_the_lock_is_free_again_afterwards(home):
    with locks.home(home), pytest.raises(Conflict), locks.home(home):
        pass
    with locks.home(home):
        assert (home / "lock").read_text() == f"{os.getpid()}\n"


def test_the_key_ring_is_made_once_and_for_us_alone(home):
    path = keyring.ensure(home)
    first = path.read_text()
    assert keyring.ensure(home).read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    found = settings.read({"ASCWEBHOOKS_HOME_DIR": str(home)})
    ((key_id, key),) = found.require_encryption_keys()
    assert (key_id, len(key)) == ("k1", 32)


def test_what_is_written_for_other_commands_reads_back(home):
    url = "postgresql://ascwebhooks@/ascwebhooks?host=/tmp/it's %20a#b\\dir"
    path = runtime.write(home, {"DATABASE_URL": url})
    assert path.stat().st_mode & 0o777 == 0o600
    found = settings.read({"ASCWEBHOOKS_HOME_DIR": str(home)})
    assert found.database_url == url
    with pytest.raises(ValueError, match="REGION"):
        runtime.write(home, {"REGION": "${HOME}"})


def test_a_command_whose_parent_is_gone_is_not_run(tmp_path):
    """The parent may die between making the process and asking for the signal."""
    trace = tmp_path / "trace"
    command = [sys.executable, "-I", "-S", runner.__file__, "--parent", "1"]
    done = subprocess.run([*command, "--", "touch", str(trace)], check=False)
    assert done.returncode == runner.ORPHANED
    assert not trace.exists()


def test_a_command_ends_whatever_its_starter_had_blocked():
    """A signal that is blocked stays so through exec, and stopping took 30 s."""
    command = [sys.executable, "-I", "-S", runner.__file__, "--", "sleep", "60"]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen(command)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert processes.stop(process, signal.SIGTERM, 10) == -signal.SIGTERM


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs engines as another user")
def test_as_root_a_closed_home_is_left_closed(home):
    """The data goes where the engines' user can get; nothing is opened for it."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    (closed / "var").mkdir()
    place = places.choose(closed / "var", system_dir=home / "lib")

    assert place.data.parent == home / "lib"
    assert str(place.data) in place.note
    assert str(closed / "var") in place.note
    assert closed.stat().st_mode & 0o777 == 0o700
    # Once there is data, it stays, whatever is opened later.
    (place.data / "postgres").mkdir()
    os.chown(place.data / "postgres", place.user.uid, place.user.gid)
    closed.chmod(0o755)
    assert places.choose(closed / "var", system_dir=home / "lib").data == place.data


def test_a_deep_home_gets_its_socket_in_a_short_private_folder(home):
    deep = home / ("d" * 100)
    deep.mkdir()
    folder = places.socket_folder(places.Place(deep, deep))
    try:
        assert len(str(folder / ".s.PGSQL.5432")) <= 107
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(folder)
