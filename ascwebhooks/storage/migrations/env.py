"""How Alembic reaches the database: through the connection it is handed.

``alembic -c config/alembic.ini revision --autogenerate`` hands none: it takes the
database from the settings, like every other command.
"""

from __future__ import annotations

import os
import re
from typing import Any

from alembic import context
from sqlalchemy import Connection

from ascwebhooks import settings
from ascwebhooks.storage.engine import make_engine
from ascwebhooks.storage.models import Base

_PARTITION = re.compile(r"(?:attempt|delivery|event)_\d{8}")


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Leave the days alone: storage.partitions makes and drops them."""
    table = parents.get("table_name") if kind != "table" else name
    return not _PARTITION.match(table or "")


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=_is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    _run(handed)
else:
    url = settings.read(os.environ).require_database_url()
    with make_engine(url, pool_size=1).connect() as connection:
        _run(connection)
