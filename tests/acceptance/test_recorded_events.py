"""The recorded events of a real gateway, from the stream to a receiver."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from pathlib import Path

from standardwebhooks import Webhook

from ascwebhooks.embedded.receiver import Received, Receiver
from tests.acceptance.cluster import cluster
from tests.waiting import wait_until

EVENTS = files("ascwebhooks.embedded").joinpath("sample_events.jsonl").read_bytes()


def test_each_subscribed_event_arrives_once_signed_and_byte_for_byte(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """All 254 go in by XADD; other people's code says whether they verify."""
    lines = EVENTS.splitlines()
    assert len(lines) == 254
    sent = {json.loads(line)["id"]: line for line in lines}
    received: list[Received] = []
    with (
        cluster(database_url, redis_url, tmp_path) as run,
        Receiver(on_delivery=received.append) as receiver,
    ):
        secrets = {}
        for tenant in {json.loads(line)["tenantid"] for line in lines}:
            run.services.tenants.create(tenant)
            made = run.services.endpoints.create(
                tenant,
                url=f"{receiver.url}/{tenant}",
                event_types=["request.failed", "policy.*"],
            )
            secrets[f"/{tenant}"] = made.secret
        run.start("ingest", "deliver", "maintenance", "beat")
        for line in lines:
            run.redis().xadd("asc:events", {"event": line})
        wanted = Counter(
            event["tenantid"]
            for event in map(json.loads, lines)
            if event["type"] in ("request.failed", "policy.violation_blocked")
        )
        wait_until(
            lambda: run.query("SELECT count(*) FROM attempt") == wanted.total(),
            60,
            "every subscribed event was attempted",
        )
        # Signals that nobody takes are known again, and not kept; what rules tell of
        # them is an event of our own.
        accepted = run.query(
            "SELECT (SELECT count(*) FROM event_key)"
            " - (SELECT count(*) FROM event WHERE source = '/ascwebhooks/triggers')"
        )

    assert accepted == 254
    assert Counter(each.path[1:] for each in received) == wanted
    ids = [each.headers["webhook-id"] for each in received]
    assert len(set(ids)) == len(ids), "none came twice"
    for each in received:
        Webhook(secrets[each.path]).verify(each.body, dict(each.headers))
        body = json.loads(each.body)
        original = sent[body["id"]]
        data = each.body.split(b',"data":', 1)[1][:-1]
        assert original.endswith(b',"data":' + data + b"}")
        event = json.loads(original)
        assert body["timestamp"] == event["time"]
        assert (body["type"], body["source"], body["subject"], body["tenant_id"]) == (
            event["type"],
            event["source"],
            event["subject"],
            event["tenantid"],
        )
