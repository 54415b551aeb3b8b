"""Rings and doors on a real broker."""

from __future__ import annotations

import json
import threading
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ascwebhooks.services import rings as rings_module
from ascwebhooks.services.rings import CROWDED, Rings
from ascwebhooks.storage.doors import Doors, Urgency
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.tasks.app import RING_EXPIRES_S
from tests.waiting import wait_until


class Bell:
    """Notes what is published, instead of the broker."""

    def __init__(self) -> None:
        self.published: list[tuple[list, str, bool]] = []
        self.broken = 0
        self.queue_length = 0

    def publish(self, endpoint_ids, region, slow) -> None:
        if self.broken:
            self.broken -= 1
            raise OSError("the broker is away")
        self.published.append((list(endpoint_ids), region, slow))

    @property
    def rung(self) -> list:
        return [each for some, _, _ in self.published for each in some]


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def rings(client, bell):
    rings = Rings(Doors(client), bell.publish, lambda *_: bell.queue_length)
    yield rings
    rings.close(5)


def due(count: int, region: str = "default") -> list[Due]:
    return [Due(uuid4(), region) for _ in range(count)]


def settle(rings) -> None:
    """Ring what waits, to the end."""
    rings.close(5)


def test_a_message_carries_64_endpoints_of_one_region(rings, bell):
    here, there = due(150), due(3, "eu")

    rings.ring([*here, *there])
    settle(rings)

    sizes = [(len(some), region) for some, region, _ in bell.published]
    assert sorted(sizes) == [
        (3, "eu"),
        (22, "default"),
        (64, "default"),
        (64, "default"),
    ]
    assert set(bell.rung) == {each.endpoint_id for each in here + there}
    assert len(bell.rung) == 153


def test_who_was_rung_a_moment_ago_is_not_rung_again(rings, bell, client):
    (one,) = due(1)

    rings.ring([one])
    wait_until(lambda: bell.published, 5, "it is rung")
    rings.ring([one, *due(1)])
    wait_until(lambda: len(bell.rung) == 2, 5, "the other is rung")

    assert bell.rung.count(one.endpoint_id) == 1
    (door,) = client.keys(f"*door*{one.endpoint_id.hex}")
    assert 8_000 < client.pttl(door) <= 10_000, "a lost ring costs ten seconds"


def test_an_open_door_rings_again(rings, bell, client):
    (one,) = due(1)
    rings.ring([one])
    wait_until(lambda: bell.published, 5, "it is rung")
    Doors(client).open([one.endpoint_id])

    rings.ring([one])
    settle(rings)

    assert bell.rung == [one.endpoint_id] * 2


def test_the_sweep_rings_whatever_the_door_says(rings, bell):
    (one,) = due(1)
    rings.ring([one])
    wait_until(lambda: bell.published, 5, "it is rung")

    rings.ring([one], urgency=Urgency.WHATEVER)
    settle(rings)

    assert bell.rung == [one.endpoint_id] * 2


def test_a_ring_that_failed_leaves_the_door_open(rings, bell, client):
    (one,) = due(1)
    bell.broken = 1

    rings.ring([one])
    wait_until(lambda: not bell.broken, 5, "it failed")
    wait_until(lambda: not client.keys("*door*"), 5, "the door is open")
    rings.ring([one])
    settle(rings)

    assert bell.rung == [one.endpoint_id]


def test_the_slow_travel_alone_on_a_queue_of_their_own(rings, bell, client):
    """In one shared pool, slow tasks delay the fast ones whatever their queue."""
    slow, fast = due(3), due(5)
    Doors(client).mark([each.endpoint_id for each in slow], [])

    rings.ring([*slow, *fast])
    settle(rings)

    assert sorted((len(some), which) for some, _, which in bell.published) == [
        (1, True),
        (1, True),
        (1, True),
        (5, False),
    ]
    assert {some[0] for some, _, which in bell.published if which} == {
        each.endpoint_id for each in slow
    }


def test_who_is_well_again_goes_with_the_fast(rings, bell, client):
    (one,) = due(1)
    doors = Doors(client)
    doors.mark([one.endpoint_id], [])
    doors.mark([], [one.endpoint_id])

    rings.ring([one])
    settle(rings)

    assert [which for _, _, which in bell.published] == [False]


def test_ringing_waits_for_nobody(client, bell):
    """A frozen broker blocks a publish for many seconds; accepting goes on."""
    frozen = threading.Event()

    def publish(*_):
        frozen.wait(10)

    rings = Rings(Doors(client), publish, lambda *_: 0)
    for _ in range(3):
        rings.ring(due(10))
    frozen.set()
    rings.close(5)


def test_without_a_broker_nothing_is_raised(bell):
    nobody = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
    rings = Rings(Doors(nobody), bell.publish, lambda *_: 0)

    rings.ring(due(1))
    rings.close(5)

    assert bell.rung == []


def test_the_sweep_adds_nothing_to_a_queue_that_nobody_empties(rings, bell):
    """A region without workers must not fill the broker's memory."""
    bell.queue_length = 10_000

    rings.ring(due(1), urgency=Urgency.WHATEVER)
    settle(rings)

    assert bell.rung == []


def test_rings_of_the_real_publisher_expire(pipeline):
    """What waits for a worker that is away is worthless by the time it comes."""
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    assert pipeline.rung() == [endpoint_id]

    for raw in pipeline.messages():
        headers = json.loads(raw)["headers"]
        assert headers["task"] == "ascwebhooks.tasks.deliveries.turn"
        assert headers["expires"] is not None
        assert headers["retries"] == 0


@pytest.fixture
def little_room(monkeypatch):
    """Queues that are crowded at once."""
    monkeypatch.setattr(rings_module, "CROWDED", 3)


def test_a_crowded_fast_queue_keeps_no_ring_from_slow_endpoints(pipeline, little_room):
    endpoint_id = pipeline.endpoint()
    pipeline.deliver_one()
    pipeline.forget_rings()
    Doors(pipeline.redis).mark([endpoint_id], [])
    for _ in range(5):
        pipeline.redis.lpush("deliver.default", b"{}")
    pipeline.services.maintenance.sweep()
    wait_until(
        lambda: len(pipeline.messages("deliver.default.slow")) == 1, 5, "it is rung"
    )


def test_queues_that_nobody_empties_stay_short(pipeline, event, little_room):
    """Or failing receivers would fill the Valkey that the stream is in."""
    endpoint_ids = [pipeline.endpoint() for _ in range(10)]
    pipeline.accept(event())
    pipeline.forget_rings()
    Doors(pipeline.redis).mark(endpoint_ids, [])
    for _ in range(6):
        pipeline.services.maintenance.sweep()
        pipeline.services.rings.ring([Due(endpoint_ids[0], "elsewhere")])
        pipeline.services.rings.ring([Due(endpoint_ids[1], "elsewhere")])
    pipeline.services.close()
    assert 1 <= len(pipeline.messages("deliver.default.slow")) <= 3
    assert len(pipeline.messages("deliver.elsewhere.slow")) <= 3


def test_a_slow_door_is_shut_for_as_long_as_its_message_is_good(rings, bell, client):
    """Sweeps come each ten seconds: with a door of ten, each would leave a message."""
    (one,) = due(1)
    Doors(client).mark([one.endpoint_id], [])
    rings.ring([one], Urgency.WHATEVER)
    settle(rings)

    (door,) = client.keys(f"*door*{one.endpoint_id.hex}")
    left_ms = RING_EXPIRES_S * 1000 - client.pttl(door)
    assert 0 <= left_ms < 5_000


def test_who_is_withheld_may_be_rung_as_soon_as_there_is_room(rings, bell, client):
    slow, fast = due(1), due(1)
    Doors(client).mark([slow[0].endpoint_id], [])
    bell.queue_length = CROWDED
    rings.ring([*slow, *fast])
    settle(rings)

    assert bell.rung == []
    assert client.keys("*door*") == []


def test_a_slow_endpoint_is_swept_once_a_door(pipeline, event):
    endpoint_id = pipeline.endpoint()
    pipeline.accept(event())
    pipeline.forget_rings()
    Doors(pipeline.redis).mark([endpoint_id], [])
    for _ in range(6):
        pipeline.services.maintenance.sweep()
    assert pipeline.rung(slow=True) == [endpoint_id]
