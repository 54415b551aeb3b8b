"""Endpoints in order: one delivery after the other, as they were accepted."""

from __future__ import annotations

import json
import threading

import pytest

from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.errors import Conflict
from ascwebhooks.services import endpoints
from tests.integration import receivers
from tests.waiting import wait_until


class Sequence(receivers.Receiver):
    """Notes the number of each event that comes; fails those it is told to."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.failing: dict[int, int] = {}
        self.out = self.most_out = 0
        super().__init__(self._script)

    def _script(self, receiver, connection) -> None:
        while request := receiver.read_request(connection):
            number = json.loads(request.partition(b"\r\n\r\n")[2])["data"]
            with self.lock:
                self.out += 1
                self.most_out = max(self.most_out, self.out)
                self.numbers.append(number)
                left = self.failing.get(number, 0)
                self.failing[number] = left - 1
            answer = receivers.OK
            if left > 0:
                answer = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
            with self.lock:
                self.out -= 1
            connection.sendall(answer)


def accept(pipeline, event, *numbers: int) -> None:
    pipeline.accept(*(event(str(each), id=f"event-{each}") for each in numbers))


def of(pipeline, number: int):
    return pipeline.one(
        "SELECT d.id FROM delivery d JOIN event e ON e.id = d.event_id"
        " WHERE e.source_id = :id",
        id=f"event-{number}",
    )


def statuses(pipeline) -> dict[str, str]:
    return dict(
        pipeline.rows(
            "SELECT e.source_id, d.status FROM delivery d"
            " JOIN event e ON e.id = d.event_id"
        )
    )


def hasten(pipeline) -> None:
    """Let every wait be over."""
    pipeline.do(
        "UPDATE delivery SET next_attempt_at = clock_timestamp()"
        " WHERE status = 'pending' AND next_attempt_at > clock_timestamp()"
    )


def due(pipeline) -> list:
    window = pipeline.services.maintenance._window()
    with pipeline.uow() as uow:
        return [each.endpoint_id for each in uow.mailboxes.due(window)]


def test_one_after_the_other_in_the_order_of_acceptance(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), ordering="fifo")
        for batch in range(10):
            accept(pipeline, event, *range(batch * 10, batch * 10 + 10))
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: len(receiver.numbers) >= 100, 20, "all have come")
        pipeline.idle(endpoint_id)

    assert receiver.numbers == list(range(100))
    assert receiver.most_out == 1, "one in flight, whatever max_in_flight says"


def test_what_waits_for_a_retry_blocks_those_behind_it(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(
            receiver.url(), ordering="fifo", retry_schedule_s=[3600, 3600]
        )
        receiver.failing = {2: 2}
        accept(pipeline, event, 0, 1, 2, 3, 4)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(of(pipeline, 2))
        pipeline.idle(endpoint_id)
        assert receiver.numbers == [0, 1, 2]
        assert due(pipeline) == [], "those behind it are due, and ring nobody"
        pipeline.rung()
        pipeline.redis.flushdb()
        turns.take([endpoint_id])
        pipeline.idle(endpoint_id)
        assert pipeline.rung() == [], "or turns would ring each other for ever"
        for made in (2, 3):
            hasten(pipeline)
            assert due(pipeline) == [endpoint_id]
            turns.take([endpoint_id])
            pipeline.after_attempts(of(pipeline, 2), made)
            pipeline.idle(endpoint_id)
        wait_until(lambda: len(receiver.numbers) == 7, 10, "all have come")

    assert receiver.numbers == [0, 1, 2, 2, 2, 3, 4]


def test_a_dead_letter_unblocks_those_behind_it(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(
            receiver.url(), ordering="fifo", retry_schedule_s=[]
        )
        receiver.failing = {1: 9}
        accept(pipeline, event, 0, 1, 2)
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: len(receiver.numbers) == 3, 10, "the last one has come")
        pipeline.idle(endpoint_id)

    assert receiver.numbers == [0, 1, 2]
    assert statuses(pipeline) == {
        "event-0": "delivered",
        "event-1": "dead_lettered",
        "event-2": "delivered",
    }


def test_cancelling_the_first_one_unblocks_and_rings(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), ordering="fifo")
        receiver.failing = {0: 9}
        accept(pipeline, event, 0, 1)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(of(pipeline, 0))
        pipeline.idle(endpoint_id)
        pipeline.forget_rings()
        pipeline.services.deliveries.cancel("acme", of(pipeline, 0))
        assert pipeline.rung() == [endpoint_id]
        turns.take([endpoint_id])
        wait_until(lambda: receiver.numbers == [0, 1], 10, "the next one has come")


def test_a_lower_place_is_never_seen_after_a_higher_one(pipeline, event):
    """Two readers accept at once: the second waits until the first has committed.

    Without the lock the second's events would be sent, and then the first's, which
    have lower places.
    """
    pipeline.endpoint(ordering="fifo")
    # The day's key is there: else its commit, which locks no order, comes first.
    pipeline.accept(event(id="zeroth"))
    about_to_commit, go_on = threading.Event(), threading.Event()

    def slow_uow():
        uow = pipeline.uow()
        commit = uow.commit

        def late_commit() -> None:
            about_to_commit.set()
            assert go_on.wait(10)
            commit()

        uow.commit = late_commit
        return uow

    first = pipeline.acceptance(lambda _: None, uow=slow_uow)
    second = pipeline.acceptance(lambda _: None)
    threads = [
        threading.Thread(target=each.accept, args=([event(id=name)],), kwargs=VIA)
        for each, name in ((first, "first"), (second, "second"))
    ]
    threads[0].start()
    assert about_to_commit.wait(10)
    threads[1].start()
    try:
        wait_until(pipeline.waiting_for_a_lock, 10, "the second waits")
        assert pipeline.one("SELECT count(*) FROM delivery") == 1
    finally:
        go_on.set()
        for thread in threads:
            thread.join(10)
    rows = pipeline.rows(
        "SELECT e.source_id FROM delivery d JOIN event e ON e.id = d.event_id"
        " ORDER BY d.position"
    )
    assert [row.source_id for row in rows] == ["zeroth", "first", "second"]


VIA = {"via": "test"}


def test_a_replayed_dead_letter_keeps_its_place(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(
            receiver.url(), ordering="fifo", retry_schedule_s=[]
        )
        receiver.failing = {0: 1}
        accept(pipeline, event, 0)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(of(pipeline, 0))
        pipeline.idle(endpoint_id)
        accept(pipeline, event, 1)
        before = pipeline.delivery(of(pipeline, 0)).position
        pipeline.services.deliveries.retry("acme", of(pipeline, 0))
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.numbers) == 3, 10, "both have come")

    assert receiver.numbers == [0, 0, 1]
    assert pipeline.delivery(of(pipeline, 0)).position == before


def test_beginning_an_order_takes_in_what_is_pending(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        accept(pipeline, event, *range(30))
        pipeline.services.endpoints.change("acme", endpoint_id, {"ordering": "fifo"})
        accept(pipeline, event, *range(30, 40))
        assert pipeline.mailbox(endpoint_id).ordering == "fifo"
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: len(receiver.numbers) == 40, 10, "all have come")

    accepted = sorted(receiver.numbers[:30])
    assert accepted == list(range(30)), "what was pending comes first"
    assert receiver.numbers[30:] == list(range(30, 40))


def test_what_died_before_there_was_an_order_gets_a_place_when_it_is_reopened(
    pipeline, event
):
    """Without a place it would never be claimed, and nobody would know."""
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        accept(pipeline, event, 0, 1)
        pipeline.do(
            "UPDATE delivery SET status = 'dead_lettered',"
            " dead_reason = 'attempts_exhausted', completed_at = clock_timestamp()"
        )
        pipeline.services.endpoints.change("acme", endpoint_id, {"ordering": "fifo"})
        pipeline.services.deliveries.retry("acme", of(pipeline, 0))
        made = pipeline.services.replays.create(
            "acme", deliveries=[of(pipeline, 1)], created_by="test"
        )
        assert made
        pipeline.services.walking.walk()
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(
            lambda: set(statuses(pipeline).values()) == {"delivered"},
            10,
            "both are delivered",
        )


def test_ending_an_order_sends_what_waited_at_once(pipeline, event):
    with Sequence() as receiver:
        endpoint_id = pipeline.endpoint(
            receiver.url(), ordering="fifo", retry_schedule_s=[3600]
        )
        receiver.failing = {0: 1}
        accept(pipeline, event, *range(20))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(of(pipeline, 0))
        pipeline.idle(endpoint_id)
        pipeline.services.endpoints.change("acme", endpoint_id, {"ordering": "none"})
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.numbers) == 20, 10, "all but the first")
        assert statuses(pipeline)["event-0"] == "pending"


@pytest.mark.parametrize("ordering", ["fifo", "none"])
def test_test_events_are_delivered_whatever_the_order(pipeline, event, ordering):
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url, event_types=[], ordering=ordering)
        pipeline.services.events.send_test("acme", endpoint_id, "test-1")
        pipeline.turns().take([endpoint_id])
        wait_until(
            lambda: pipeline.one("SELECT status FROM delivery") == "delivered",
            10,
            "it is delivered",
        )


def test_an_order_cannot_begin_with_a_long_backlog(pipeline, event, monkeypatch):
    """Numbering it would keep the whole tenant's events from being accepted."""
    monkeypatch.setattr(endpoints, "END_BATCH", 5)
    endpoint_id = pipeline.endpoint()
    accept(pipeline, event, *range(6))
    with pytest.raises(Conflict, match="more than 5 deliveries wait"):
        pipeline.services.endpoints.change("acme", endpoint_id, {"ordering": "fifo"})
    assert pipeline.mailbox(endpoint_id).ordering == "none"
    pipeline.services.deliveries.cancel("acme", of(pipeline, 0))
    pipeline.services.endpoints.change("acme", endpoint_id, {"ordering": "fifo"})
    assert pipeline.one("SELECT count(position) FROM delivery") == 5
