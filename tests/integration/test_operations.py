"""Operational events: each change tells of itself once, whatever dies in between."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from ascwebhooks.domain import ids
from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.operations import Operation
from ascwebhooks.errors import Conflict
from ascwebhooks.services import notices, tenants
from ascwebhooks.services.notices import Notices
from ascwebhooks.services.secrets import MAX_SECRETS
from tests.integration import receivers
from tests.integration.pipeline import TENANT, event
from tests.waiting import wait_until

DEAD, DISABLED = "delivery.dead_lettered", "endpoint.disabled"
ROTATED, ENABLED = "endpoint.secret_rotated", "endpoint.enabled"
#: What the endpoints of these tests take, so that operational events are not sent to
#: them: those go to ``watcher``.
WORK = ("budget.*",)
FAILED = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"

# From Python 3.12 on, forking beside threads warns; the child only dies.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def watcher(pipeline) -> UUID:
    """An endpoint that gets operational events and nothing else."""
    return pipeline.endpoint(event_types=["endpoint.*", "delivery.dead_lettered"])


def told(pipeline, tenant_id: str = TENANT) -> list[dict]:
    """Return the operational events that were accepted, as CloudEvents have them."""
    rows = pipeline.rows(
        "SELECT id, type, source_id, time FROM event WHERE source = '/ascwebhooks'"
        " AND tenant_id = :tenant ORDER BY id",
        tenant=tenant_id,
    )
    found = []
    for row in rows:
        kept = pipeline.services.events.get(tenant_id, row.id)
        data = json.loads(kept.data)
        assert kept.kept.subject == data["endpoint_id"]
        schema = CATALOGUE[row.type].schema
        Draft202012Validator(schema).validate(data)
        assert set(data) <= set(schema["properties"]), "the catalogue names all of it"
        found.append({"type": row.type, "id": row.source_id, "data": data})
    return found


def tell(pipeline) -> list[dict]:
    """Do what the maintenance worker does; return all that was told until now."""
    pipeline.services.notices.tell()
    assert pipeline.rows("SELECT * FROM notice") == []
    return told(pipeline)


def pending_at(pipeline, endpoint_id: UUID) -> int:
    return pipeline.one(
        "SELECT count(*) FROM delivery WHERE endpoint_id = :id AND status = 'pending'",
        id=endpoint_id,
    )


def shown(endpoint_id: UUID) -> str:
    return ids.show(Kind.ENDPOINT, endpoint_id)


# What is told


def test_disabling_tells_how_it_came_to_that(pipeline, watcher):
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.deliver_one()
    pipeline.do(
        "UPDATE delivery SET attempt_count = 4, last_status_code = 503,"
        " last_error = 'http_status'"
    )
    pipeline.do(
        "UPDATE mailbox SET consecutive_failures = 12,"
        " failing_since = '2026-11-20T01:02:03.456Z' WHERE endpoint_id = :id",
        id=endpoint_id,
    )

    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "the test's")
    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "once more")

    first, second = tell(pipeline)
    assert (first["type"], second["type"]) == (DISABLED, DEAD)
    assert first["data"] == {
        "endpoint_id": shown(endpoint_id),
        "reason": "the test's",
        "consecutive_failures": 12,
        "first_failed_at": "2026-11-20T01:02:03.456Z",
        "last_status": 503,
        "last_error": "http_status",
    }
    assert pending_at(pipeline, watcher) == 2


def test_enabling_is_told_and_resuming_after_a_pause_is_not(pipeline, watcher):
    endpoint_id = pipeline.endpoint(event_types=WORK)
    states = pipeline.services.endpoint_states
    states.pause(TENANT, endpoint_id)
    states.resume(TENANT, endpoint_id)
    assert tell(pipeline) == []

    states.disable(TENANT, endpoint_id, "gone")
    states.resume(TENANT, endpoint_id)
    states.resume(TENANT, endpoint_id)

    first, second = tell(pipeline)
    assert first["data"]["last_status"] == 410
    assert second["type"] == ENABLED
    assert second["data"] == {"endpoint_id": shown(endpoint_id), "reason": "gone"}
    assert pending_at(pipeline, watcher) == 2


def test_a_secret_rotated_eleven_times(pipeline, watcher):
    """Each rotation is told once; the one that is refused is not."""
    endpoint_id = pipeline.endpoint(event_types=WORK)
    rotate = pipeline.services.secrets.rotate
    # It was created with one: so many more are in force at once, and no other.
    for _ in range(MAX_SECRETS - 1):
        rotate(TENANT, endpoint_id)
    with pytest.raises(Conflict):
        rotate(TENANT, endpoint_id)
    rotate(TENANT, endpoint_id, overlap=timedelta(0))

    found = tell(pipeline)

    assert [each["type"] for each in found] == [ROTATED] * MAX_SECRETS
    assert found[0]["data"] == {
        "endpoint_id": shown(endpoint_id),
        "signature": "v1",
        "overlap_s": 86_400,
    }
    assert len({each["id"] for each in found}) == MAX_SECRETS
    assert pending_at(pipeline, watcher) == MAX_SECRETS


def by_attempts(pipeline, endpoint_id):
    answered(pipeline, endpoint_id, FAILED)


def by_410(pipeline, endpoint_id):
    answered(pipeline, endpoint_id, GONE)
    disabled = "SELECT state = 'disabled' FROM endpoint WHERE id = :id"
    wait_until(lambda: pipeline.one(disabled, id=endpoint_id), 10, "it is disabled")


def answered(pipeline, endpoint_id, response: bytes) -> None:
    """Let a receiver give the one answer that there will be."""
    with receivers.Receiver(receivers.keep_alive(response)) as receiver:
        pipeline.services.endpoints.change(
            TENANT, endpoint_id, {"url": receiver.url(), "retry_schedule_s": []}
        )
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: not pending_at(pipeline, endpoint_id), 10, "it is dead")
        pipeline.idle(endpoint_id)  # or nobody else gets the lease


def by_crashing(pipeline, endpoint_id):
    """As if it had been sent alone once, and the process had died of it."""
    pipeline.do("UPDATE mailbox SET abandoned_leases = 5, lease_token = NULL")
    pipeline.do("UPDATE delivery SET sent_alone = 1")
    pipeline.turns().take([endpoint_id])
    wait_until(lambda: not pending_at(pipeline, endpoint_id), 10, "it is dead")


def by_expiring(pipeline, endpoint_id):
    in_time = pipeline.one("SELECT now() + interval '40 days'")
    pipeline.services.maintenance._expire(in_time)


def by_narrowing(pipeline, endpoint_id):
    """All others move before: those abroad are told of nothing."""
    change = pipeline.services.tenants.change
    change(TENANT, {"allowed_regions": ["default", "eu"]})
    for row in pipeline.rows("SELECT id FROM endpoint"):
        if row.id != endpoint_id:
            pipeline.services.endpoints.change(TENANT, row.id, {"region": "eu"})
    change(TENANT, {"home_region": "eu", "allowed_regions": ["eu"]})


def by_disabling(pipeline, endpoint_id):
    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "the test's")


def by_deleting(pipeline, endpoint_id):
    pipeline.services.endpoint_states.delete(TENANT, endpoint_id)


def by_the_rest(pipeline, endpoint_id):
    """What was left when the endpoint was disabled: the job of maintenance ends it."""
    pipeline.do("UPDATE mailbox SET state = 'disabled'")
    pipeline.do("UPDATE endpoint SET state = 'disabled' WHERE id = :id", id=endpoint_id)
    assert pipeline.services.endpoint_states.end_the_rest() == 1


@pytest.mark.parametrize(
    ("end", "reason", "status"),
    [
        (by_attempts, "attempts_exhausted", 500),
        (by_410, "gone", 410),
        (by_crashing, "crashes_worker", None),
        (by_expiring, "expired", None),
        (by_narrowing, "residency", None),
        (by_disabling, "endpoint_disabled", None),
        (by_deleting, "endpoint_deleted", None),
        (by_the_rest, "endpoint_disabled", None),
    ],
)
def test_each_way_of_dying_is_told_once(pipeline, watcher, end, reason, status):
    endpoint_id = pipeline.endpoint(event_types=WORK)
    delivery_id = pipeline.deliver_one()

    end(pipeline, endpoint_id)

    found = [each for each in tell(pipeline) if each["type"] == DEAD]
    assert [each["data"] for each in found] == [
        {
            "endpoint_id": shown(endpoint_id),
            "delivery_id": ids.show(Kind.DELIVERY, delivery_id),
            "event_id": ids.show(Kind.EVENT, pipeline.delivery(delivery_id).event_id),
            "event_type": "budget.exceeded",
            "reason": reason,
            "attempts": 1 if status else 0,
            "last_status": status,
            "last_error": "http_status" if status else None,
        }
    ]
    assert tell(pipeline) == told(pipeline), "and not again"


def test_what_is_dead_from_birth_is_not_told(pipeline, watcher):
    """That the endpoint was disabled was."""
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")
    assert pipeline.delivery(pipeline.deliver_one()).status == "dead_lettered"

    assert [each["type"] for each in tell(pipeline)] == [DISABLED]


def test_dying_again_after_a_retry_is_told_again(pipeline, watcher):
    endpoint_id = pipeline.endpoint(event_types=WORK)
    delivery_id = pipeline.deliver_one()
    by_attempts(pipeline, endpoint_id)
    pipeline.services.deliveries.retry(TENANT, delivery_id)
    by_attempts(pipeline, endpoint_id)

    first, second = tell(pipeline)

    assert (first["data"]["attempts"], second["data"]["attempts"]) == (1, 2)


# To whom


def test_dead_letters_that_nobody_asks_for_are_not_told(pipeline):
    """Neither kept as events, nor even noted; what happens to endpoints is kept."""
    endpoint_id = pipeline.endpoint(event_types=[*WORK, "delivery.dead_letters", "d*e"])
    pipeline.deliver_one()
    off = pipeline.endpoint(event_types=())
    pipeline.services.subscriptions.create(
        TENANT, endpoint_id=off, event_types=["*"], enabled=False
    )
    gone = pipeline.endpoint(event_types=["*.dead_lettered"])
    pipeline.services.endpoint_states.delete(TENANT, gone)

    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")

    assert pipeline.rows("SELECT type FROM notice") == [(DISABLED,)]
    assert [each["type"] for each in tell(pipeline)] == [DISABLED]


@pytest.mark.parametrize(
    ("filter", "count", "not_sent"),
    [
        ('data.reason == "endpoint_disabled"', 1, None),
        ('data.reason == "gone"', 0, None),
        ("data.nothing > 1", 1, "failed"),
    ],
    ids=["yes", "no", "fails"],
)
def test_filters_are_asked_before_a_dead_letter_is_told(
    pipeline, filter, count, not_sent
):
    """One that fails is: ``events why`` says so."""
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.deliver_one()
    pipeline.endpoint(event_types=[DEAD], filter=filter)

    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")

    assert [each["type"] for each in tell(pipeline)] == [DISABLED] + [DEAD] * count
    if not_sent:
        assert list(pipeline.rows("SELECT not_sent FROM event ORDER BY id")[-1][0]) == [
            not_sent
        ]


def test_each_tenant_is_told_of_its_own(pipeline, watcher):
    pipeline.services.tenants.create("globex")
    theirs = pipeline.endpoint(tenant_id="globex", event_types=["*"])
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.deliver_one()

    pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")
    pipeline.services.secrets.rotate("globex", theirs)

    assert [each["type"] for each in tell(pipeline)] == [DISABLED, DEAD]
    (other,) = told(pipeline, "globex")
    assert other["data"]["endpoint_id"] == shown(theirs)
    assert pending_at(pipeline, theirs) == 1
    assert pending_at(pipeline, watcher) == 2


def test_of_a_tenant_that_is_deleted_meanwhile_nothing_is_told(pipeline, watcher):
    """Not even as rejected events of an unknown tenant."""
    pipeline.services.secrets.rotate(TENANT, watcher)
    pipeline.services.tenants.delete(TENANT)

    assert pipeline.services.notices.tell() == 1

    for table in ("notice", "event", "rejected_event"):
        assert pipeline.rows(f"SELECT * FROM {table}") == []


def until_attempts(pipeline, count: int) -> None:
    wait_until(
        lambda: pipeline.one("SELECT count(*) FROM attempt") >= count,
        10,
        f"{count} attempts",
    )


def test_no_event_goes_round_for_ever(pipeline):
    """An endpoint that takes everything and fails is told of what died there: once."""
    with receivers.Receiver(receivers.keep_alive(FAILED)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[600])
        turns = pipeline.turns()
        # Few enough that the breaker stays closed.
        pipeline.accept(*(event(id=str(number)) for number in range(2)))
        for _ in range(8):
            made = pipeline.one("SELECT count(*) FROM attempt")
            expected = made + pending_at(pipeline, endpoint_id)
            pipeline.do(
                "UPDATE delivery SET next_attempt_at = clock_timestamp()"
                " WHERE status = 'pending'"
            )
            turns.take([endpoint_id])
            until_attempts(pipeline, expected)
            pipeline.services.notices.tell()
        pipeline.services.endpoint_states.disable(TENANT, endpoint_id, "gone")
        found = tell(pipeline)

    assert [each["type"] for each in found] == [DEAD] * 2 + [DISABLED]
    assert pipeline.rows(
        "SELECT event_type, dead_reason, count(*) FROM delivery GROUP BY 1, 2"
        " ORDER BY 1"
    ) == [
        ("budget.exceeded", "attempts_exhausted", 2),
        (DEAD, "attempts_exhausted", 2),
        (DISABLED, "endpoint_disabled", 1),
    ]


# Whatever dies in between


def die_in(act) -> None:
    """Run something in a process of its own that ends with it, as by kill -9."""
    process = os.fork()
    if process == 0:
        try:
            act()
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


@pytest.fixture
def forked(make_pipeline):
    """A process's services that no connection was opened for before the fork."""
    return make_pipeline()


@forks
def test_what_was_committed_is_told_although_its_process_died(
    pipeline, forked, watcher
):
    die_in(lambda: forked.services.secrets.rotate(TENANT, watcher))
    pipeline.redis.flushdb()

    assert [each["type"] for each in tell(pipeline)] == [ROTATED]
    assert pending_at(pipeline, watcher) == 1


def test_what_was_rolled_back_is_not_told(pipeline, watcher):
    with pipeline.uow() as uow:
        endpoint = uow.endpoints.find(TENANT, watcher)
        uow.notices.add(Operation.ENABLED, TENANT, endpoint.id, {})

    assert tell(pipeline) == []


@forks
def test_killed_between_the_event_and_the_end_of_the_notice_it_is_told_once(
    pipeline, forked, watcher
):
    pipeline.services.secrets.rotate(TENANT, watcher)
    accept = forked.services.acceptance.accept

    def accept_and_die(*raws, **terms):
        accept(*raws, **terms)
        os._exit(9)

    die_in(lambda: Notices(forked.uow, accept_and_die).tell())
    assert len(pipeline.rows("SELECT * FROM notice")) == 1, "it died too late"
    assert [each["type"] for each in told(pipeline)] == [ROTATED], "it died too early"

    assert [each["type"] for each in tell(pipeline)] == [ROTATED]
    assert pending_at(pipeline, watcher) == 1


@forks
def test_killed_before_the_event_it_is_told_once(pipeline, forked, watcher):
    pipeline.services.secrets.rotate(TENANT, watcher)

    die_in(lambda: Notices(forked.uow, lambda *_, **__: os._exit(9)).tell())
    assert told(pipeline) == []

    assert [each["type"] for each in tell(pipeline)] == [ROTATED]


def test_two_at_once_tell_of_different_things(pipeline, make_pipeline, watcher):
    """The second passes over what the first has in hand, without waiting for it."""
    other = make_pipeline()
    pipeline.services.secrets.rotate(TENANT, watcher)
    taken = []

    def accept(raws, *, via):
        pipeline.services.secrets.rotate(TENANT, endpoint_id)
        taken.append(other.services.notices.tell())
        return pipeline.services.acceptance.accept(raws, via=via)

    pipeline.services.tenants.create("globex")
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.do("UPDATE notice SET tenant_id = 'globex'")
    told_of = Notices(pipeline.uow, accept).step()

    assert (told_of, taken) == (1, [1])
    assert [each["type"] for each in tell(pipeline)] == [ROTATED]
    assert len(told(pipeline, "globex")) == 1


def test_two_that_hurry_tell_of_each_thing_once(pipeline, make_pipeline, watcher):
    pipeline.do(
        "INSERT INTO notice (tenant_id, type, endpoint_id, facts)"
        " SELECT :tenant, 'endpoint.enabled', :id, '{}'"
        " FROM generate_series(1, 3000)",
        tenant=TENANT,
        id=watcher,
    )
    others = [make_pipeline() for _ in range(2)]
    threads = [
        threading.Thread(target=each.services.notices.tell, args=(60.0,))
        for each in others
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    pipeline.services.notices.tell(60.0)

    assert pipeline.one("SELECT count(*) FROM event") == 3000
    assert pending_at(pipeline, watcher) == 3000


def test_a_tenant_is_not_deleted_while_its_event_is_accepted(
    pipeline, make_pipeline, watcher
):
    """Or the event would stand among the rejected; and nobody waits for ever."""
    other = make_pipeline()
    pipeline.services.secrets.rotate(TENANT, watcher)
    deleting = threading.Thread(target=other.services.tenants.delete, args=(TENANT,))

    def accept(raws, *, via):
        deleting.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the deletion waits")
        return pipeline.services.acceptance.accept(raws, via=via)

    Notices(pipeline.uow, accept).tell()
    deleting.join(10)

    assert pipeline.rows("SELECT type FROM event") == [(ROTATED,)]
    assert pipeline.rows("SELECT * FROM rejected_event") == []
    assert pipeline.one("SELECT deleted_at FROM tenant") is not None


def test_a_tenant_whose_key_does_not_open_keeps_nobody_back(
    pipeline, make_pipeline, watcher
):
    """Here the whole batch is its; the next one is another's."""
    pipeline.services.tenants.create("globex")
    theirs = pipeline.endpoint(tenant_id="globex")
    pipeline.do(
        "INSERT INTO notice (tenant_id, type, endpoint_id, facts)"
        " SELECT :tenant, 'endpoint.enabled', :id, '{}'"
        " FROM generate_series(1, :count)",
        tenant=TENANT,
        id=watcher,
        count=notices.BATCH,
    )
    pipeline.services.secrets.rotate("globex", theirs)
    pipeline.do("UPDATE data_key SET ring_key = 'lost' WHERE tenant_id = 'acme'")
    other = make_pipeline()

    other.services.notices.tell(60.0)
    assert len(told(pipeline, "globex")) == 1
    assert other.services.notices.tell() == 0, "it waits for a minute"

    pipeline.do("UPDATE data_key SET ring_key = 'k1'")
    pipeline.do("UPDATE notice SET due_at = clock_timestamp()")
    assert len(tell(pipeline)) == notices.BATCH


def test_notices_that_could_not_be_told_are_forgotten_with_what_they_are_about(
    pipeline, watcher
):
    for _ in range(2):
        pipeline.services.secrets.rotate(TENANT, watcher)
    pipeline.do("UPDATE notice SET at = now() - interval '31 days' WHERE id % 2 = 0")

    pipeline.services.maintenance.forget()

    assert pipeline.one("SELECT count(*) FROM notice") == 1


def test_a_change_asks_for_its_telling(pipeline, watcher):
    """After the commit, and not for what tells of nothing."""
    pipeline.services.endpoint_states.pause(TENANT, watcher)
    pipeline.services.secrets.rotate(TENANT, watcher)

    wait_until(lambda: pipeline.messages("maintenance"), 5, "the bell has rung")
    (message,) = pipeline.messages("maintenance")
    assert b"tell_notices" in message


# Many


def test_an_endpoint_deleted_with_1000_pending(pipeline, watcher):
    endpoint_id = pipeline.endpoint(event_types=WORK)
    pipeline.accept(*(event(id=str(number)) for number in range(1000)))

    pipeline.services.endpoint_states.delete(TENANT, endpoint_id)
    pipeline.services.notices.tell(60.0)

    assert pipeline.rows(
        "SELECT status, dead_reason, count(*) FROM delivery WHERE endpoint_id = :id"
        " GROUP BY 1, 2",
        id=endpoint_id,
    ) == [("dead_lettered", "endpoint_deleted", 1000)]
    assert pipeline.rows(
        "SELECT event_type, status, count(*), count(DISTINCT event_id) FROM delivery"
        " WHERE endpoint_id = :id GROUP BY 1, 2",
        id=watcher,
    ) == [(DEAD, "pending", 1000, 1000)]
    about = {each["data"]["delivery_id"] for each in told(pipeline)}
    assert len(about) == 1000


def test_a_tenant_deleted_in_mid_flight(pipeline):
    """Requests are out: they are recorded as made, and nobody is told of anything."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=2)
        pipeline.endpoint(event_types=[DEAD])  # ended after the others
        pipeline.accept(*(event(id=str(number)) for number in range(12)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.requests) == 2, 10, "two are out")
        pipeline.services.tenants.delete(TENANT)
        gate.release()
        until_attempts(pipeline, 1)
        pipeline.taken_back(turns)
        gate.release(12)
        pipeline.idle(endpoint_id)

    out = len(receiver.requests)
    assert out < 12, "what was not sent yet went back"
    assert pipeline.rows(
        "SELECT status, dead_reason, count(*), sum(attempt_count) FROM delivery"
        " GROUP BY 1, 2 ORDER BY 1"
    ) == [
        ("dead_lettered", "endpoint_deleted", 12 - out, 0),
        ("delivered", None, out, out),
    ]
    assert pipeline.one("SELECT count(*) FROM attempt") == out
    assert pipeline.rows("SELECT * FROM notice") == [], "there is nobody to be told"
    pipeline.services.notices.tell()
    assert pipeline.one("SELECT count(*) FROM event WHERE source = '/ascwebhooks'") == 0
    for table in ("notice", "rejected_event"):
        assert pipeline.rows(f"SELECT * FROM {table}") == []


def test_endpoints_that_die_together_leave_no_more_than_their_own_dead_letters(
    pipeline,
):
    """Each takes everything, the others' dead letters too: n x n, if it went on."""
    for _ in range(20):
        pipeline.endpoint()
    pipeline.accept(event())
    pipeline.services.tenants.change(
        TENANT, {"home_region": "eu", "allowed_regions": ["eu"]}
    )
    tell(pipeline)
    dead = "SELECT count(*) FROM delivery WHERE event_type = :type"
    assert pipeline.one(dead, type=DEAD) == 0


def test_why_an_endpoint_was_not_told_of_a_dead_letter(pipeline, watcher):
    """It says how things stood when it came, also when they have changed since."""
    off, abroad = (pipeline.endpoint(event_types=[DEAD]) for _ in range(2))
    dying = pipeline.endpoint(event_types=WORK)
    pipeline.deliver_one()
    pipeline.do("UPDATE endpoint SET region = 'eu' WHERE id = :id", id=abroad)
    pipeline.services.endpoint_states.disable(TENANT, off, "gone")
    pipeline.services.endpoint_states.delete(TENANT, dying)
    tell(pipeline)
    event_id = pipeline.one("SELECT id FROM event WHERE type = :type", type=DEAD)
    pipeline.services.endpoint_states.resume(TENANT, off)
    later = pipeline.endpoint(event_types=())
    pipeline.services.subscriptions.create(
        TENANT, endpoint_id=later, event_types=[DEAD]
    )

    found = pipeline.services.events.get(TENANT, event_id).explained.items

    told = {each.endpoint_id: each for each in found}
    assert (told[off].outcome, told[off].reason) == ("disabled", "endpoint_disabled")
    assert "was disabled when it came" in told[off].detail
    assert (told[abroad].outcome, told[abroad].reason) == ("abroad", "residency")
    assert told[later].outcome == "created_later"
    assert told[watcher].outcome == "pending"


def test_a_living_endpoint_is_told_of_the_dead_letters_of_those_that_died(pipeline):
    dying = [pipeline.endpoint(event_types=WORK) for _ in range(3)]
    everything = [pipeline.endpoint() for _ in range(2)]
    pipeline.services.endpoint_states.disable(TENANT, everything[1], "gone")
    tell(pipeline)
    pipeline.accept(event())
    for endpoint_id in dying:
        pipeline.services.endpoint_states.delete(TENANT, endpoint_id)
    tell(pipeline)
    rows = pipeline.rows(
        "SELECT endpoint_id, count(*) FROM delivery WHERE event_type = :type"
        " GROUP BY 1",
        type=DEAD,
    )
    assert rows == [(everything[0], 3)], "each once, and none to who took no part"


def test_deleting_a_tenant_ends_one_batch_in_all_and_the_rest_later(
    pipeline, monkeypatch
):
    """Others' events wait for the tenant's row meanwhile, if they share a batch."""
    monkeypatch.setattr(tenants, "END_BATCH", 5)
    endpoint_ids = [pipeline.endpoint(event_types=WORK) for _ in range(4)]
    pipeline.accept(*(event(id=str(number)) for number in range(3)))
    pipeline.services.tenants.delete(TENANT)
    left = sum(pending_at(pipeline, each) for each in endpoint_ids)
    assert left == 4 * 3 - 5
    assert pipeline.services.endpoint_states.end_the_rest() == left
    assert sum(pending_at(pipeline, each) for each in endpoint_ids) == 0
