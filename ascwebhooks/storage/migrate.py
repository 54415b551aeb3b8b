"""Bringing a database to the current schema."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ascwebhooks.storage import partitions
from ascwebhooks.storage.engine import make_engine

#: One migration at a time, however many processes start at once.
_LOCK = 0x6173_6377


def upgrade(database_url: str, *, days_ahead: int = 14) -> str:
    """Bring the schema to the newest revision and make the partitions.

    Args:
        database_url: libpq's form, ``postgresql://…``.
        days_ahead: For how many days after today partitions are made.

    Returns:
        The revision.
    """
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            make_partitions(connection, days_ahead)
            return revision(connection) or ""
    finally:
        engine.dispose()


def make_partitions(connection: Connection, days_ahead: int) -> None:
    """Make the partitions from yesterday to ``days_ahead`` days after today."""
    today = connection.execute(
        text("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
    ).scalar_one()
    there = partitions.days(connection)
    for offset in range(-1, days_ahead + 1):
        day = today + timedelta(days=offset)
        if day not in there:
            partitions.make(connection, day)


def revision(connection: Connection) -> str | None:
    """Return the revision that the database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the revision that this code was written for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    return config
