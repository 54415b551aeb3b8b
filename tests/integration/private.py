"""All that a database holds, opened, to look for what should not be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.services.batches import EVENT_TABLE, REJECTED_TABLE
from ascwebhooks.services.sealing import PLATFORM, Sealing, day_scope


def everything(engine: Engine, sealing: Sealing) -> bytes:
    """Return each row of each table as text, and what is sealed of events, opened."""
    with engine.connect() as connection:
        rows = "\n".join(_rows(connection))
        sealed = [
            (table, *row)
            for table in (EVENT_TABLE, REJECTED_TABLE)
            for row in connection.execute(
                text(f"SELECT tenant_id, id, sealed FROM {table}")
            )
        ]
    return rows.encode() + b"\n".join(_opened(sealing, sealed))


def _rows(connection: Connection) -> Iterator[str]:
    tables = connection.execute(
        text(
            "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables"
            " ORDER BY 1"
        )
    ).scalars()
    for table in tables.all():
        found = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
        yield from (f"{table} {row}" for row in found)


def _opened(
    sealing: Sealing, sealed: Iterable[tuple[str, str | None, UUID, bytes]]
) -> Iterator[bytes]:
    for table, tenant_id, row_id, content in sealed:
        owner, day = tenant_id or PLATFORM, day_scope(row_id)
        try:
            yield sealing.unseal(owner, day, table, row_id, bytes(content))
        except CannotOpen as error:
            raise AssertionError(f"{table} {row_id} does not open") from error
