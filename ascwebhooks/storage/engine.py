"""Connections to PostgreSQL and Valkey."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import redis
from psycopg2.extensions import new_type, register_type
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from ascwebhooks.domain.ids import from_text


def make_engine(database_url: str, *, pool_size: int = 8) -> Engine:
    """Return an engine for a URL in libpq's form.

    A connection that a restarted server has closed is noticed before it is
    used, so a restart costs the statements that were running and no more.

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
        pool_pre_ping=True,
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
    return engine


def _read_ids_quickly(connection: Any, _: object) -> None:
    register_type(_UUID, connection)


_UUID_OID = 2950


def _uuid(text: Any, _: object) -> UUID | None:
    return None if text is None else from_text(text)


_UUID = new_type((_UUID_OID,), "UUID", _uuid)


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
