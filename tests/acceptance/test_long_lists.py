"""Lists of a million deliveries open at once, whatever they are narrowed to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.storage import partitions
from ascwebhooks.web.app import create_app

COUNT = 1_000_000
WITHIN_MS = 300
DAYS = 6
PASSWORD = "correct horse battery"

# Ids in order over some days; one tenant has four fifths of them.  What is rare is
# rare: three of a million.
_FILL = """
INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type, status, step,
    attempt_count, next_attempt_at, last_status_code, last_error, dead_reason,
    completed_at)
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
FROM (SELECT n, at, CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)),
        12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
        || lpad(to_hex(n), 15, '0') AS uuid) AS id
    FROM (SELECT n, CAST(:first AS timestamptz)
            + n * (CAST(:span AS interval) / :count) AS at
        FROM generate_series(CAST(:low AS bigint), :high) n) numbered) made
"""
_EVENTS = """
INSERT INTO event (id, tenant_id, type, source, source_id, time, size_bytes, sealed)
SELECT id, tenant_id, event_type, '/gateways/one', 'source-' || id, next_attempt_at,
    100, ''
FROM delivery
"""


@pytest.fixture
def empty_database_url(database_url: str) -> str:
    """A database of the test's own: it is filled to the brim."""
    return database_url


@pytest.fixture
def full(pipeline: Any) -> dict[str, UUID]:
    """A million deliveries and their events over six days; the endpoints by name."""
    pipeline.services.tenants.create("globex")
    mine = [pipeline.endpoint() for _ in range(20)]
    rare, theirs = pipeline.endpoint(), pipeline.endpoint(tenant_id="globex")
    now = datetime.now(UTC)
    first = now - timedelta(days=DAYS)
    with pipeline.engine.begin() as connection:
        for back in range(DAYS + 1):
            partitions.make(connection, (now - timedelta(days=back)).date())
    step = COUNT // 10
    for low in range(0, COUNT, step):
        pipeline.do(
            _FILL,
            mine=[str(each) for each in mine],
            rare=str(rare),
            theirs=str(theirs),
            first=first,
            span=timedelta(days=DAYS) - timedelta(minutes=1),
            count=COUNT,
            low=low,
            high=low + step - 1,
        )
    pipeline.do(_EVENTS)
    with pipeline.engine.connect() as connection:
        # What autovacuum does within minutes of such a day.
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "VACUUM ANALYZE delivery, event"
        )
    return {"often": mine[10], "rare": rare}


@pytest.fixture
def get(pipeline: Any) -> Callable[[str], str]:
    """Opens a page as a person with a session; returns what it shows."""
    people = pipeline.services.people
    people.create("ann", grants=[Grant(Role.VIEWER)], password=PASSWORD)
    token = pipeline.services.sessions.log_in("ann", PASSWORD, address="127.0.0.1")
    client = create_app(pipeline.services, pipeline.settings).test_client()
    client.set_cookie("ascw_session", token)

    def get(path: str) -> str:
        response = client.get(f"/admin/tenants/acme{path}")
        assert response.status_code == 200, response.get_data(as_text=True)[:500]
        return response.get_data(as_text=True)

    return get


def test_every_page_of_a_million_opens_at_once(
    pipeline: Any,
    full: dict[str, UUID],
    get: Callable[[str], str],
    record_property: Callable[[str, object], None],
) -> None:
    """First and deep pages, and each filter, common and rare: the server's time."""
    often, rare = (ids.show(Kind.ENDPOINT, full[each]) for each in ("often", "rare"))
    deep = pipeline.one(
        "SELECT id FROM delivery WHERE tenant_id = 'acme' ORDER BY id"
        " OFFSET 100000 LIMIT 1"
    )
    day = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    #: A page, and how many rows it shows.
    pages = {
        "/deliveries": 50,
        f"/deliveries?after={ids.show(Kind.DELIVERY, deep)}": 50,
        f"/deliveries?before={ids.show(Kind.DELIVERY, deep)}": 50,
        "/deliveries?range=1h": 50,
        f"/deliveries?range=own&since={day}": 50,
        "/deliveries?status=delivered": 50,
        "/deliveries?status=dead_lettered": 50,
        "/deliveries?status=pending": 3,
        "/deliveries?status=cancelled": 3,
        f"/deliveries?endpoint_id={often}": 50,
        f"/deliveries?endpoint_id={rare}": 3,
        f"/deliveries?endpoint_id={often}&status=dead_lettered": 50,
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
        f"/events?find=source-{deep}": 1,
    }
    get("/deliveries")  # the first page of a process compiles its templates
    took = {}
    for path, rows in pages.items():
        began = time.perf_counter()
        shown = get(path)
        took[path] = (time.perf_counter() - began) * 1000
        assert shown.count("data-row") == rows, path
        record_property(path, round(took[path]))
    if times := os.environ.get("TIMES_FILE"):
        lines = [f"{ms:7.1f} ms  {path}\n" for path, ms in took.items()]
        Path(times).write_text("".join(lines))
    assert {path: ms for path, ms in took.items() if ms > WITHIN_MS} == {}
