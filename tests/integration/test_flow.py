"""Flow: rate, breaker, and pauses that receivers ask for, against real receivers."""

from __future__ import annotations

import threading
import time

import pytest

from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.storage.doors import Urgency
from ascwebhooks.storage.mailboxes import Due
from tests.integration import receivers
from tests.waiting import wait_until


class Noted(receivers.Receiver):
    """Answers as it is told to, and notes when each request came."""

    def __init__(self, *answers: bytes) -> None:
        self.answer = answers[0]
        self.at: list[float] = []
        super().__init__(self._script)

    def _script(self, receiver, connection) -> None:
        while receiver.read_request(connection):
            with self.lock:
                self.at.append(time.monotonic())
            connection.sendall(self.answer)


def saying(status: int, *headers: str) -> bytes:
    lines = "".join(f"{each}\r\n" for each in (*headers, "Content-Length: 0"))
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()


def sent(pipeline) -> list[float]:
    """Return when each attempt was begun, as it was recorded, in seconds.

    When a request came says as much of the receiver's thread: one that is held up
    notes what came meanwhile as a burst.
    """
    rows = pipeline.rows("SELECT started_at FROM attempt ORDER BY started_at")
    return [row.started_at.timestamp() for row in rows]


def most_in_a_second(at: list[float]) -> int:
    return max(sum(1 for each in at if first <= each < first + 1) for first in at)


def accept(pipeline, event, count: int, prefix: str = "e") -> list:
    """Accept so many events at once; return their deliveries in order."""
    pipeline.accept(*(event(id=f"{prefix}{number:04}") for number in range(count)))
    return [
        row.id
        for row in pipeline.rows(
            "SELECT d.id FROM delivery d JOIN event e ON e.id = d.event_id"
            " WHERE e.source_id LIKE :p || '%' ORDER BY e.source_id",
            p=prefix,
        )
    ]


def attempts(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM attempt")


def delivered(pipeline) -> int:
    return pipeline.one("SELECT count(*) FROM delivery WHERE status = 'delivered'")


def pass_over(pipeline, *columns: str) -> None:
    """Let a wait be over, as if its time had passed."""
    for column in columns:
        pipeline.do(
            f"UPDATE mailbox SET {column} = clock_timestamp() - interval '1 ms'"
        )


def due(pipeline) -> list:
    window = pipeline.services.maintenance._window()
    with pipeline.uow() as uow:
        return [each.endpoint_id for each in uow.mailboxes.due(window)]


# Rate


def test_a_rate_spaces_requests_evenly(pipeline, event):
    with Noted(saying(200)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), rate_limit_per_s=20)
        accept(pipeline, event, 45)
        began = time.monotonic()
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: delivered(pipeline) == 45, 20, "all are delivered")

    assert most_in_a_second(sent(pipeline)) <= 21
    assert receiver.at[-1] - began >= 44 / 20, "no burst made up for anything"
    assert len(receiver.at) == 45


def test_a_rate_holds_from_one_lease_to_the_next_and_between_processes(pipeline, event):
    """What is left of the wait is in the mailbox, not in a process."""
    with receivers.Receiver(receivers.keep_alive(saying(200))) as receiver:
        began = time.time()
        endpoint_id = pipeline.endpoint(receiver.url(), rate_limit_per_s=2)
        one, other = pipeline.turns(), pipeline.turns()
        for number, turns in enumerate((one, other, one, other)):
            pipeline.accept(event(id=f"event-{number}"))
            turns.take([endpoint_id])
            wait_until(lambda n=number: delivered(pipeline) > n, 10, "it is delivered")
            pipeline.idle(endpoint_id)

    at = sent(pipeline)
    assert len(at) == 4
    for number, each in enumerate(at):
        assert each - began >= number * 0.5, "no wait is forgotten"
    # One that was held up once its turn had come is closer to the next, not to others.
    assert at[2] - at[0] >= 0.5
    assert at[3] - at[1] >= 0.5


def test_a_slow_rate_claims_little_ahead(pipeline, event):
    """A backlog that will take hours does not lie in a process's memory."""
    with Noted(saying(200)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), rate_limit_per_s=5)
        accept(pipeline, event, 300)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: len(receiver.at) >= 3, 5, "some have arrived")
        (visit,) = turns._all()
        assert visit.lane.queued <= 10


def test_a_rate_can_be_taken_away(pipeline, event):
    with Noted(saying(200)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), rate_limit_per_s=1)
        pipeline.services.endpoints.change(
            "acme", endpoint_id, {"rate_limit_per_s": None}
        )
        accept(pipeline, event, 40)
        pipeline.turns().take([endpoint_id])
        # At one a second it would take twice as long.
        wait_until(lambda: delivered(pipeline) == 40, 20, "all are delivered at once")


# Breaker


def test_ten_failures_open_the_breaker_and_the_rest_waits_unused(pipeline, event):
    """Ten attempts, not 500; what was claimed and not sent goes back as it was."""
    with Noted(saying(500)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=50)
        accept(pipeline, event, 500)
        fast, slow = pipeline.turns(), pipeline.turns(slow=True)
        fast.take([endpoint_id])
        pipeline.idle(endpoint_id)
        slow.take([endpoint_id])
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).breaker_openings, 10, "it opened"
        )
        box = pipeline.idle(endpoint_id)
        slow.take([endpoint_id])
        fast.take([endpoint_id])

        assert attempts(pipeline) == len(receiver.at) == 10
    assert pipeline.mailbox(endpoint_id).lease_token is None, "nobody may serve it"
    assert box.consecutive_failures == 10
    assert 25 < (box.breaker_until - box.last_failure_at).total_seconds() <= 30
    assert pipeline.rows(
        "SELECT status, step, attempt_count, count(*) FROM delivery"
        " GROUP BY 1, 2, 3 ORDER BY 2"
    ) == [("pending", 0, 0, 490), ("pending", 1, 1, 10)]


def opened(pipeline, event, receiver, count: int = 30):
    """Return an endpoint whose breaker is open, with so many deliveries waiting.

    Those that failed wait for longer than a test takes.
    """
    endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[3600] * 3)
    accept(pipeline, event, count)
    turns = pipeline.turns(slow=True)
    turns.take([endpoint_id])
    wait_until(lambda: pipeline.mailbox(endpoint_id).breaker_openings, 10, "it opened")
    pipeline.idle(endpoint_id)
    return endpoint_id, turns


def test_an_endpoint_with_an_open_breaker_is_not_rung(pipeline, event):
    with Noted(saying(500)) as receiver:
        endpoint_id, _ = opened(pipeline, event, receiver)
        pipeline.rung()
        pipeline.redis.delete("deliver.default", "deliver.default.slow")
        pipeline.accept(event(id="one more"))
        assert pipeline.rung(slow=True) == pipeline.rung() == []
        assert due(pipeline) == []
        assert pipeline.services.maintenance.sweep() == 0
        assert pipeline.services.maintenance.ring_retries() == 0

        pass_over(pipeline, "breaker_until")
        assert pipeline.services.maintenance.ring_retries() == 1
        assert pipeline.rung(slow=True) == [endpoint_id]


def test_the_oldest_due_delivery_probes_alone(pipeline, event):
    with Noted(saying(500)) as receiver:
        endpoint_id, turns = opened(pipeline, event, receiver)
        oldest = pipeline.one(
            "SELECT id FROM delivery WHERE step = 0"
            " ORDER BY next_attempt_at, id LIMIT 1"
        )
        for openings, seconds in ((2, 60), (3, 120)):
            pass_over(pipeline, "breaker_until")
            turns.take([endpoint_id])
            wait_until(
                lambda n=openings: pipeline.mailbox(endpoint_id).breaker_openings == n,
                10,
                "the probe failed",
            )
            box = pipeline.idle(endpoint_id)
            wait = (box.breaker_until - box.last_failure_at).total_seconds()
            assert wait == pytest.approx(seconds, abs=1)
            assert len(receiver.at) == 10 + openings - 1, "one probe, no more"
        assert len(pipeline.attempts(oldest)) == 1


def test_a_probe_that_succeeds_closes_the_breaker_and_all_goes_on(pipeline, event):
    with Noted(saying(500)) as receiver:
        endpoint_id, turns = opened(pipeline, event, receiver)
        receiver.answer = saying(200)
        pass_over(pipeline, "breaker_until")
        pipeline.do("UPDATE delivery SET next_attempt_at = clock_timestamp()")
        pipeline.redis.flushdb()
        turns.take([endpoint_id])
        wait_until(
            lambda: pipeline.mailbox(endpoint_id).breaker_openings == 0, 10, "it closed"
        )
        pipeline.idle(endpoint_id)
        assert len(receiver.at) == 11

        def rung() -> bool:
            return endpoint_id in [*pipeline.rung(), *pipeline.rung(slow=True)]

        # The lease is given back a moment before.
        wait_until(rung, 5, "it is rung: what waits is not left to the sweep")
        turns.take([endpoint_id])
        wait_until(lambda: delivered(pipeline) == 30, 10, "all are delivered")
        box = pipeline.idle(endpoint_id)
    assert (box.consecutive_failures, box.breaker_until) == (0, None)


def test_resuming_by_hand_closes_the_breaker_at_once(pipeline, event):
    """Whoever has mended a receiver need not wait for a quarter of an hour."""
    with Noted(saying(500)) as receiver:
        endpoint_id, turns = opened(pipeline, event, receiver)
        receiver.answer = saying(200)
        pipeline.rung()
        pipeline.redis.delete("deliver.default", "deliver.default.slow")
        pipeline.services.endpoint_states.resume("acme", endpoint_id)
        assert endpoint_id in [*pipeline.rung(), *pipeline.rung(slow=True)]
        turns.take([endpoint_id])
        wait_until(lambda: delivered(pipeline) == 20, 10, "what was due is delivered")


def test_a_failure_of_ours_opens_no_breaker(pipeline, event):
    """An event that does not open says nothing of the receiver."""
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        accept(pipeline, event, 15)
        pipeline.do("UPDATE event SET sealed = 'x'")
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: attempts(pipeline) == 15, 10, "all were tried")
        box = pipeline.idle(endpoint_id)
    assert (box.consecutive_failures, box.breaker_openings, box.slow) == (0, 0, False)


def test_a_probe_that_fails_on_our_side_says_nothing(pipeline, event):
    """The receiver was not asked: its breaker stays as it was, and the next probes."""
    with Noted(saying(200)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        ours, theirs = accept(pipeline, event, 2)
        pipeline.do(
            "UPDATE event SET sealed = 'x' WHERE id ="
            " (SELECT event_id FROM delivery WHERE id = :id)",
            id=ours,
        )
        pipeline.do(
            "UPDATE delivery SET next_attempt_at = clock_timestamp()"
            " - interval '1 min' WHERE id = :id",
            id=ours,
        )
        pipeline.do(
            "UPDATE mailbox SET consecutive_failures = 10, breaker_openings = 1"
        )
        pass_over(pipeline, "breaker_until")
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(ours)
        box = pipeline.idle(endpoint_id)
        assert (box.breaker_openings, receiver.at) == (1, [])
        turns.take([endpoint_id])
        pipeline.after_attempts(theirs)
        assert pipeline.idle(endpoint_id).breaker_openings == 0


def test_the_gauge_counts_open_breakers(pipeline, event):
    with Noted(saying(500)) as receiver:
        opened(pipeline, event, receiver)
        names = {
            sample.name: sample.value
            for family in pipeline.services.gauges.collect()
            for sample in family.samples
        }
    assert names["ascwebhooks_open_breakers"] == 1


# Retry-After


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_holds_the_whole_endpoint(pipeline, event, status):
    """Deliveries that are due meanwhile wait and use no attempt."""
    with Noted(saying(status, "Retry-After: 120")) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        accept(pipeline, event, 20)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: pipeline.mailbox(endpoint_id).held_until, 10, "it is held")
        box = pipeline.idle(endpoint_id)
        before = len(receiver.at)
        assert before < 10, "it stopped as soon as the first one was recorded"
        assert due(pipeline) == []
        pipeline.accept(event(id="meanwhile"))
        turns.take([endpoint_id])
        assert pipeline.mailbox(endpoint_id).lease_token is None
        assert attempts(pipeline) == before
        wait = (box.held_until - box.last_failure_at).total_seconds()
        assert wait == pytest.approx(120, abs=1)

        receiver.answer = saying(200)
        pass_over(pipeline, "held_until")
        assert pipeline.services.maintenance.ring_retries() == 1
        turns.take([endpoint_id])
        wait_until(
            lambda: delivered(pipeline) == 21 - before, 10, "what waited is delivered"
        )


def test_retry_after_on_another_status_delays_that_delivery_alone(pipeline, event):
    with receivers.Receiver(
        receivers.keep_alive(saying(500, "Retry-After: 120"))
    ) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        first = pipeline.deliver_one(id="1")
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(first)
        assert pipeline.mailbox(endpoint_id).held_until is None


def test_an_endpoint_that_is_held_is_not_rung_by_what_is_accepted(pipeline, event):
    with Noted(saying(503, "Retry-After: 60")) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        first = pipeline.deliver_one(id="1")
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(first)
        pipeline.idle(endpoint_id)
        pipeline.rung()
        pipeline.redis.delete("deliver.default")
        pipeline.accept(event(id="2"))
        assert pipeline.rung() == []
        pipeline.services.rings.ring(
            [Due(endpoint_id, "default")], urgency=Urgency.WHATEVER
        )
        assert pipeline.rung() == [endpoint_id], "the sweep knows better"


# Pause


def test_a_pause_stops_what_is_claimed_and_a_resume_sends_it(pipeline, event):
    gate = threading.Semaphore(0)

    def script(receiver, connection):
        while receiver.read_request(connection):
            while not gate.acquire(timeout=0.05):
                if receiver.closing.is_set():
                    return
            connection.sendall(receivers.OK)

    with receivers.Receiver(script) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), max_in_flight=1)
        accept(pipeline, event, 20)
        turns = pipeline.turns()
        turns.take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "the first one is out")
        pipeline.services.endpoint_states.pause("acme", endpoint_id)
        gate.release(1)
        wait_until(lambda: attempts(pipeline) >= 1, 10, "it is recorded")
        pipeline.taken_back(turns)
        gate.release(1)
        pipeline.idle(endpoint_id)
        made = attempts(pipeline)
        assert made <= 2, "one more may have been out before the pause was seen"
        gate.release(100)
        pipeline.services.endpoint_states.resume("acme", endpoint_id)
        turns.take([endpoint_id])
        wait_until(lambda: delivered(pipeline) == 20, 10, "all are delivered")
    assert attempts(pipeline) == 20


def test_a_receiver_that_fails_now_and_then_keeps_its_breaker_closed(pipeline, event):
    with Receiver(failure=Failure(503, 3)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url, retry_schedule_s=[3600])
        accept(pipeline, event, 100)
        turns = pipeline.turns(slow=True)
        turns.take([endpoint_id])
        wait_until(lambda: delivered(pipeline) == 97, 10, "all but three")
        assert pipeline.mailbox(endpoint_id).breaker_openings == 0
