"""Accepting: what comes in becomes rows, good and bad, in one transaction a batch."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ascwebhooks.domain import events, ids
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.intakes import Accepted, Intake, Refusal, Refused
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.storage.events import NewKey
from ascwebhooks.storage.unit_of_work import UnitOfWork, make_sessions
from tests.waiting import wait_until

NESTED = "[" * 200 + "]" * 200
ACME, NOBODY = "acme", None
#: More than a process has connections.
THREADS = 24

#: What the gateway sent, the code it is rejected with, and whose row it is.
BAD = {
    "not JSON": (b"{hello", "not_json", NOBODY),
    "not UTF-8": (b'{"tenantid": "acme", "id": "\xff"}', "not_utf8", NOBODY),
    "not an object": (b'["acme"]', "not_an_object", NOBODY),
    "no tenant": ({"tenantid": ...}, "missing_attribute", NOBODY),
    "unknown tenant": ({"tenantid": "globex"}, "unknown_tenant", NOBODY),
    "no id": ({"id": ...}, "missing_attribute", ACME),
    "300 KiB of data": (json.dumps("x" * 300 * 1024), "data_too_large", ACME),
    "NUL in data": (r'{"a": "\u0000"}', "nul_character", ACME),
    "NUL in a key": (r'{"\u0000": 1}', "nul_character", ACME),
    "NUL in the subject": ({"subject": "\0"}, "invalid_attribute", ACME),
    "half a surrogate pair": (r'"\ud800"', "lone_surrogate", NOBODY),
    "200 levels deep": (NESTED, "too_deep", ACME),
    "NaN": ("NaN", "not_a_number", NOBODY),
    "an integer of 5,000 digits": ("9" * 5_000, "number_too_long", ACME),
    "the same key twice": ('{"a": 1, "a": 2}', "duplicate_key", ACME),
    "10 MB": (json.dumps("x" * 10_000_000), "event_too_large", NOBODY),
    "data_base64": ({"data_base64": "aGk="}, "data_base64_unsupported", ACME),
}


def raw_of(event, bad) -> bytes:
    if isinstance(bad, bytes):
        return bad
    return event(bad) if isinstance(bad, str) else event(**bad)


def test_bad_input_is_kept_with_its_reason_and_the_rest_of_the_batch_goes_on(
    pipeline, event
):
    """One batch with every bad input between two good events."""
    pipeline.endpoint()
    bad = [raw_of(event, raw) for raw, _, _ in BAD.values()]
    batch = [event(id="first"), *bad, event(id="last", type="nobody.knows.this")]

    verdicts = pipeline.accept(*batch)

    first, *refused, last = verdicts
    assert isinstance(first, Accepted)
    assert isinstance(last, Accepted)
    assert (first.deliveries, last.deliveries) == (1, 1), "types are open: '*' has both"
    assert [each.code for each in refused] == [code for _, code, _ in BAD.values()]
    assert pipeline.one("SELECT count(*) FROM event") == 2

    rows = {
        row.id: row for row in pipeline.services.rejected_events.page(None, limit=100)
    }
    opened = [pipeline.services.rejected_events.get(None, each) for each in rows]
    by_raw = {each.raw: each.rejected for each in opened}
    assert len(by_raw) == len(BAD)
    for raw, (name, (_, code, tenant_id)) in zip(bad, BAD.items(), strict=True):
        row = by_raw[raw[: 512 * 1024]]
        assert (row.code, row.tenant_id) == (code, tenant_id), name
        assert row.detail
        assert row.via == "stream"
        assert row.size_bytes == len(raw)
        assert row.truncated == (len(raw) > 512 * 1024), name


def test_what_can_be_read_of_a_rejected_event_is_there_to_find_it_by(pipeline, event):
    pipeline.accept(event(r'"\u0000"', id="bad-1", subject="s"))

    (row,) = pipeline.services.rejected_events.page("acme")

    assert (row.type, row.source, row.source_id) == (
        "budget.exceeded",
        "/gateways/one",
        "bad-1",
    )
    assert row.claimed_tenant == "acme"


def test_what_is_rejected_is_sealed(pipeline, event):
    """Its payload may hold what no valid one does; it is no less secret."""
    pipeline.accept(event('{"planted-payload": NaN}'))

    assert b"planted-payload" not in bytes(
        pipeline.one("SELECT sealed FROM rejected_event")
    )


def test_a_key_for_one_tenant_gets_no_row_to_another(pipeline, event):
    """Through the API with a tenant's key; the row is that tenant's own."""
    pipeline.services.tenants.create("globex")

    (verdict,) = pipeline.accept(event(tenantid="globex"), via="http", tenant_id="acme")

    assert verdict.code == "tenant_not_permitted"
    assert pipeline.one("SELECT tenant_id FROM rejected_event") == "acme"
    assert pipeline.one("SELECT count(*) FROM event") == 0


def test_the_same_again_is_accepted_and_not_sent_again(pipeline, event):
    pipeline.endpoint()
    (before,) = pipeline.accept(event("[1]"))

    (again,) = pipeline.accept(event("[1]", traceparent="00-other"))

    assert again == Accepted(before.id, "event-1", duplicate=True, deliveries=0)
    assert pipeline.one("SELECT count(*) FROM event") == 1
    assert pipeline.one("SELECT count(*) FROM delivery") == 1
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 0


def test_the_same_id_with_other_content_is_rejected(pipeline, event):
    pipeline.accept(event("[1]"))

    (verdict,) = pipeline.accept(event("[ 1]"))

    assert isinstance(verdict, Refused)
    assert verdict.code == "id_conflict"
    assert "evt_" in verdict.detail, "it says which event was there before"
    assert pipeline.one("SELECT tenant_id FROM rejected_event") == "acme"


def test_within_one_batch_the_first_counts(pipeline, event):
    pipeline.endpoint()

    first, same, other = pipeline.accept(event("1"), event("1"), event("2"))

    assert (first.duplicate, same.duplicate) == (False, True)
    assert same.id == first.id
    assert other.code == "id_conflict"
    assert pipeline.one("SELECT count(*) FROM delivery") == 1


def test_ids_are_each_tenants_and_each_sources_own(pipeline, event):
    pipeline.services.tenants.create("globex")

    verdicts = pipeline.accept(
        event("1"), event("2", tenantid="globex"), event("3", source="/other")
    )

    assert [each.duplicate for each in verdicts] == [False, False, False]


def test_an_id_is_free_again_after_the_days_it_is_kept(pipeline, event):
    pipeline.accept(event("1"))
    week_ago = ids.lowest(datetime.now(UTC) - timedelta(days=7, minutes=1))
    pipeline.do("UPDATE event_key SET event_id = :old", old=week_ago)

    pipeline.services.maintenance.forget()

    (verdict,) = pipeline.accept(event("2"))
    assert isinstance(verdict, Accepted)


def test_two_acceptors_with_the_same_ids_in_opposite_order(
    pipeline, make_pipeline, event
):
    """Unsorted, their inserts deadlock; unguarded, an event is accepted twice."""
    pipeline.endpoint()
    batch = [event(str(number), id=f"e-{number}") for number in range(300)]
    rounds = 4
    starting = threading.Barrier(2)

    def accept(services, order):
        found = []
        for number in range(rounds):
            some = [each.replace(b"e-", b"%d-" % number) for each in order]
            starting.wait(10)
            found += services.acceptance.accept(some, via="stream")
        return found

    with ThreadPoolExecutor() as pool:
        one = pool.submit(accept, pipeline.services, batch)
        other = pool.submit(accept, make_pipeline().services, batch[::-1])
        found = one.result(60) + other.result(60)

    total = rounds * len(batch)
    assert len(found) == 2 * total
    assert sum(not each.duplicate for each in found) == total
    assert len({each.id for each in found}) == total
    assert pipeline.one("SELECT count(*) FROM event") == total
    assert pipeline.one("SELECT count(*) FROM delivery") == total


def test_a_second_acceptor_waits_for_the_first_ones_key(pipeline, make_pipeline, event):
    """It may neither accept the same event nor say it is a duplicate of nothing."""
    pipeline.endpoint()
    raw = event("[1]")
    digest = events.digest("/gateways/one", "event-1")
    first_id = ids.uuid7(1_800_000_000_000, b"0123456789")
    second = make_pipeline()
    found = []
    with pipeline.uow() as uow:
        sealing = Sealing(pipeline.uow, pipeline.parts.ring, bytes)
        key = sealing.content_hash("acme", events.content(events.parse(raw)))
        uow.events.claim_keys([NewKey("acme", digest, first_id, key)])
        thread = threading.Thread(target=lambda: found.extend(second.accept(raw)))
        thread.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the second waits")
        assert not found
        uow.commit()
    thread.join(10)

    assert found == [Accepted(first_id, "event-1", duplicate=True, deliveries=0)]
    assert pipeline.one("SELECT count(*) FROM delivery") == 0


def test_what_the_database_refuses_is_found_by_halving_the_batch(pipeline, event):
    """No parser foresees everything; one bad value must not hold up a batch."""
    pipeline.endpoint()
    raws = [event(id=f"e-{number}") for number in range(8)] + [b"{"]
    parsed = [(at, events.parse(raw)) for at, raw in enumerate(raws[:-1])]
    for at in (2, 7):
        position, read = parsed[at]
        parsed[at] = position, msgspec.structs.replace(read, source="a\0b")
    intake = Intake(raws, "stream", None, None)
    refusals = [Refusal(8, "not_json", "x")]

    verdicts = pipeline.services.acceptance._commit(intake, parsed, refusals)

    codes = {at: getattr(each, "code", "accepted") for at, each in verdicts.items()}
    assert codes == {
        **dict.fromkeys(range(8), "accepted"),
        2: "database_refused",
        7: "database_refused",
        8: "not_json",
    }
    assert pipeline.one("SELECT count(*) FROM event") == 6
    assert pipeline.one("SELECT count(*) FROM delivery") == 6
    rejected = pipeline.rows("SELECT code, tenant_id FROM rejected_event ORDER BY 1, 2")
    assert [tuple(each) for each in rejected] == [
        ("database_refused", "acme"),
        ("database_refused", "acme"),
        ("not_json", None),
    ]


def test_a_change_to_a_subscription_counts_from_the_next_batch_on(
    pipeline, make_pipeline, event
):
    """Also where another process made it: the version in the row tells."""
    endpoint_id = pipeline.endpoint(event_types=["budget.*"])
    other = make_pipeline()

    def deliveries(number: int) -> int:
        (verdict,) = pipeline.accept(event(id=str(number)))
        return verdict.deliveries

    assert deliveries(1) == 1
    other.services.endpoints.change("acme", endpoint_id, {"event_types": ["key.*"]})
    assert deliveries(2) == 0
    other.services.endpoints.change("acme", endpoint_id, {"event_types": ["*"]})
    assert deliveries(3) == 1
    other.endpoint(event_types=["budget.exceeded"])
    assert deliveries(4) == 2
    other.services.endpoint_states.delete("acme", endpoint_id)
    assert deliveries(5) == 1


def test_a_batch_under_way_holds_back_a_change_to_its_subscriptions(
    pipeline, make_pipeline, event
):
    """After the change was made, no batch is accepted under what was before."""
    endpoint_id = pipeline.endpoint()
    changed = threading.Event()
    with pipeline.uow() as uow:
        uow.tenants.versions(["acme"])  # as accepting does
        other = make_pipeline()

        def disable():
            other.services.endpoint_states.disable("acme", endpoint_id, "test")
            changed.set()

        thread = threading.Thread(target=disable)
        thread.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the change waits")
        assert not changed.is_set()
    thread.join(10)
    assert changed.is_set()


def test_events_for_a_disabled_endpoint_stand_in_the_dead_letters(pipeline, event):
    """So that all of them can be replayed once it is mended."""
    endpoint_id = pipeline.endpoint()
    pipeline.services.endpoint_states.disable("acme", endpoint_id, "gone")

    (verdict,) = pipeline.accept(event())

    assert verdict.deliveries == 1
    (row,) = pipeline.rows("SELECT * FROM delivery")
    assert (row.status, row.dead_reason) == ("dead_lettered", "endpoint_disabled")
    assert row.completed_at is not None
    assert pipeline.rung() == []


def test_events_for_a_paused_endpoint_wait_and_ring_nobody(pipeline, event):
    endpoint_id = pipeline.endpoint()
    pipeline.services.endpoint_states.pause("acme", endpoint_id)

    pipeline.accept(event())

    (row,) = pipeline.rows("SELECT * FROM delivery")
    assert (row.status, row.dead_reason) == ("pending", None)
    assert pipeline.rung() == []
    pipeline.services.endpoint_states.resume("acme", endpoint_id)
    assert pipeline.rung() == [endpoint_id]


def test_events_for_a_deleted_endpoint_or_tenant_go_nowhere(pipeline, event):
    endpoint_id = pipeline.endpoint()
    pipeline.services.endpoint_states.delete("acme", endpoint_id)

    (verdict,) = pipeline.accept(event(id="1"))
    assert verdict.deliveries == 0

    pipeline.services.tenants.delete("acme")
    (verdict,) = pipeline.accept(event(id="2"))
    assert verdict.code == "unknown_tenant"
    assert pipeline.one("SELECT tenant_id FROM rejected_event") is None


def test_what_is_pending_is_dead_lettered_when_an_endpoint_ends(pipeline, event):
    deleted = pipeline.endpoint()
    disabled = pipeline.endpoint()
    pipeline.accept(event())

    pipeline.services.endpoint_states.delete("acme", deleted)
    pipeline.services.endpoint_states.disable("acme", disabled, "gone")

    rows = pipeline.rows("SELECT endpoint_id, status, dead_reason FROM delivery")
    assert {tuple(row) for row in rows} == {
        (deleted, "dead_lettered", "endpoint_deleted"),
        (disabled, "dead_lettered", "endpoint_disabled"),
    }


def test_a_test_event_goes_to_one_endpoint_whatever_it_subscribes_to(pipeline):
    wanted = pipeline.endpoint(event_types=["nothing.like.it"])
    pipeline.endpoint()

    accepted = pipeline.services.events.send_test("acme", wanted, "t-1")

    assert accepted.deliveries == 1
    assert pipeline.one("SELECT endpoint_id FROM delivery") == wanted


def test_an_event_and_its_deliveries_share_their_millisecond(pipeline, event):
    """A delivery's id alone says which partition its event lies in."""
    pipeline.endpoint()
    pipeline.endpoint()

    verdicts = pipeline.accept(*(event(id=str(number)) for number in range(20)))

    rows = pipeline.rows("SELECT id, event_id FROM delivery")
    assert len(rows) == 40
    for row in rows:
        assert ids.milliseconds(row.id) == ids.milliseconds(row.event_id)
    accepted_ids = [each.id for each in verdicts]
    assert accepted_ids == sorted(accepted_ids), "in the order in which they came"


# Invariants 1 and 2


@pytest.fixture
def own_pipeline(make_pipeline, database_url):
    """On a database of the test's own, whose tables it may change."""
    pipeline = make_pipeline(database_url=database_url)
    pipeline.services.tenants.create("acme")
    return pipeline


def test_event_and_deliveries_commit_together(own_pipeline, event):
    """Invariant 1: where the deliveries cannot be written, the event is not there."""
    pipeline = own_pipeline
    pipeline.endpoint()
    pipeline.do("ALTER TABLE delivery RENAME COLUMN event_type TO away")

    with pytest.raises(Exception, match="event_type"):
        pipeline.accept(event())

    assert pipeline.one("SELECT count(*) FROM event") == 0
    assert pipeline.one("SELECT count(*) FROM event_key") == 0
    pipeline.do("ALTER TABLE delivery RENAME COLUMN away TO event_type")
    (verdict,) = pipeline.accept(event())
    assert (verdict.duplicate, verdict.deliveries) == (False, 1), "it was not lost"


def test_nobody_sees_an_event_without_its_deliveries(pipeline, event):
    """Invariant 1: at the moment between the two inserts nothing is visible."""
    pipeline.endpoint()
    seen = []

    class Watched(UnitOfWork):
        def __enter__(self):
            entered = super().__enter__()
            add = entered.events.add_deliveries

            def add_and_look(*args):
                seen.append(pipeline.one("SELECT count(*) FROM event"))
                add(*args)
                seen.append(pipeline.one("SELECT count(*) FROM delivery"))

            entered.events.add_deliveries = add_and_look
            return entered

    sessions = make_sessions(pipeline.engine)
    acceptance = pipeline.acceptance(lambda _: None, lambda: Watched(sessions))

    acceptance.accept([event()], via="stream")

    assert seen == [0, 0]
    assert pipeline.one("SELECT count(*) FROM delivery") == 1


def test_workers_are_rung_only_after_the_commit(pipeline, event):
    """Invariant 2: whoever is rung sees the rows, from a connection of its own."""
    endpoint_id = pipeline.endpoint()
    looked = []

    def ring(due):
        looked.append(([each.endpoint_id for each in due], _pending(pipeline)))

    pipeline.acceptance(ring).accept([event()], via="stream")

    assert looked == [([endpoint_id], 1)]


def test_nobody_is_rung_for_what_was_not_committed(own_pipeline, event):
    """Invariant 2, the other way round."""
    pipeline = own_pipeline
    pipeline.endpoint()
    looked = []
    acceptance = pipeline.acceptance(looked.append)
    pipeline.do("ALTER TABLE delivery RENAME COLUMN event_type TO away")

    with pytest.raises(Exception, match="event_type"):
        acceptance.accept([event()], via="stream")

    assert looked == []


def test_a_bell_that_breaks_takes_nothing_back(pipeline, event):
    pipeline.endpoint()

    def ring(_):
        raise OSError("no bell")

    (verdict,) = pipeline.acceptance(ring).accept([event()], via="stream")

    assert verdict.deliveries == 1
    assert _pending(pipeline) == 1


def _pending(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM delivery WHERE status = 'pending'")


def test_without_a_database_it_says_so(make_pipeline, event):
    away = make_pipeline(database_url="postgresql://127.0.0.1:9/none")

    with pytest.raises(Unavailable):
        away.services.acceptance.accept([event()], via="stream")


def test_threads_that_all_need_a_new_key_do_not_wait_for_each_other(pipeline, event):
    """Each holds a connection already, and there is none left."""
    tenants = [f"tenant-{number}" for number in range(THREADS)]
    for each in tenants:
        pipeline.services.tenants.create(each)
    assert pipeline.engine.pool.size() < THREADS
    together = threading.Barrier(THREADS)

    def accept(tenant_id):
        together.wait(10)
        return pipeline.accept(event(tenantid=tenant_id), via="http")

    with ThreadPoolExecutor(THREADS) as threads:
        for (verdict,) in threads.map(accept, tenants):
            assert isinstance(verdict, Accepted), verdict
