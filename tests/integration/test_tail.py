"""``deliveries tail``: each delivery as it comes and as it moves on."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound
from tests.waiting import wait_until


@pytest.fixture
def tail(pipeline):
    """Start the command; returns the process and the lines it has printed."""
    settings = pipeline.settings
    keys = ",".join(
        f"{name}:{base64.b64encode(key).decode()}"
        for name, key in settings.encryption_keys
    )
    environ = {
        **os.environ,
        "ASCWEBHOOKS_DATABASE_URL": settings.require_database_url(),
        "ASCWEBHOOKS_REDIS_URL": settings.require_redis_url(),
        "ASCWEBHOOKS_ENCRYPTION_KEYS": keys,
    }
    started = []

    def start(*options: str):
        process = subprocess.Popen(
            [sys.executable, "-m", "ascwebhooks", "deliveries", "tail", *options],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines: list[str] = []

        reader = threading.Thread(target=lambda: lines.extend(process.stdout))
        reader.start()
        started.append((process, reader))
        return process, lines

    yield start
    for process, reader in started:
        process.terminate()
        process.wait(10)
        reader.join(10)
        process.stdout.close()


def test_each_line_is_a_delivery_or_what_became_of_it(pipeline, tail):
    pipeline.endpoint()
    pipeline.services.tenants.create("globex")
    pipeline.endpoint(tenant_id="globex")
    _, lines = tail("--tenant", "acme", "--json")
    sent: list[str] = []

    def shown() -> bool:
        # Whenever the command has begun to look, one of these is the first it sees.
        number = len(sent)
        if number < 500 and not lines:
            delivery = pipeline.deliver_one(id=f"e-{number}")
            pipeline.deliver_one(id=f"g-{number}", tenantid="globex")
            sent.append(ids.show(Kind.DELIVERY, delivery))
        return bool(lines)

    wait_until(shown, 20, "a delivery is shown")
    first = json.loads(lines[0])
    assert first["id"] in sent and first["status"] == "pending"
    pipeline.services.deliveries.cancel("acme", ids.read(Kind.DELIVERY, first["id"]))
    wait_until(
        lambda: any(json.loads(each)["status"] == "cancelled" for each in lines),
        10,
        "that it was cancelled is shown",
    )
    told = [json.loads(each) for each in lines]
    assert {each["tenant_id"] for each in told} == {"acme"}
    states = [(each["id"], each["status"], each["attempt_count"]) for each in told]
    assert len(states) == len(set(states)), "each is told once"


def test_news_of_all_tenants_and_of_one(pipeline):
    pipeline.services.tenants.create("globex")
    for tenant in ("acme", "globex"):
        pipeline.endpoint(tenant_id=tenant)
    news = pipeline.services.deliveries.news
    than, found = news(None, None)
    assert found == []
    mine = pipeline.deliver_one(id="a")
    theirs = pipeline.deliver_one(id="b", tenantid="globex")

    later, found = news(None, than)
    assert {each.id for each in found} == {mine, theirs}
    assert [each.id for each in news("acme", than)[1]] == [mine]
    assert later == max(mine, theirs)
    with pytest.raises(NotFound):
        news("nobody", None)
