"""Connections to PostgreSQL and Valkey."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import psycopg2
import redis
from psycopg2 import extensions
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from ascwebhooks.domain.ids import from_text


def make_engine(database_url: str, *, pool_size: int = 8) -> Engine:
    """Return an engine for a URL in libpq's form.

    A connection that a restarted server has closed is noticed before it is used, if
    it was idle for a second: so a restart costs the statements that were running, and
    at most one more of a process that was busy.

    Args:
        database_url: ``postgresql://…``.
        pool_size: How many connections may be open at once.
    """
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        # An error's text is logged; what was to be written is nobody's business.
        hide_parameters=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "ascwebhooks",
            "keepalives_idle": 30,
            "options": "-c timezone=UTC -c jit=off -c lock_timeout=15s"
            " -c idle_in_transaction_session_timeout=60s",
        },
    )
    event.listen(engine, "connect", _read_ids_quickly)
    event.listen(engine, "checkin", _note_time)
    event.listen(engine, "checkout", _ping_if_idle)
    return engine


def _note_time(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _ping_if_idle(
    connection: extensions.connection, record: ConnectionPoolEntry, _: object
) -> None:
    """Do what SQLAlchemy's own ping does, but not before each of many transactions.

    Raises:
        InvalidatePoolError: If the server is gone: the pool connects anew.
    """
    since = record.info.get(_IDLE_SINCE)
    if since is None or time.monotonic() - since < _FRESH_S:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error as error:
        raise InvalidatePoolError from error


def _read_ids_quickly(connection: Any, _: object) -> None:
    extensions.register_type(_UUID, connection)


_UUID_OID = 2950
#: A connection that was used within so long is taken to be alive.
_FRESH_S = 1.0
_IDLE_SINCE = "idle_since"


def _uuid(text: Any, _: object) -> UUID | None:
    return None if text is None else from_text(text)


_UUID = extensions.new_type((_UUID_OID,), "UUID", _uuid)


def make_redis(redis_url: str, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client that answers within ``timeout_s`` or raises.

    Args:
        redis_url: ``redis://…``; Valkey speaks the same protocol.
        timeout_s: For connecting and for each answer.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 1),
    }
    return redis.Redis.from_url(redis_url, **options)
