"""Lists of a million: rows made in bulk, and the pages that are opened on them.

For a test, that each opens in time, and for a benchmark, how long they take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import Engine, text

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.services.container import Services
from ascwebhooks.storage import partitions

COUNT = 1_000_000
TENANT, OTHER = "acme", "globex"
_DAYS = 6
_MINE = 20
_PASSWORD = "correct horse battery"
_STEPS = 10

# Ids in order over some days.
_NUMBERED = """
    (SELECT n, at, CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)),
        12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
        || lpad(to_hex(n), 15, '0') AS uuid) AS id
    FROM (SELECT n, CAST(:first AS timestamptz)
            + n * (CAST(:span AS interval) / :count) AS at
        FROM generate_series(CAST(:low AS bigint), :high) n) numbered) made
"""
_COLUMNS = """
INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type, status, step,
    attempt_count, next_attempt_at, last_status_code, last_error, dead_reason,
    completed_at)
"""
# One tenant has four fifths of them.  What is rare is rare: three of a million.
_MIXED = f"""{_COLUMNS}
SELECT id, CASE WHEN n % 5 < 4 THEN 'acme' ELSE 'globex' END, id,
    CASE WHEN n % 5 = 4 THEN CAST(:theirs AS uuid)
         WHEN n % 333333 = 1000 THEN CAST(:rare AS uuid)
         ELSE (CAST(:mine AS uuid[]))[1 + n % 20] END,
    CASE WHEN n % 333333 = 2000 THEN 'key.rotated' ELSE 'usage.kind' || n % 7 END,
    CASE WHEN n % 333333 = 3000 THEN 'cancelled' WHEN n % 333333 = 4000 THEN 'pending'
         WHEN n % 50 = 0 OR n % 333333 IN (5000, 6000, 7000) THEN 'dead_lettered'
         ELSE 'delivered' END,
    1, 1, at, CASE WHEN n % 333333 = 6000 THEN 418
         WHEN n % 50 = 0 OR n % 333333 = 7000 THEN 503
         WHEN n % 333333 IN (4000, 5000) THEN NULL ELSE 200 END,
    CASE WHEN n % 333333 = 5000 THEN 'tls_error'
         WHEN n % 50 = 0 OR n % 333333 IN (6000, 7000) THEN 'http_status' END,
    CASE WHEN n % 333333 = 7000 THEN 'residency'
         WHEN n % 50 = 0 OR n % 333333 IN (5000, 6000) THEN 'attempts_exhausted' END,
    at
FROM {_NUMBERED}
"""
# All of one tenant, and all of them dead letters: each died some time between when its
# event came and now, as after a schedule of days.
_DEAD = f"""{_COLUMNS}
SELECT id, 'acme', id,
    CASE WHEN n % 333333 = 1000 THEN CAST(:rare AS uuid)
         ELSE (CAST(:mine AS uuid[]))[1 + n % 20] END,
    CASE WHEN n % 333333 = 2000 THEN 'key.rotated' ELSE 'usage.kind' || n % 7 END,
    'dead_lettered', 1, 1, at,
    CASE WHEN n % 333333 = 6000 THEN 418 WHEN n % 333333 = 5000 THEN NULL
         WHEN n % 3 = 0 THEN NULL ELSE 503 END,
    CASE WHEN n % 333333 = 5000 THEN 'tls_error' WHEN n % 3 = 0 THEN 'timeout'
         ELSE 'http_status' END,
    CASE WHEN n % 333333 = 7000 THEN 'residency'
         WHEN n % 20 = 7 THEN 'endpoint_disabled' ELSE 'attempts_exhausted' END,
    at + (CAST(:first AS timestamptz) + CAST(:span AS interval) - at)
        * (n * 7919 % 1000 / 1000.0)
FROM {_NUMBERED}
"""
_EVENTS = """
INSERT INTO event (id, tenant_id, type, source, source_id, time, size_bytes, sealed)
SELECT id, tenant_id, event_type, '/gateways/one', 'source-' || id, next_attempt_at,
    100, ''
FROM delivery
"""
_DEEP = "SELECT id FROM delivery WHERE tenant_id = 'acme' ORDER BY id OFFSET :n LIMIT 1"


@dataclass(frozen=True)
class Full:
    """What stands out: endpoints with many and with three rows, a row far down."""

    often: str
    rare: str
    deep: UUID

    @property
    def place(self) -> str:
        """The row far down, as a page's cursor."""
        return ids.show(Kind.DELIVERY, self.deep)

    def named(self, path: str) -> str:
        """Return a path with words where it has these ids."""
        known = {
            self.often: "common",
            self.rare: "rare",
            self.place: "deep",
            str(self.deep): "deep",
        }
        for each, word in known.items():
            path = path.replace(each, word)
        return path


def mixed(services: Services, engine: Engine, count: int = COUNT) -> Full:
    """Make deliveries of all kinds of two tenants, and their events.

    Args:
        services: Make the tenants and the endpoints.
        engine: The database.
        count: How many deliveries.
    """
    return _filled(services, engine, count, _MIXED, _EVENTS)


def dead(services: Services, engine: Engine, count: int = COUNT) -> Full:
    """Make so many dead letters of one tenant; see ``mixed``."""
    return _filled(services, engine, count, _DEAD)


def _filled(
    services: Services, engine: Engine, count: int, fill: str, *more: str
) -> Full:
    for tenant_id in (TENANT, OTHER):
        services.tenants.create(tenant_id)
    mine = sorted(_endpoint(services, TENANT) for _ in range(_MINE))
    rare, theirs = _endpoint(services, TENANT), _endpoint(services, OTHER)
    now = datetime.now(UTC)
    given = {
        "mine": [str(each) for each in mine],
        "rare": str(rare),
        "theirs": str(theirs),
        "first": now - timedelta(days=_DAYS),
        "span": timedelta(days=_DAYS) - timedelta(minutes=1),
        "count": count,
    }
    with engine.begin() as connection:
        for back in range(_DAYS + 1):
            partitions.make(connection, (now - timedelta(days=back)).date())
    for low in range(0, count, count // _STEPS):
        with engine.begin() as connection:
            bounds = {"low": low, "high": low + count // _STEPS - 1}
            connection.execute(text(fill), {**given, **bounds})
    with engine.begin() as connection:
        for statement in more:
            connection.execute(text(statement))
        deep = connection.execute(text(_DEEP), {"n": count // 10}).scalar_one()
    with engine.connect() as connection:
        # What autovacuum does within minutes of such a day.
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "VACUUM ANALYZE delivery, event"
        )
    return Full(ids.show(Kind.ENDPOINT, mine[10]), ids.show(Kind.ENDPOINT, rare), deep)


def _endpoint(services: Services, tenant_id: str) -> UUID:
    made = services.endpoints.create(
        tenant_id, url="http://127.0.0.1:9009/hook", event_types=["*"]
    )
    return made.described.endpoint.id


def opener(services: Services, app: Flask) -> Callable[[str], str]:
    """Return what opens a page of the tenant's, for a person with a session."""
    services.people.create("ann", grants=[Grant(Role.VIEWER)], password=_PASSWORD)
    token = services.sessions.log_in("ann", _PASSWORD, address="127.0.0.1")
    client = app.test_client()
    client.set_cookie("ascw_session", token)

    def get(path: str) -> str:
        response: Any = client.get(f"/admin/tenants/{TENANT}{path}")
        shown: str = response.get_data(as_text=True)
        if response.status_code != 200:
            raise AssertionError(f"{path}: {response.status}: {shown[:500]}")
        return shown

    return get


def pages_of_mixed(full: Full) -> dict[str, int]:
    """Return lists of deliveries and events, and how many rows each page shows."""
    day = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    return {
        "/deliveries": 50,
        f"/deliveries?after={full.place}": 50,
        f"/deliveries?before={full.place}": 50,
        "/deliveries?range=1h": 50,
        f"/deliveries?range=own&since={day}": 50,
        "/deliveries?status=delivered": 50,
        "/deliveries?status=dead_lettered": 50,
        "/deliveries?status=pending": 3,
        "/deliveries?status=cancelled": 3,
        f"/deliveries?endpoint_id={full.often}": 50,
        f"/deliveries?endpoint_id={full.rare}": 3,
        f"/deliveries?endpoint_id={full.often}&status=dead_lettered": 50,
        "/deliveries?type=usage.kind3": 50,
        "/deliveries?type=key.rotated": 3,
        "/deliveries?type=no.such.type": 0,
        "/deliveries?error=http_status": 50,
        "/deliveries?error=tls_error": 3,
        "/deliveries?error=dns_error": 0,
        "/deliveries?code=200": 50,
        "/deliveries?code=503": 50,
        "/deliveries?code=418": 3,
        "/deliveries?reason=attempts_exhausted": 50,
        "/deliveries?reason=residency": 3,
        "/events": 50,
        "/events?type=usage.kind3": 50,
        "/events?type=key.rotated": 3,
        f"/events?find=source-{full.deep}": 1,
    }


def pages_of_dead(full: Full) -> dict[str, int]:
    """Return lists of dead letters, grouped and one by one; see ``pages_of_mixed``."""
    each = "/dead-letters/deliveries"
    return {
        "/dead-letters": 20,
        "/dead-letters?within=1h": 20,
        "/dead-letters?died=1h": 20,
        "/dead-letters?reason=attempts_exhausted": 19,
        "/dead-letters?reason=endpoint_disabled": 1,
        "/dead-letters?reason=residency": 3,
        "/dead-letters?error=timeout": 20,
        "/dead-letters?error=tls_error": 3,
        "/dead-letters?type=usage.kind3": 20,
        "/dead-letters?type=key.rotated": 3,
        f"/dead-letters?endpoint_id={full.often}": 1,
        f"/dead-letters?endpoint_id={full.rare}": 1,
        each: 50,
        f"{each}?after={full.place}": 50,
        f"{each}?within=1h": 50,
        f"{each}?died=1h": 50,
        f"{each}?died=7d": 50,
        f"{each}?died=1h&reason=residency": 0,
        f"{each}?reason=attempts_exhausted": 50,
        f"{each}?reason=residency": 3,
        f"{each}?error=timeout": 50,
        f"{each}?error=tls_error": 3,
        f"{each}?error=dns_error": 0,
        f"{each}?status_code=503": 50,
        f"{each}?status_code=418": 3,
        f"{each}?type=usage.kind3": 50,
        f"{each}?type=key.rotated": 3,
        f"{each}?type=no.such.type": 0,
        f"{each}?endpoint_id={full.often}": 50,
        f"{each}?endpoint_id={full.rare}": 3,
        f"{each}?endpoint_id={full.often}&reason=endpoint_disabled": 0,
        "/deliveries?status=dead_lettered": 50,
        f"/deliveries?status=dead_lettered&endpoint_id={full.rare}": 3,
        "/deliveries?status=delivered": 0,
    }
