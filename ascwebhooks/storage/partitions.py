"""A partition for each day: made well ahead, dropped by retention.

There is no catch-all partition, because ``DETACH … CONCURRENTLY`` does not work
beside one; an id outside the partitions is refused instead.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, text

from ascwebhooks.domain import ids

#: In the order in which a day is dropped.
TABLES = ("attempt", "delivery", "event")
_NAME = re.compile(r"(?:attempt|delivery|event)_(\d{8})\Z")

# The embedded and most managed servers run with defaults made for tables that
# hardly change; a partition takes millions of updates in its first day.
_OPTIONS = {
    "event": "",
    "attempt": "",
    "delivery": " WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_analyze_scale_factor = 0.05)",
}


def days(connection: Connection) -> set[date]:
    """Return the days for which all three tables have a partition."""
    rows = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent IN"
            " ('event'::regclass, 'delivery'::regclass, 'attempt'::regclass)"
            " AND NOT i.inhdetachpending"
        )
    )
    found = [_day_of(name) for (name,) in rows]
    return {day for day in found if day and found.count(day) == len(TABLES)}


def remnants(connection: Connection) -> set[date]:
    """Return the days of which any table is left, detached or not.

    Dropping a day takes a transaction a table and waits for readers: where it was
    cut short, it is finished the next time.
    """
    rows = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND pg_table_is_visible(oid)"
        )
    )
    return {day for (name,) in rows if (day := _day_of(name))}


def _day_of(name: str) -> date | None:
    match = _NAME.match(name)
    return datetime.strptime(match[1], "%Y%m%d").date() if match else None


def make(connection: Connection, day: date) -> None:
    """Make the partitions of a day, unless they are there."""
    midnight = datetime.combine(day, time(), UTC)
    low, high = ids.lowest(midnight), ids.lowest(midnight + timedelta(days=1))
    for table in reversed(TABLES):
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {table}_{day:%Y%m%d}"
                f" PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')"
                f"{_OPTIONS[table]}"
            )
        )


def pending(connection: Connection, day: date) -> bool:
    """Return whether a delivery of that day is still pending."""
    midnight = datetime.combine(day, time(), UTC)
    row = connection.execute(
        text(
            "SELECT EXISTS (SELECT FROM delivery WHERE status = 'pending'"
            " AND id >= :low AND id < :high)"
        ),
        {"low": ids.lowest(midnight), "high": ids.lowest(midnight + timedelta(days=1))},
    )
    return bool(row.scalar_one())


def drop(connection: Connection, day: date) -> None:
    """Detach and drop a day without stalling writers.

    Args:
        connection: In autocommit: detaching concurrently takes two transactions
            of its own.
        day: The day.
    """
    for table in TABLES:
        name = f"{table}_{day:%Y%m%d}"
        state = connection.execute(
            text(
                "SELECT inhdetachpending FROM pg_inherits"
                " WHERE inhrelid = to_regclass(:name)"
            ),
            {"name": name},
        ).scalar_one_or_none()
        if state is not None:
            how = "FINALIZE" if state else "CONCURRENTLY"
            connection.execute(
                text(f"ALTER TABLE {table} DETACH PARTITION {name} {how}")
            )
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
