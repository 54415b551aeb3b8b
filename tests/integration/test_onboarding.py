"""Many endpoints at once: each row has its verdict, and keeps no other from its own."""

from __future__ import annotations

import pytest

TENANT = "acme"
BULK = f"/tenants/{TENANT}/endpoints/bulk"
KEYED = {"Idempotency-Key": "onboarding-1"}


def row(number, **more):
    return {"url": f"http://127.0.0.1:9009/in/{number}", "event_types": ["*"], **more}


ROWS = [
    row(0, description="First", headers={"x-a": "b"}, filter="data.n > 1"),
    row(1, timeout_s=31, max_in_flight="5", nonsense=1),
    row(2, region="mars"),
    row(3, signature="v1a", retry_schedule_s=[1, 2]),
    row(0),
    {"url": "https://10.0.0.1/in"},
    "no object",
    {},
    {"url": "http://127.0.0.1:9009/in/8"},
]


def count(pipeline, table="endpoint"):
    return pipeline.one(f"SELECT count(*) FROM {table}")


def by_index(answered):
    assert [each["index"] for each in answered.json["items"]] == list(range(len(ROWS)))
    return answered.json["items"]


def test_each_row_is_made_or_told_what_is_wrong_with_it(api, pipeline):
    answered = api.post(BULK, {"endpoints": ROWS})
    assert answered.status_code == 200
    assert (answered.json["created"], answered.json["failed"]) == (3, 6)
    items = by_index(answered)
    assert [each["status"] for each in items] == [
        *("created", "failed", "failed", "created", "failed"),
        *("failed", "failed", "failed", "created"),
    ]
    assert [sorted(each["errors"]) for each in items] == [
        *([], ["max_in_flight", "nonsense", "timeout_s"], ["region"], [], ["url"]),
        *(["url"], ["row"], ["url"], []),
    ]
    assert "index 0" in items[4]["errors"]["url"][0]
    assert count(pipeline) == 3
    for at in (0, 3, 8):
        got = api.get(f"/tenants/{TENANT}/endpoints/{items[at]['id']}").json
        assert got["url"] == items[at]["url"]
    assert items[0]["secret"].startswith("whsec_")
    assert (items[3]["secret"], items[3]["public_key"][:5]) == (None, "whpk_")
    for at in (1, 2, 4, 5, 6, 7):
        assert (items[at]["id"], items[at]["secret"]) == (None, None)


def test_what_is_made_is_as_if_it_were_made_alone(api):
    wanted = row(
        1,
        description="d",
        filter="data.n > 1",
        headers={"x-a": "b"},
        timeout_s=3,
        max_in_flight=7,
        rate_limit_per_s=5,
        ordering="fifo",
        retry_schedule_s=[1, 2],
        format="cloudevents",
        signature="v1a",
    )
    alone = api.post(f"/tenants/{TENANT}/endpoints", wanted).json
    bulk = {"endpoints": [wanted], "allow_duplicates": True}
    endpoint_id = api.post(BULK, bulk).json["items"][0]["id"]
    together = api.get(f"/tenants/{TENANT}/endpoints/{endpoint_id}").json
    own = {"id", "secret", "public_key", "secret_hints", "created_at", "updated_at"}
    assert {name: together[name] for name in together.keys() - own} == {
        name: alone[name] for name in alone.keys() - own
    }
    assert together["event_types"] == ["*"]


def test_a_dry_run_says_the_same_and_makes_nothing(api, pipeline):
    dry = by_index(api.post(BULK, {"endpoints": ROWS, "dry_run": True}))
    assert count(pipeline) == 0
    wet = by_index(api.post(BULK, {"endpoints": ROWS}))
    assert [each["errors"] for each in dry] == [each["errors"] for each in wet]
    assert {each["status"] for each in dry} == {"valid", "failed"}
    assert all(each["id"] is each["secret"] is None for each in dry)


def test_the_rows_can_be_given_again_once_the_faulty_ones_are_mended(api, pipeline):
    """What the first time made is not made again, and each says by which it is."""
    first = api.post(BULK, {"endpoints": [row(0), row(1, timeout_s=0)]}).json["items"]
    again = api.post(BULK, {"endpoints": [row(0), row(1)]}).json["items"]
    assert [each["status"] for each in again] == ["failed", "created"]
    assert first[0]["id"] in again[0]["errors"]["url"][0]
    assert count(pipeline) == 2


def test_the_same_url_twice_is_a_warning_where_that_is_meant(api, pipeline):
    body = {"endpoints": [row(0), row(0)], "allow_duplicates": True}
    items = api.post(BULK, body).json["items"]
    assert [each["status"] for each in items] == ["created", "created"]
    assert [len(each["warnings"]) for each in items] == [0, 1]
    assert count(pipeline) == 2


def test_none_in_order_is_422_with_all_that_is_wrong(api, pipeline):
    refused = api.post(BULK, {"endpoints": [row(0, timeout_s=0), {}]}, headers=KEYED)
    assert refused.status_code == 422
    assert refused.content_type == "application/problem+json"
    assert refused.json["code"] == "no_endpoint_created"
    wrong = [sorted(each["errors"]) for each in refused.json["items"]]
    assert wrong == [["timeout_s"], ["url"]]
    mended = api.post(BULK, {"endpoints": [row(0)]}, headers=KEYED)
    assert mended.status_code == 200, "the key is free again"


def test_with_an_idempotency_key_they_are_made_once(api, pipeline):
    first = api.post(BULK, {"endpoints": ROWS}, headers=KEYED)
    again = api.post(BULK, {"endpoints": ROWS}, headers=KEYED)
    assert again.data == first.data
    assert again.headers["idempotent-replayed"] == "true"
    assert count(pipeline) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "endpoints"),
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": {}}, "endpoints"),
        ({"endpoints": [{}] * 1_001}, "endpoints"),
        ({"endpoints": [{}], "dry_run": "yes"}, "dry_run"),
        ({"endpoints": [{}], "tenant": "x"}, "tenant"),
    ],
)
def test_a_request_that_is_none_names_the_field(api, body, field):
    refused = api.post(BULK, body)
    assert (refused.status_code, refused.json["code"]) == (422, "invalid_input")
    assert list(refused.json["errors"]) == [field]


def test_1000_endpoints_are_made_in_one_transaction(api, pipeline):
    rows = [row(number, description="x" * 500) for number in range(1_000)]
    answered = api.post(BULK, {"endpoints": rows})
    assert (answered.status_code, answered.json["created"]) == (200, 1_000)
    assert len({each["secret"] for each in answered.json["items"]}) == 1_000
    for table in ("endpoint", "mailbox", "endpoint_secret", "subscription"):
        assert count(pipeline, table) == 1_000
        assert pipeline.one(f"SELECT count(DISTINCT xmin::text) FROM {table}") == 1


def test_an_event_goes_to_what_was_made(api, event):
    api.post(BULK, {"endpoints": [row(0), row(1), row(2, filter="false")]})
    assert api.publish(event()).json["accepted"][0]["deliveries"] == 2


def test_another_tenants_endpoints_are_no_duplicates(api):
    api.post("/tenants", {"id": "globex"})
    api.post(BULK, {"endpoints": [row(0)]})
    other = api.post("/tenants/globex/endpoints/bulk", {"endpoints": [row(0)]})
    assert other.json["created"] == 1
