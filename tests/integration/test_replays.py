"""Replays, on the real tables: created, walked, paused, killed, and met by others."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason
from ascwebhooks.domain.replays import BATCH
from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services.dead_letters import DeadLetters
from ascwebhooks.services.replay_counts import Counting
from ascwebhooks.services.replays import Replays
from tests.integration.dead import plant
from tests.integration.pipeline import TENANT
from tests.waiting import wait_until

MS = timedelta(milliseconds=2)


def create(pipeline, **options):
    if "deliveries" not in options:
        options.setdefault("filter", {})
    return pipeline.services.replays.create("acme", **options).replay


def preview(pipeline, **options):
    if "deliveries" not in options:
        options.setdefault("filter", {})
    return pipeline.services.replays.preview("acme", **options)


def walk(pipeline):
    """Walk until nothing is left that can be walked now."""
    while pipeline.services.walking.walk():
        if not pipeline.one("SELECT count(*) FROM replay WHERE state = 'running'"):
            return
        if pipeline.one("SELECT bool_and(rate_per_s IS NOT NULL) FROM replay"):
            return


def get(pipeline, replay):
    return pipeline.services.replays.get("acme", replay.id)


def pending(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM delivery WHERE status = 'pending'")


def tallies(pipeline, replay):
    row = get(pipeline, replay).replay
    return row.state, row.total, row.reopened, row.skipped


# What is reopened


def test_dead_letters_become_pending_due_now_at_step_0_and_keep_their_attempts(
    pipeline,
):
    endpoint_id = pipeline.endpoint()
    (delivery_id,) = plant(pipeline, endpoint_id)
    pipeline.do("UPDATE delivery SET position = 7")
    replay = create(pipeline)
    pipeline.forget_rings()

    walk(pipeline)

    row = pipeline.delivery(delivery_id)
    assert (row.status, row.step, row.attempt_count) == ("pending", 0, 3)
    assert (row.dead_reason, row.completed_at, row.sent_alone) == (None, None, 0)
    assert (row.replay_id, row.position) == (replay.id, 7)
    assert row.next_attempt_at <= pipeline.one("SELECT clock_timestamp()")
    assert pipeline.rung() == [endpoint_id]
    assert tallies(pipeline, replay) == ("finished", 1, 1, 0)


@pytest.mark.parametrize("status", ["dead_lettered", "cancelled", "delivered"])
def test_a_filter_reopens_dead_letters_unless_its_status_says_otherwise(
    pipeline, status
):
    endpoint_id = pipeline.endpoint()
    made = {
        each: plant(pipeline, endpoint_id, status=each)[0]
        for each in ("dead_lettered", "cancelled", "delivered")
    }
    given = {} if status == "dead_lettered" else {"status": status}

    create(pipeline, filter=given)
    walk(pipeline)

    assert {
        name
        for name, each in made.items()
        if pipeline.delivery(each).status == "pending"
    } == {status}


@pytest.mark.parametrize("name", ["endpoint_id", "event_type", "dead_reason"])
def test_each_filter_narrows(pipeline, name):
    own, other = pipeline.endpoint(), pipeline.endpoint()
    (wanted,) = plant(pipeline, own, event_type="key.rotated", reason="gone")
    (left,) = plant(pipeline, other)
    given = {"endpoint_id": own, "event_type": "key.rotated", "dead_reason": "gone"}

    create(pipeline, filter={name: given[name]})
    walk(pipeline)

    assert pipeline.delivery(wanted).status == "pending"
    assert pipeline.delivery(left).status == "dead_lettered"


@pytest.mark.parametrize(("bound", "early"), [("since", False), ("until", True)])
def test_times_narrow_by_when_events_were_accepted(pipeline, bound, early):
    """A bound between two events' milliseconds takes the one on its side."""
    endpoint_id = pipeline.endpoint()
    (first,) = plant(pipeline, endpoint_id)
    wait_until(lambda: datetime.now(UTC) > ids.moment(first), 5, "the next ms")
    between = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) > between + MS, 5, "the next ms")
    (second,) = plant(pipeline, endpoint_id)
    between = ids.moment(second)

    create(pipeline, filter={bound: between})
    walk(pipeline)

    statuses = [pipeline.delivery(each).status == "pending" for each in (first, second)]
    assert statuses == [early, not early]


def test_by_ids_what_had_ended_in_any_way_is_reopened(pipeline):
    endpoint_id = pipeline.endpoint()
    made = [
        plant(pipeline, endpoint_id, status=each)[0]
        for each in ("dead_lettered", "cancelled", "delivered")
    ]
    (other,) = plant(pipeline, endpoint_id)

    replay = create(pipeline, deliveries=[*made, made[0]])
    walk(pipeline)

    assert tallies(pipeline, replay) == ("finished", 3, 3, 0)
    assert pipeline.delivery(other).status == "dead_lettered"


def test_a_pending_one_among_the_ids_is_skipped_and_said(pipeline):
    endpoint_id = pipeline.endpoint()
    (dead,) = plant(pipeline, endpoint_id)
    waiting = pipeline.deliver_one()
    before = pipeline.delivery(waiting)

    created = pipeline.services.replays.create("acme", deliveries=[dead, waiting])
    walk(pipeline)

    assert created.counted.notes == ("1 delivery is pending already and skipped.",)
    assert created.counted.count == 1
    assert tallies(pipeline, created.replay) == ("finished", 2, 1, 1)
    assert pipeline.delivery(waiting) == before


def test_what_ended_after_the_cut_off_stays(pipeline):
    """What dies again while the replay runs is not sent in a circle."""
    endpoint_id = pipeline.endpoint()
    (before,) = plant(pipeline, endpoint_id)
    replay = create(pipeline)
    (after,) = plant(pipeline, endpoint_id, ago="-1 second")

    walk(pipeline)

    assert tallies(pipeline, replay) == ("finished", 1, 1, 0)

    assert pipeline.delivery(before).status == "pending"
    assert pipeline.delivery(after).status == "dead_lettered"


def test_by_ids_too_what_ended_again_after_the_cut_off_stays(pipeline):
    (delivery_id,) = plant(pipeline, pipeline.endpoint())
    replay = create(pipeline, deliveries=[delivery_id])
    pipeline.do("UPDATE delivery SET completed_at = clock_timestamp()")

    walk(pipeline)

    assert pipeline.delivery(delivery_id).status == "dead_lettered"
    assert tallies(pipeline, replay) == ("finished", 1, 0, 1)


def test_another_tenants_are_left_alone(pipeline):
    pipeline.services.tenants.create("globex")
    theirs = pipeline.endpoint(tenant_id="globex")
    (delivery_id,) = plant(pipeline, theirs, tenant_id="globex")
    pipeline.endpoint()

    create(pipeline)
    walk(pipeline)
    with pytest.raises(NotFound):
        create(pipeline, deliveries=[delivery_id])

    assert pipeline.delivery(delivery_id).status == "dead_lettered"


def test_a_dry_run_counts_and_makes_nothing(pipeline):
    plant(pipeline, pipeline.endpoint(), 7)

    assert preview(pipeline).count == 7
    assert pipeline.rows("SELECT * FROM replay") == []
    assert pending(pipeline) == 0


# In batches, each once


def test_batches_store_the_cursor_with_what_they_reopened(pipeline):
    """After each transaction, whichever was the last, nothing is half done."""
    plant(pipeline, pipeline.endpoint(), 2 * BATCH + 5)
    replay = create(pipeline)

    seen = []
    while pipeline.services.walking.step() is not None:
        row = get(pipeline, replay).replay
        seen.append((row.reopened, pending(pipeline), row.state))

    assert seen == [
        (BATCH, BATCH, "running"),
        (2 * BATCH, 2 * BATCH, "running"),
        (2 * BATCH + 5, 2 * BATCH + 5, "finished"),
    ]


def test_a_batch_that_is_not_committed_leaves_nothing(pipeline, make_pipeline):
    """As if the walker were killed before the commit."""
    plant(pipeline, pipeline.endpoint(), 3)
    replay = create(pipeline)
    services = pipeline.services.walking
    original = services._uow

    class Killed(Exception):
        pass

    def dying():
        uow = original()

        def die():
            raise Killed

        uow.commit = die
        return uow

    services._uow = dying
    with pytest.raises(Killed):
        services.step()
    services._uow = original

    row = get(pipeline, replay).replay
    assert (row.reopened, row.cursor, pending(pipeline)) == (0, None, 0)
    walk(pipeline)
    assert tallies(pipeline, replay) == ("finished", 3, 3, 0)


def test_each_is_reopened_once_although_it_dies_again_meanwhile(pipeline):
    plant(pipeline, pipeline.endpoint(), BATCH + 1)
    replay = create(pipeline)

    pipeline.services.walking.step()
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', completed_at = clock_timestamp()"
    )
    walk(pipeline)

    assert tallies(pipeline, replay) == ("finished", BATCH + 1, BATCH, 1)


def test_two_replays_over_the_same_reopen_each_once(pipeline):
    """Their batches take turns; what the one reopened the other skips."""
    plant(pipeline, pipeline.endpoint(), BATCH + 500)
    one, other = create(pipeline), create(pipeline)

    walk(pipeline)

    states, totals, reopened, skipped = zip(
        tallies(pipeline, one), tallies(pipeline, other), strict=True
    )
    assert set(states) == {"finished"}
    assert set(totals) == {BATCH + 500}
    assert sum(reopened) == sum(skipped) == BATCH + 500


def test_a_replay_that_a_walker_has_in_hand_is_no_others(pipeline):
    plant(pipeline, pipeline.endpoint(), 3)
    create(pipeline)

    with pipeline.uow() as walker:
        assert walker.replays.take([]) is not None
        assert pipeline.services.walking.step() is None
    assert pipeline.services.walking.step() is not None


def test_two_that_meet_at_the_same_delivery_reopen_it_once(pipeline):
    """Both have looked for it; the second waits at the mailbox and finds it pending."""
    endpoint_id = pipeline.endpoint()
    (delivery_id,) = plant(pipeline, endpoint_id)
    one, other = create(pipeline), create(pipeline)

    with pipeline.uow() as uow:
        uow.mailboxes.lock([endpoint_id])
        threads = [
            threading.Thread(target=pipeline.services.walking.step) for _ in range(2)
        ]
        for each in threads:
            each.start()
        wait_until(lambda: pipeline.waiting_for_a_lock() == 2, 10, "both wait")
    for each in threads:
        each.join(10)

    reopened = [tallies(pipeline, each)[2] for each in (one, other)]
    assert sorted(reopened) == [0, 1]
    assert pipeline.delivery(delivery_id).replay_id in (one.id, other.id)


def test_an_endpoint_that_is_disabled_meanwhile_gets_nothing_pending(pipeline):
    """The state is read under the mailbox's lock, so nothing is left in between."""
    endpoint_id = pipeline.endpoint()
    (delivery_id,) = plant(pipeline, endpoint_id)
    replay = create(pipeline)
    with pipeline.uow() as uow:
        uow.mailboxes.lock([endpoint_id])
        walker = threading.Thread(target=pipeline.services.walking.step)
        walker.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the walker waits")
        uow.mailboxes.set_state(endpoint_id, "disabled")
        uow.commit()
    walker.join(10)

    assert pipeline.delivery(delivery_id).status == "dead_lettered"
    assert tallies(pipeline, replay) == ("finished", 1, 0, 1)


# Pause, resume, cancel


def test_paused_it_reopens_nothing_and_resumed_it_goes_on_where_it_was(pipeline):
    plant(pipeline, pipeline.endpoint(), BATCH + 10)
    replay = create(pipeline)
    replays, walking = pipeline.services.replays, pipeline.services.walking
    walking.step()

    assert replays.pause("acme", replay.id).replay.state == "paused"
    assert walking.step() is None
    assert pending(pipeline) == BATCH
    assert replays.resume("acme", replay.id).replay.state == "running"
    walk(pipeline)

    assert tallies(pipeline, replay) == ("finished", BATCH + 10, BATCH + 10, 0)


def test_cancelled_it_reopens_no_more(pipeline):
    plant(pipeline, pipeline.endpoint(), BATCH + 10)
    replay = create(pipeline)
    pipeline.services.walking.step()

    cancelled = pipeline.services.replays.cancel("acme", replay.id).replay
    walk(pipeline)

    assert (cancelled.state, cancelled.finished_at is None) == ("cancelled", False)
    assert pending(pipeline) == BATCH


@pytest.mark.parametrize("how", ["pause", "resume", "cancel"])
def test_what_has_finished_is_not_changed(pipeline, how):
    replay = create(pipeline)
    walk(pipeline)

    with pytest.raises(Conflict, match="finished already"):
        getattr(pipeline.services.replays, how)("acme", replay.id)


def test_a_replay_that_is_not_there(pipeline):
    pipeline.services.tenants.create("globex")
    replay = create(pipeline)
    for tenant_id, replay_id in (("acme", uuid4()), ("globex", replay.id)):
        for how in ("get", "pause", "resume", "cancel"):
            with pytest.raises(NotFound):
                getattr(pipeline.services.replays, how)(tenant_id, replay_id)


# The rate


def test_no_more_than_the_rate_fall_due_in_any_second(pipeline):
    """Over runs and a pause, and each batch after the one before."""
    plant(pipeline, pipeline.endpoint(), 120)
    replay = create(pipeline, rate_per_s=50)
    replays, walking = pipeline.services.replays, pipeline.services.walking

    def done():
        walking.walk()
        if get(pipeline, replay).replay.reopened >= 50 and not paused:
            paused.append(True)
            replays.pause("acme", replay.id)
            replays.resume("acme", replay.id)
        return get(pipeline, replay).replay.state == "finished"

    paused: list[bool] = []
    wait_until(done, 20, "the replay is finished")

    due = [
        each.next_attempt_at
        for each in pipeline.rows(
            "SELECT next_attempt_at FROM delivery ORDER BY next_attempt_at"
        )
    ]
    assert len(due) == 120
    second = timedelta(seconds=1) - timedelta(milliseconds=1)
    for first in due:
        assert sum(first <= each < first + second for each in due) <= 50
    assert due[-1] <= pipeline.one("SELECT clock_timestamp()"), "finished when all due"


def test_what_a_rate_makes_due_is_rung(pipeline):
    """Also what was never attempted, which the retries' bell does not know."""
    endpoint_id = pipeline.endpoint()
    plant(pipeline, endpoint_id, 3)
    pipeline.do("UPDATE delivery SET attempt_count = 0")
    create(pipeline, rate_per_s=2)
    pipeline.services.walking.walk()
    pipeline.forget_rings()

    def due():
        return pipeline.one(
            "SELECT count(*) FROM delivery WHERE next_attempt_at <= clock_timestamp()"
            " AND status = 'pending'"
        )

    wait_until(lambda: due() == 3, 10, "all three are due")
    pipeline.services.walking.walk()

    assert pipeline.rung() == [endpoint_id]


# Endpoints that take nothing now


def test_of_a_paused_endpoint_they_wait_and_it_is_said(pipeline):
    endpoint_id = pipeline.endpoint()
    (delivery_id,) = plant(pipeline, endpoint_id)
    pipeline.services.endpoint_states.pause("acme", endpoint_id)

    created = pipeline.services.replays.create("acme", filter={})
    walk(pipeline)

    (note,) = created.counted.notes
    assert note.startswith("1 delivery is made pending, to wait")
    assert note.endswith("is paused.")
    assert pipeline.delivery(delivery_id).status == "pending"


@pytest.mark.parametrize("state", ["disabled", "deleted"])
def test_of_a_disabled_or_deleted_endpoint_they_stay_dead_and_it_is_said(
    pipeline, state
):
    endpoint_id = pipeline.endpoint()
    plant(pipeline, endpoint_id, 2)
    (before,) = pipeline.rows("SELECT * FROM delivery LIMIT 1")
    states = pipeline.services.endpoint_states
    if state == "disabled":
        states.disable("acme", endpoint_id, "gone")
    else:
        states.delete("acme", endpoint_id)

    created = pipeline.services.replays.create("acme", filter={})
    walk(pipeline)

    assert created.counted.count == 0
    (note,) = created.counted.notes
    assert note.startswith("2 deliveries are skipped: ep_")
    assert f"is {state}" in note
    assert tallies(pipeline, created.replay) == ("finished", 2, 0, 2)
    assert pipeline.delivery(before.id) == before


def test_what_is_skipped_is_counted_once(pipeline):
    """Also the last of a batch, which stays as it was."""
    endpoint_id = pipeline.endpoint()
    plant(pipeline, endpoint_id, BATCH + 1)
    pipeline.services.endpoint_states.disable("acme", endpoint_id, "gone")

    replay = create(pipeline)
    walk(pipeline)

    assert tallies(pipeline, replay) == ("finished", BATCH + 1, 0, BATCH + 1)


def test_nothing_goes_out_by_a_region_that_is_no_longer_allowed(pipeline):
    (delivery_id,) = plant(pipeline, pipeline.endpoint(), reason="residency")
    pipeline.do("UPDATE tenant SET home_region = 'eu', allowed_regions = '{eu}'")

    created = pipeline.services.replays.create("acme", filter={})
    walk(pipeline)

    assert "no longer allowed" in created.counted.notes[0]
    assert tallies(pipeline, created.replay) == ("finished", 1, 0, 1)
    assert pipeline.delivery(delivery_id).status == "dead_lettered"


def test_of_a_tenant_that_is_deleted_meanwhile_nothing_is_reopened(pipeline):
    (delivery_id,) = plant(pipeline, pipeline.endpoint())
    create(pipeline)
    pipeline.services.tenants.delete("acme")

    walk(pipeline)

    assert pipeline.delivery(delivery_id).status == "dead_lettered"
    assert pipeline.one("SELECT state FROM replay") == "finished"


# What cannot be asked for


def test_ids_that_retention_has_removed_are_a_conflict(pipeline):
    (there,) = plant(pipeline, pipeline.endpoint())
    long_ago = datetime.now(UTC) - timedelta(days=40)
    gone = ids.uuid7(int(long_ago.timestamp() * 1000), bytes(10))

    with pytest.raises(Conflict, match="removed by retention after 30 days"):
        create(pipeline, deliveries=[there, gone])

    assert pipeline.rows("SELECT * FROM replay") == []


def test_ids_that_never_were_are_not_found(pipeline):
    now = ids.uuid7(int(datetime.now(UTC).timestamp() * 1000), bytes(10))
    with pytest.raises(NotFound, match="nothing was replayed"):
        create(pipeline, deliveries=[now])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deliveries": None, "filter": None}, "either"),
        ({"deliveries": [uuid4()], "filter": {}}, "either"),
        ({"deliveries": []}, "1 to 10000"),
        ({"deliveries": [uuid4()] * 10_001}, "1 to 10000"),
        ({"filter": {"status": "pending"}}, "pending cannot be replayed"),
        ({"filter": {}, "rate_per_s": 0}, "at least one"),
        (
            {
                "filter": {
                    "since": datetime(2026, 1, 2, tzinfo=UTC),
                    "until": datetime(2026, 1, 1, tzinfo=UTC),
                }
            },
            "not before",
        ),
    ],
)
def test_bad_input_is_named(pipeline, options, message):
    with pytest.raises(InvalidInput, match=message):
        pipeline.services.replays.create("acme", **options)


# Progress, and what became of it


def test_progress_says_what_became_of_what_was_reopened(pipeline):
    endpoint_id = pipeline.endpoint()
    made = plant(pipeline, endpoint_id, 4)
    replay = create(pipeline, deliveries=made)
    walk(pipeline)
    for each, status in zip(made, ["delivered", "dead_lettered"], strict=False):
        pipeline.do(
            "UPDATE delivery SET status = :status WHERE id = :id",
            status=status,
            id=each,
        )

    outcome = get(pipeline, replay).outcome

    assert outcome == {"delivered": 1, "dead_lettered": 1, "pending": 2}
    by_filter = create(pipeline)
    assert get(pipeline, by_filter).outcome == {}


def test_counting_that_takes_too_long_says_so_and_is_made_up_for(pipeline):
    """The creation is quick whatever there is; walking counts what is left."""
    plant(pipeline, pipeline.endpoint(), 5)
    hasty = Replays(
        pipeline.uow,
        entropy=os.urandom,
        wake=lambda: None,
        retention=timedelta(days=30),
        counting=Counting(timedelta(days=30), within=timedelta(0)),
    )
    # A lock on the table makes any count too long, whatever the machine.
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE")
        created = hasty.create("acme", filter={})

    assert (created.counted.total, created.counted.is_exact) == (0, False)
    assert "more" in created.counted.notes[-1]
    walk(pipeline)
    progress = get(pipeline, created.replay)
    assert tallies(pipeline, created.replay) == ("finished", 5, 5, 0)
    assert progress.plan.total_is_exact


def test_replays_are_listed_the_newest_first(pipeline):
    made = [create(pipeline).id for _ in range(3)]
    pipeline.services.replays.pause("acme", made[1])

    listed = pipeline.services.replays.page("acme")
    paused = pipeline.services.replays.page("acme", state="paused")

    assert {each.replay.id for each in listed} == set(made)
    assert [each.replay.id for each in paused] == [made[1]]


def test_dead_letters_by_endpoint_and_reason(pipeline):
    one, other = pipeline.endpoint(), pipeline.endpoint()
    plant(pipeline, one, 3, ago="2 hours")
    plant(pipeline, one, 1, ago="1 hour")
    plant(pipeline, one, 2, reason="gone")
    plant(pipeline, other, 1)
    plant(pipeline, other, 1, status="cancelled")

    groups = pipeline.services.dead_letters.groups("acme").items

    assert {(g.endpoint_id, g.dead_reason): g.deliveries for g in groups} == {
        (one, "attempts_exhausted"): 4,
        (one, "gone"): 2,
        (other, "attempts_exhausted"): 1,
    }
    assert groups[0].last - groups[0].first > timedelta(minutes=59)


def test_a_replayed_event_arrives_again_under_the_same_id(pipeline):
    """From dead to delivered, through a real request."""
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one()
        pipeline.do(
            "UPDATE delivery SET status = 'dead_lettered', attempt_count = 10,"
            " dead_reason = 'attempts_exhausted', completed_at = clock_timestamp()"
        )
        replay = create(pipeline)
        walk(pipeline)
        pipeline.turns().take([endpoint_id])
        row = pipeline.after_attempts(delivery_id)

    assert (row.status, row.attempt_count, row.step) == ("delivered", 11, 1)
    assert len(seen) == 1
    assert get(pipeline, replay).outcome == {"delivered": 1}


def test_what_is_being_dead_lettered_when_a_replay_is_made_is_replayed(pipeline):
    """It ended before the cut-off and is committed after: the walker waits for it."""
    endpoint_id = pipeline.endpoint(event_types=["x"])
    plant(pipeline, endpoint_id, 5)
    (late,) = plant(pipeline, endpoint_id, 1)
    pipeline.do(
        "UPDATE delivery SET status = 'pending', completed_at = NULL,"
        " dead_reason = NULL WHERE id = :id",
        id=late,
    )
    with pipeline.uow() as uow:
        uow.mailboxes.lock([endpoint_id])
        uow.claims.end(late, DeadReason.EXPIRED)
        made = pipeline.services.replays.create(
            TENANT, filter={"status": "dead_lettered"}
        )
        assert pipeline.services.walking.step() is not None
        walked = pipeline.services.replays.get(TENANT, made.replay.id).replay
        assert (walked.state, walked.reopened) == ("running", 0), "it waits"
        uow.commit()
    pipeline.services.walking.walk()
    walked = pipeline.services.replays.get(TENANT, made.replay.id).replay
    assert (walked.state, walked.reopened) == ("finished", 6)


def test_of_too_many_dead_letters_the_last_days_are_grouped(pipeline):
    plant(pipeline, pipeline.endpoint(), 3)
    hasty = DeadLetters(pipeline.uow, timedelta(days=30), within=timedelta(0))
    # A lock on the table makes any grouping too long, whatever the machine.
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE")
        found = hasty.groups("acme")
    assert (found.total, found.is_exact) == (0, False)


def test_a_group_shows_the_error_of_the_one_that_died_last(pipeline):
    endpoint_id = pipeline.endpoint()
    plant(pipeline, endpoint_id, 2, ago="2 hours")
    (last,) = plant(pipeline, endpoint_id, ago="1 hour")
    pipeline.do(
        "UPDATE delivery SET last_error = 'timeout', last_status_code = NULL"
        " WHERE id = :id",
        id=last,
    )
    (group,) = pipeline.services.dead_letters.groups("acme").items
    assert group.deliveries == 3
    assert (group.last_error, group.last_status_code) == ("timeout", None)
    assert group.endpoint.id == endpoint_id


def test_another_tenants_dead_letters_are_in_no_group(pipeline):
    pipeline.services.tenants.create("globex")
    plant(pipeline, pipeline.endpoint(tenant_id="globex"), tenant_id="globex")
    assert pipeline.services.dead_letters.groups("acme").items == []
