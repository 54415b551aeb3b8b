"""Beat and the bells, while nobody serves what they ask for."""

from __future__ import annotations

import threading

import pytest
import redis

from ascwebhooks.tasks import app as celery
from ascwebhooks.tasks.beat import Ticks
from tests.waiting import wait_until


@pytest.fixture
def app(redis_url):
    app = celery.make_celery(redis_url)
    yield app
    app.close()


@pytest.fixture
def ticks(app):
    ticks = Ticks(app=app, lazy=True)
    ticks.setup_schedule()
    return ticks


def ask(ticks):
    ticks.apply_async(ticks.schedule["sweep"], advance=False)


def test_a_queue_that_nobody_serves_is_not_filled(app, ticks, redis_client):
    """Valkey would be full after days, and refuse the gateways' events."""
    ask(ticks)
    assert redis_client.llen(celery.MAINTENANCE_QUEUE) == 1
    redis_client.rpush(celery.MAINTENANCE_QUEUE, *(["x"] * celery.CROWDED))
    ask(ticks)
    assert redis_client.llen(celery.MAINTENANCE_QUEUE) == 1 + celery.CROWDED

    # Once somebody has taken them it goes on by itself.
    redis_client.delete(celery.MAINTENANCE_QUEUE)
    ask(ticks)
    assert redis_client.llen(celery.MAINTENANCE_QUEUE) == 1


def test_no_bell_rings_where_nobody_can_hear_it(app, redis_client):
    ring = celery.walkers_bell(app)
    ring()
    wait_until(lambda: redis_client.llen(celery.MAINTENANCE_QUEUE) == 1, 10, "it rings")
    redis_client.rpush(celery.MAINTENANCE_QUEUE, *(["x"] * celery.CROWDED))
    ring()
    bells = [each for each in threading.enumerate() if each.name == "bell"]
    for each in bells:
        each.join(10)
    assert redis_client.llen(celery.MAINTENANCE_QUEUE) == 1 + celery.CROWDED


@pytest.fixture
def redis_client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client
