"""Plans: every statement over partitioned tables names the days it wants.

With sixty days of partitions, a statement that forgets looks into each of them: 50 ms
instead of 2 for a batch of 500.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as listening
from sqlalchemy import text

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.domain.replays import Step
from ascwebhooks.storage import claims, mailboxes, partitions
from ascwebhooks.storage.claims import Failure, NewAttempt
from ascwebhooks.storage.events import NewDelivery
from ascwebhooks.storage.models import Replay

PARTITION = re.compile(r"(?:event|delivery|attempt)_\d{8}\Z")
#: What is no query (a savepoint, a setting) has no plan.
PLANNED = re.compile(r"SELECT|INSERT|UPDATE|DELETE|WITH|COPY")
PAST_DAYS = 45
NOW = datetime.now(UTC)
RETENTION = timedelta(days=30)
WINDOW = ids.window(NOW, RETENTION)
#: Retention, a day of slack on either side, and the day that is cut by each bound.
WINDOW_DAYS = 33
ENDPOINT = uuid4()


def id_of(days_ago: float, random: bytes = b"\x80" * 10) -> UUID:
    moment = NOW - timedelta(days=days_ago)
    return ids.uuid7(int(moment.timestamp() * 1000), random)


TODAY, YESTERDAY, LONG_AGO = id_of(0), id_of(1), id_of(20)
NEW = NewDelivery(TODAY, "acme", TODAY, ENDPOINT, "t", Status.PENDING, NOW, None, None)
STEP = Step(1000, NOW, 0.0)
REPLAY = Replay(id=uuid4(), tenant_id="acme", cutoff=NOW, delivery_ids=None)
BY_IDS = Replay(
    id=uuid4(), tenant_id="acme", cutoff=NOW, delivery_ids=[TODAY, LONG_AGO]
)
DEAD = DeliveryFilters(status="dead_lettered", endpoint_id=ENDPOINT)
DAYS = Window(ids.lowest(NOW - timedelta(days=3)), ids.lowest(NOW))
SINCE, UNTIL = NOW - timedelta(days=3), NOW - timedelta(days=2)


@pytest.fixture(scope="module")
def pipeline(postgres_server, migrated_template, valkey_server):
    """Sixty days of partitions: 45 that have been, today, and a fortnight ahead.

    One database for all of these tests: none but the last leaves anything in it.
    """
    from tests.integration.pipeline import Pipeline, settings_of

    postgres_server.create_database("asc_test_plans", migrated_template)
    pipeline = Pipeline(
        settings_of(postgres_server.url("asc_test_plans"), valkey_server.url(0))
    )
    with pipeline.engine.begin() as connection:
        for back in range(PAST_DAYS + 1):
            partitions.make(connection, (NOW - timedelta(days=back)).date())
    yield pipeline
    pipeline.close()
    postgres_server.drop_database("asc_test_plans")


@pytest.fixture
def days(pipeline) -> int:
    with pipeline.engine.connect() as connection:
        return len(partitions.days(connection))


@pytest.fixture
def scanned(pipeline):
    """Tells which partitions the statements of a call would look into."""

    def scanned(call: Callable[[Any], object]) -> set[str]:
        statements = []

        def note(connection, cursor, statement, parameters, *_):
            statements.append((statement, parameters))

        listening.listen(pipeline.engine, "before_cursor_execute", note)
        try:
            with pipeline.uow() as uow:
                call(uow)
        finally:
            listening.remove(pipeline.engine, "before_cursor_execute", note)
        statements = [each for each in statements if PLANNED.match(each[0].lstrip())]
        assert statements, "nothing was asked"
        found: set[str] = set()
        with pipeline.engine.connect() as connection:
            cursor = connection.connection.cursor()
            for statement, parameters in statements:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                ((plan,),) = cursor.fetchall()
                whole = plan if isinstance(plan, list) else json.loads(plan)
                found |= set(_relations(whole))
        return {each for each in found if PARTITION.match(each)}

    return scanned


def _relations(plan: Any):
    if isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Relation Name"]
        for each in plan.values():
            yield from _relations(each)
    elif isinstance(plan, list):
        for each in plan:
            yield from _relations(each)


def failure(delivery_id: UUID) -> Failure:
    return Failure(delivery_id, 0, "pending", 5.0, 500, "http_status", None)


def attempt(delivery_id: UUID) -> NewAttempt:
    nothing = (None,) * 8
    return NewAttempt(delivery_id, uuid4(), "acme", ENDPOINT, NOW, *nothing, 1.0, b"")


#: Statement, what it asks, and of how many days' partitions it may look into.
NARROW = [
    ("claims.mark_alone", lambda u: u.claims.mark_alone(TODAY), 1),
    ("claims.end", lambda u: u.claims.end(TODAY, DeadReason.CRASHES_WORKER), 1),
    (
        "claims.delivered",
        lambda u: u.claims.delivered([TODAY, YESTERDAY], 200, NOW, held=True),
        2,
    ),
    ("claims.failed", lambda u: u.claims.failed([failure(TODAY)]), 1),
    (
        "claims.failed of two days",
        lambda u: u.claims.failed([failure(LONG_AGO), failure(TODAY)]),
        2,
    ),
    ("claims.count_only", lambda u: u.claims.count_only([TODAY, LONG_AGO]), 2),
    ("events.sealed", lambda u: u.events.sealed([TODAY, YESTERDAY]), 2),
    ("events.find", lambda u: u.events.find("acme", LONG_AGO), 1),
    (
        "events.page since and until",
        lambda u: u.events.page("acme", after=None, limit=50, since=SINCE, until=UNTIL),
        2,
    ),
    (
        "events.page by source id, since and until",
        lambda u: u.events.page(
            "acme", after=None, limit=50, source_id="x", since=SINCE, until=UNTIL
        ),
        2,
    ),
    ("deliveries.find", lambda u: u.deliveries.find("acme", LONG_AGO), 1),
    ("deliveries.named", lambda u: u.deliveries.named("acme", [LONG_AGO, TODAY]), 2),
    ("deliveries.attempts", lambda u: u.deliveries.attempts(LONG_AGO), 1),
    ("deliveries.of_event", lambda u: u.deliveries.of_event("acme", LONG_AGO), 1),
    ("deliveries.cancel", lambda u: u.deliveries.cancel("acme", LONG_AGO), 1),
    (
        "notices.dead_lettered",
        lambda u: u.notices.dead_lettered([TODAY, LONG_AGO]),
        2,
    ),
    ("replays.by_ids", lambda u: u.replays.by_ids("acme", [TODAY, LONG_AGO]), 2),
    (
        "replays.reopen",
        lambda u: u.replays.reopen(REPLAY, [TODAY, YESTERDAY], STEP),
        2,
    ),
    (
        "replays.after, a window of three days",
        lambda u: u.replays.after("acme", DEAD, NOW, DAYS, 1000),
        4,
    ),
    (
        "replays.count, a window of three days",
        lambda u: u.replays.count("acme", DEAD, NOW, DAYS, timedelta(seconds=5)),
        4,
    ),
    (
        "replays.outcome by ids",
        lambda u: u.replays.outcome(BY_IDS, WINDOW, timedelta(seconds=5)),
        2,
    ),
    (
        "deliveries.page since and until",
        lambda u: u.deliveries.page(
            "acme", after=None, limit=50, since=SINCE, until=UNTIL
        ),
        2,
    ),
    (
        "deliveries.page of dead letters since and until",
        lambda u: u.deliveries.page(
            "acme",
            after=None,
            limit=50,
            status="dead_lettered",
            endpoint_id=ENDPOINT,
            since=SINCE,
            until=UNTIL,
        ),
        2,
    ),
]
WIDE = [
    ("claims.claim", lambda u: u.claims.claim({ENDPOINT: 500}, [TODAY], WINDOW)),
    ("claims.first", lambda u: u.claims.first([ENDPOINT], WINDOW)),
    (
        "deliveries.first_in_order",
        lambda u: u.deliveries.first_in_order([ENDPOINT], WINDOW),
    ),
    (
        "deliveries.put_in_order",
        lambda u: u.deliveries.put_in_order(ENDPOINT, WINDOW),
    ),
    ("mailboxes.due", lambda u: u.mailboxes.due(WINDOW)),
    (
        "mailboxes.due_among",
        lambda u: u.mailboxes.due_among([ENDPOINT], timedelta(seconds=10), WINDOW),
    ),
    (
        "mailboxes.due_again",
        lambda u: u.mailboxes.due_again(timedelta(seconds=15), WINDOW),
    ),
    (
        "deliveries.end_pending",
        lambda u: u.deliveries.end_pending(
            "acme", ENDPOINT, DeadReason.ENDPOINT_DELETED, WINDOW, 1_000
        ),
    ),
    (
        "deliveries.last_failure",
        lambda u: u.deliveries.last_failure("acme", ENDPOINT, WINDOW),
    ),
    ("mailboxes.ended", lambda u: u.mailboxes.ended(WINDOW)),
    ("deliveries.counts", lambda u: u.deliveries.counts(WINDOW)),
    (
        "replays.outcome by filter",
        lambda u: u.replays.outcome(REPLAY, WINDOW, timedelta(seconds=5)),
    ),
    (
        "dead_letters.groups",
        lambda u: u.dead_letters.groups("acme", DEAD, WINDOW, timedelta(seconds=5)),
    ),
    (
        "replay_results.skipped by filter",
        lambda u: u.replay_results.skipped(REPLAY, DEAD, WINDOW, 50),
    ),
    ("standings.of", lambda u: u.standings.of("acme", WINDOW, 10_001)),
]


@pytest.mark.parametrize(
    ("call", "limit"),
    [pytest.param(call, limit, id=name) for name, call, limit in NARROW],
)
def test_who_knows_the_ids_looks_into_their_days_alone(scanned, call, limit):
    found = scanned(call)

    assert 1 <= len(found) <= limit, sorted(found)


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in WIDE])
def test_who_does_not_looks_no_further_than_retention(scanned, days, call):
    found = scanned(call)

    assert days >= 60
    assert len(found) <= WINDOW_DAYS, sorted(found)
    low = f"{NOW - RETENTION - timedelta(days=1):%Y%m%d}"
    assert all(each.rpartition("_")[2] >= low for each in found)


def test_reopening_looks_into_one_day(pipeline, scanned):
    def write_and_reopen(uow):
        uow.events.add_deliveries([NEW])
        uow.deliveries.reopen("acme", TODAY)

    assert scanned(write_and_reopen) == {f"delivery_{NOW:%Y%m%d}"}


def test_expiring_looks_at_what_is_about_to_go_alone(scanned):
    bound = ids.lowest(NOW - RETENTION + timedelta(days=1))

    found = scanned(lambda u: u.deliveries.expire(bound, 100))

    last = f"{NOW - RETENTION + timedelta(days=1):%Y%m%d}"
    assert found
    assert all(each.rpartition("_")[2] <= last for each in found)


def test_recording_again_looks_into_one_day(scanned):
    """A commit whose answer was lost is made again, and finds what it did."""
    made = attempt(TODAY)

    def write_twice(uow):
        assert uow.claims.add_attempts([made], again=True) == {made.id}
        assert uow.claims.add_attempts([made], again=True) == set()

    assert scanned(write_twice) == {f"attempt_{NOW:%Y%m%d}"}


def test_the_listener_would_notice(scanned):
    """A statement that names no day is seen to look into all of them."""
    everything = scanned(
        lambda u: u.claims._session.execute(text("SELECT count(*) FROM delivery"))
    )

    assert len(everything) >= 60


def test_a_claim_reads_an_index_and_not_the_table(pipeline, record_property):
    """64 mailboxes over 31 days of partitions, each with a backlog not due yet.

    Ordered by id alone it would read all of it: 540 ms for 100,000.
    """
    pipeline.services.tenants.create("acme")
    endpoint_ids = [pipeline.endpoint() for _ in range(64)]
    rows = [
        (id_of(back + 0.1, (n << 6).to_bytes(10, "big")), endpoint_id)
        for back in range(30)
        for n, endpoint_id in enumerate(endpoint_ids * 5)
    ]
    pipeline.do(
        "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type,"
        " status, next_attempt_at) SELECT w.id, 'acme', w.id, w.endpoint_id, 't',"
        " 'pending', now() + interval '1 hour'"
        " FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[])) AS w(id, endpoint_id)",
        c0=[each[0] for each in rows],
        c1=[each[1] for each in rows],
    )
    pipeline.do("ANALYZE delivery")
    limits = dict.fromkeys(endpoint_ids, 7)
    with pipeline.uow() as uow:
        started = time.perf_counter()
        for _ in range(10):
            assert uow.claims.claim(limits, [], WINDOW) == []
        record_property("claim_ms", (time.perf_counter() - started) * 1000 / 10)
        claim = {"endpoints": endpoint_ids, "busy": [], "limits": [7] * 64}
        for asked, values in ((claims._CLAIM, claim), (mailboxes._DUE_ALL, {})):
            _reads_an_index(uow, asked, values)


def _reads_an_index(uow, asked, values) -> None:
    plan = uow.claims._session.execute(
        text(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.text}"),
        {**WINDOW._asdict(), **values},
    ).scalar_one()
    indexes = set(_values(plan, "Index Name"))
    assert any("endpoint_id" in each for each in indexes), indexes
    assert sum(_values(plan, "Rows Removed by Filter")) < 100


def test_the_first_in_order_is_found_by_an_index(pipeline):
    """64 endpoints in order with a backlog each; of half the first is not due yet."""
    pipeline.services.tenants.create("ordered")
    options = {"tenant_id": "ordered", "ordering": "fifo"}
    endpoint_ids = [pipeline.endpoint(**options) for _ in range(64)]
    pipeline.do(
        "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type,"
        " status, next_attempt_at, position) SELECT w.id, 'ordered', w.id,"
        " w.endpoint_id, 't', 'pending', now() + interval '1 hour' * (w.n % 2), w.n"
        " FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[])) WITH ORDINALITY"
        " AS w(id, endpoint_id, n)",
        c0=[id_of(0.2, (n << 6).to_bytes(10, "big")) for n in range(64 * 99)],
        c1=[each for each in endpoint_ids for _ in range(99)],
    )
    pipeline.do("ANALYZE delivery")
    with pipeline.uow() as uow:
        found = uow.claims.first(endpoint_ids, WINDOW)
        assert len(found) == 32, "of every other one"
        assert {each.endpoint_id for each in uow.mailboxes.due(WINDOW)} == {
            each.endpoint_id for each in found
        }, "nobody else is rung"
        _reads_an_index(uow, claims._FIRST, {"endpoints": endpoint_ids})
        _reads_an_index(uow, mailboxes._DUE_ALL, {})


def test_an_endpoints_last_deliveries_are_found_by_its_index(pipeline):
    """Five of one endpoint, older than the many thousands of another."""
    pipeline.services.tenants.create("sparse")
    many, few = (pipeline.endpoint(tenant_id="sparse") for _ in range(2))
    rows = [
        (id_of(0.15, (n << 6).to_bytes(10, "big")), few if n < 5 else many)
        for n in range(20_000)
    ]
    pipeline.do(
        "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, event_type,"
        " status, next_attempt_at)"
        " SELECT w.id, 'sparse', w.id, w.endpoint_id, 't', 'delivered', now()"
        " FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[])) AS w(id, endpoint_id)",
        c0=[each[0] for each in rows],
        c1=[each[1] for each in rows],
    )
    pipeline.do("ANALYZE delivery")
    with pipeline.uow() as uow:
        asked: list[tuple[str, Any]] = []
        connection = uow.deliveries._session.connection()

        def note(_conn, _cursor, statement, parameters, *_) -> None:
            asked.append((statement, parameters))

        listening.listen(connection, "before_cursor_execute", note)
        found = uow.deliveries.page("sparse", after=None, limit=10, endpoint_id=few)
        listening.remove(connection, "before_cursor_execute", note)
        assert len(found) == 5
        statement, parameters = asked[-1]
        plan = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        ).scalar_one()
    assert any("endpoint" in each for each in _values(plan, "Index Name")), plan
    assert sum(_values(plan, "Rows Removed by Filter")) < 100


def _values(plan: Any, name: str):
    if isinstance(plan, dict):
        if name in plan:
            yield plan[name]
        for each in plan.values():
            yield from _values(each, name)
    elif isinstance(plan, list):
        for each in plan:
            yield from _values(each, name)
