"""A replay of a million is created at once and walked in the background."""

from __future__ import annotations

import time

from tests.integration.dead import plant
from tests.integration.pipeline import Pipeline

COUNT = 1_000_000
#: Counting may take three seconds; what it has not counted then, walking does.
CREATED_WITHIN_S = 5


def test_a_replay_of_a_million(pipeline: Pipeline, record_property) -> None:
    """The answer is quick; a run reopens for a second and leaves the rest."""
    endpoint_ids = [pipeline.endpoint() for _ in range(4)]
    for number in range(COUNT // 10_000):
        plant(pipeline, endpoint_ids[number % 4], 10_000)

    began_s = time.monotonic()
    created = pipeline.services.replays.create("acme", filter={})
    created_s = time.monotonic() - began_s
    pipeline.services.walking.walk()
    walked_s = time.monotonic() - began_s - created_s
    cancelled = pipeline.services.replays.cancel("acme", created.replay.id)

    record_property("created in s", created_s)
    record_property("reopened in a run", cancelled.replay.reopened)
    assert created_s < CREATED_WITHIN_S
    assert created.counted is not None
    assert created.counted.total == COUNT or not created.counted.is_exact
    assert 1_000 <= cancelled.replay.reopened < COUNT
    assert walked_s < CREATED_WITHIN_S
    assert cancelled.outcome in (None, {"pending": cancelled.replay.reopened})
