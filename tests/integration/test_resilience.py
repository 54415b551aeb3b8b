"""One part that fails takes no other with it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ascwebhooks import vital
from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.endpoint_states import END_BATCH
from tests.integration import receivers
from tests.integration.pipeline import event
from tests.integration.test_turns import abandoned, answering
from tests.waiting import wait_until

K1, K2 = ("k1", bytes(range(32))), ("k2", bytes(32))


def python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        timeout=60,
        **options,
    )


def test_a_full_disk_under_the_log_raises_nothing():
    """The recorder and the reader of the stream died of it."""
    code = (
        "import structlog; from ascwebhooks import logs\n"
        "logs.configure('INFO', 'json'); log = structlog.get_logger()\n"
        "log.info('one'); logs.info_all('many', [{'n': 1}, {'n': 2}])\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: log.exception('three')\n"
        "print('went on')"
    )
    with Path("/dev/full").open("wb", buffering=0) as full:
        assert python(code, stderr=full).stdout == "went on\n"


@pytest.mark.parametrize(("level", "count"), [("INFO", 2), ("WARNING", 0)])
def test_many_lines_are_what_many_calls_would_write(level, count):
    code = (
        "import structlog; from ascwebhooks import logs\n"
        f"logs.configure({level!r}, 'json')\n"
        "structlog.get_logger().info('said', n=1)\n"
        "logs.info_all('said', [{'n': 1}])"
    )
    lines = python(code, stderr=subprocess.STDOUT).stdout.splitlines()

    assert len(lines) == count
    for line in map(json.loads, lines):
        assert line.pop("timestamp").endswith("Z")
        assert line == {"n": 1, "event": "said", "level": "info"}


def test_a_vital_thread_that_dies_ends_the_process():
    """Its supervisor starts another; a worker that records nothing helps nobody."""
    code = (
        "import time; from ascwebhooks import vital\n"
        "vital.thread(lambda: 1 / 0, 'recorder').start()\n"
        "time.sleep(30)"
    )
    assert python(code, stderr=subprocess.DEVNULL).returncode == vital.EXIT_STATUS


@pytest.fixture
def two_rings(make_pipeline):
    """A process that was not told of the new key yet, and one that wraps with it.

    The tenant ``acme`` has its key of the day from the second one.
    """
    behind, ahead = (
        make_pipeline(encryption_keys=(K1,)),
        make_pipeline(encryption_keys=(K2, K1)),
    )
    for each in ("acme", "other"):
        behind.services.tenants.create(each)
    return behind, ahead


def test_a_key_that_does_not_open_postpones_its_own_tenants_events(two_rings, event):
    behind, ahead = two_rings
    ahead.accept(event(id="first"))
    verdicts = behind.accept(
        event(id="1", tenantid="other"), event(id="2"), b"{", event(id="3")
    )

    assert [type(each).__name__ for each in verdicts] == [
        "Accepted",
        "Postponed",
        "Refused",
        "Postponed",
    ]
    assert "k2" in verdicts[1].detail
    again = ahead.accept(event(id="1", tenantid="other"), event(id="2"), event(id="3"))
    assert [each.duplicate for each in again] == [True, False, False]


def test_what_is_postponed_stays_on_the_stream(two_rings, event):
    behind, ahead = two_rings
    ahead.accept(event(id="first"))
    for raw in (event(id="1"), event(id="2", tenantid="other")):
        behind.redis.xadd(behind.settings.stream, {"event": raw})
    ingestion = behind.ingestion()
    reader = threading.Thread(target=ingestion.run)
    reader.start()
    wait_until(
        lambda: behind.one("SELECT count(*) FROM event") == 2, 10, "other's is kept"
    )
    wait_until(
        lambda: behind.redis.xlen(behind.settings.stream) == 1, 10, "and settled"
    )
    ingestion.stop()
    reader.join(10)

    ((_, fields),) = behind.redis.xrange(behind.settings.stream)
    assert fields[b"event"] == event(id="1")


def test_a_key_that_does_not_open_stops_nobody_elses_recording(two_rings, event):
    """The failed attempt was sealed with the same key, again and again."""
    behind, ahead = two_rings
    with answering(200) as receiver:
        theirs = behind.endpoint(receiver.url(), tenant_id="acme")
        others = behind.endpoint(receiver.url(), tenant_id="other")
        ahead.accept(event())
        behind.accept(event(tenantid="other"))
        shut = ahead.one("SELECT id FROM delivery WHERE tenant_id = 'acme'")
        fine = ahead.one("SELECT id FROM delivery WHERE tenant_id = 'other'")
        behind.turns().take([theirs, others])

        assert behind.after_attempts(fine).status == "delivered"
        row = behind.after_attempts(shut)
    assert (row.status, row.last_error) == ("pending", "internal")
    (attempt,) = behind.attempts(shut)
    assert bytes(attempt.sealed) == b"", "that it was made is known, not what it was"
    assert behind.services.deliveries.get("acme", shut).attempts[0].detail is None
    assert len(receiver.requests) == 1


def test_suspicious_endpoints_are_sent_to_one_after_the_other(pipeline, event):
    """Both being out, both would be blamed for what one of them does."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoints = [pipeline.endpoint(receiver.url()) for _ in range(3)]
        pipeline.accept(event())
        for each in endpoints:
            abandoned(pipeline, each, 5)
        turns = pipeline.turns()
        turns.take(endpoints)
        wait_until(lambda: receiver.requests, 10, "one is out")
        assert pipeline.one("SELECT sum(sent_alone) FROM delivery") == 1
        gate.release(3)
        wait_until(
            lambda: pipeline.one("SELECT count(*) FROM attempt") == 3, 10, "all done"
        )

    assert receiver.most_in_flight == 1


def test_what_was_not_sent_is_not_blamed(make_pipeline, event):
    """The process stops in order before the suspicious one had its turn."""
    pipeline = make_pipeline(max_transfers=1)
    pipeline.services.tenants.create("acme")
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as hanging, answering(200) as fine:
        busy = pipeline.endpoint(hanging.url(), event_types=["busy"])
        suspicious = pipeline.endpoint(fine.url(), event_types=["suspicious"])
        pipeline.accept(event(type="busy"), event(id="2", type="suspicious"))
        abandoned(pipeline, suspicious, 5)
        turns = pipeline.turns()
        turns.take([busy])
        wait_until(lambda: hanging.requests, 10, "the only transfer is taken")
        turns.take([suspicious])
        wait_until(
            lambda: pipeline.one("SELECT sum(sent_alone) FROM delivery") == 1,
            10,
            "it is about to be sent",
        )
        turns.stop(0.1)
        gate.release()

    assert fine.requests == []
    assert pipeline.one("SELECT sum(sent_alone) FROM delivery") == 0


def test_a_recorded_attempt_ends_the_suspicion(pipeline):
    """A backlog that is never empty is no reason to send one at a time for ever."""
    gate = threading.Semaphore(0)
    with receivers.Receiver(receivers.gated(gate)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url())
        first = pipeline.deliver_one()
        abandoned(pipeline, endpoint_id, 3)
        pipeline.turns().take([endpoint_id])
        wait_until(lambda: receiver.requests, 10, "it is out")
        assert pipeline.mailbox(endpoint_id).abandoned_leases == 3
        gate.release()
        pipeline.after_attempts(first)

        wait_until(
            lambda: pipeline.mailbox(endpoint_id).abandoned_leases == 0,
            10,
            "the lease is given back, and with it the suspicion",
        )


def test_a_410_behind_a_locked_tenant_holds_up_nobody(pipeline, event):
    """Somebody else holds the tenant's row; the desk goes on with its work."""
    pipeline.services.tenants.create("gone")
    with answering(410) as left, answering(200) as there:
        away = pipeline.endpoint(left.url(), tenant_id="gone")
        here = pipeline.endpoint(there.url())
        pipeline.accept(event(id="1", tenantid="gone"), event(id="2"))
        turns = pipeline.turns()
        with closing(pipeline.engine.raw_connection()) as holder:
            holder.cursor().execute("SELECT FROM tenant WHERE id = 'gone' FOR UPDATE")
            turns.take([away, here])
            wait_until(pipeline.waiting_for_a_lock, 10, "disabling waits for the row")
            pipeline.accept(event(id="3"))
            turns.take([here])
            wait_until(lambda: len(there.requests) == 2, 10, "the desk claims on")
            assert pipeline.waiting_for_a_lock()
        wait_until(
            lambda: pipeline.mailbox(away).state == "disabled", 10, "it is disabled"
        )


def test_many_pending_are_ended_in_batches(pipeline, event):
    """The tenant's row, for which accepting waits, is held for the first alone."""
    endpoint_id = pipeline.endpoint()
    many = END_BATCH + 7
    for at in range(0, many, 500):
        numbers = range(at, min(at + 500, many))
        pipeline.accept(*(event(id=str(number)) for number in numbers))
    pipeline.services.endpoint_states.delete("acme", endpoint_id)
    pending = "SELECT count(*) FROM delivery WHERE status = 'pending'"
    assert pipeline.one(pending) == 7

    assert pipeline.services.endpoint_states.end_the_rest() == 7
    assert pipeline.one(pending) == 0
    reasons = pipeline.rows("SELECT DISTINCT dead_reason FROM delivery")
    assert [tuple(each) for each in reasons] == [("endpoint_deleted",)]
    assert pipeline.services.endpoint_states.end_the_rest() == 0


def test_what_was_claimed_when_the_database_went_away_is_claimed_again(pipeline):
    """The claim was read, and its transaction's end failed: nothing is lost by it.

    The visit would wait for jobs that nobody has, and renew its lease for ever.
    """
    failures = iter([True])

    class Failing:
        """A transaction whose connection is lost at its end, once."""

        def __init__(self) -> None:
            self._uow = pipeline.uow()

        def __enter__(self):
            return self._uow.__enter__()

        def __exit__(self, *error):
            self._uow.__exit__(*error)
            if next(failures, False):
                raise Unavailable("lost at the end")

    with Receiver(delay_s=0.02) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url, max_in_flight=1)
        pipeline.accept(*(event(id=f"e{number}") for number in range(40)))
        turns = pipeline.turns()
        turns.take([endpoint_id])
        (visit,) = turns._all()
        turns._uow = Failing
        turns._take_back(visit)
        turns._wake.set()
        delivered = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
        wait_until(lambda: pipeline.one(delivered) == 40, 20, "all are delivered")
        pipeline.idle(endpoint_id)
        assert next(failures, None) is None, "it did fail"
