"""Replays and lists of deliveries, by the API."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from tests.integration.dead import plant
from tests.waiting import wait_until

PATH = "/tenants/acme/replays"


def shown(delivery_id) -> str:
    return ids.show(Kind.DELIVERY, delivery_id)


def walk(api):
    while api.pipeline.one("SELECT count(*) FROM replay WHERE state = 'running'"):
        api.pipeline.services.walking.walk()


def test_a_replay_from_its_creation_to_its_end(api):
    endpoint_id = api.pipeline.endpoint()
    plant(api.pipeline, endpoint_id, 3)
    given = {"endpoint_id": ids.show(Kind.ENDPOINT, endpoint_id)}

    created = api.post(PATH, {"filter": given, "rate_per_s": 100})
    answer = created.json

    assert created.status_code == 202
    assert (answer["state"], answer["total"], answer["count"]) == ("running", 3, 3)
    assert answer["filter"] == {"status": "dead_lettered", **given}
    assert (answer["rate_per_s"], answer["notes"]) == (100, [])
    assert answer["total_is_exact"] is True
    assert answer["created_by"] == api.key[:12]
    walk(api)
    got = api.get(f"{PATH}/{answer['id']}").json
    assert (got["state"], got["reopened"], got["skipped"]) == ("finished", 3, 0)
    nothing = {"delivered": 0, "dead_lettered": 0, "cancelled": 0}
    assert got["outcome"] == {"pending": 3, **nothing}
    listed = api.get(f"/tenants/acme/deliveries?replay_id={answer['id']}").json
    assert len(listed["items"]) == 3
    assert {each["replay_id"] for each in listed["items"]} == {answer["id"]}


def test_creating_one_asks_for_a_walker(api):
    """On the maintenance queue; the rest is beat's, each second."""
    api.post(PATH, {"filter": {}})

    wait_until(lambda: api.pipeline.messages("maintenance"), 5, "it is asked for")
    (message,) = api.pipeline.messages("maintenance")
    assert b"ascwebhooks.tasks.maintenance.walk_replays" in message


def test_a_dry_run_is_202_with_the_count_and_makes_nothing(api):
    plant(api.pipeline, api.pipeline.endpoint(), 3)

    answered = api.post(PATH, {"filter": {}, "dry_run": True})

    assert answered.status_code == 202
    assert answered.json == {
        "count": 3,
        "total": 3,
        "total_is_exact": True,
        "notes": [],
    }
    assert api.get(PATH).json["items"] == []


def test_ten_thousand_ids_are_taken_and_one_more_is_not(api):
    made = plant(api.pipeline, api.pipeline.endpoint(), 10_001)
    names = [shown(each) for each in made]

    taken = api.post(PATH, {"deliveries": names[:10_000]})
    refused = api.post(PATH, {"deliveries": names})

    assert (taken.status_code, taken.json["total"]) == (202, 10_000)
    assert refused.status_code == 422
    assert "deliveries" in refused.json["errors"]
    walk(api)
    assert api.get(f"{PATH}/{taken.json['id']}").json["reopened"] == 10_000


def test_pause_resume_and_cancel(api):
    plant(api.pipeline, api.pipeline.endpoint())
    path = f"{PATH}/{api.post(PATH, {'filter': {}}).json['id']}"

    states = [
        api.post(f"{path}/{how}").json["state"]
        for how in ("pause", "pause", "resume", "cancel")
    ]
    late = api.post(f"{path}/resume")

    assert states == ["paused", "paused", "running", "cancelled"]
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    assert [each["state"] for each in api.get(f"{PATH}?state=cancelled").json["items"]]
    assert api.get(f"{PATH}?state=running").json["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "deliveries"),
        ({"deliveries": [], "filter": {}}, "deliveries"),
        ({"deliveries": ["dlv_nonsense"]}, "deliveries"),
        ({"filter": {"status": "pending"}}, "filter"),
        ({"filter": {"endpoint": "x"}}, "filter"),
        ({"filter": {"since": "yesterday"}}, "filter"),
        (
            {"filter": {"status": "delivered", "died_since": "2026-11-25T10:00:00Z"}},
            "filter.died_since",
        ),
        ({"filter": {}, "rate_per_s": 0}, "rate_per_s"),
        ({"filter": {}, "rate_per_s": 1.5}, "rate_per_s"),
        ({"filter": {}, "dryrun": True}, "dryrun"),
    ],
)
def test_bad_input_names_the_field(api, body, field):
    answered = api.post(PATH, body)

    assert answered.status_code == 422
    assert field in answered.json["errors"]


@pytest.mark.parametrize("of", ["replays", "deliveries"])
def test_a_cursor_that_was_tampered_with_is_refused(api, of):
    """One character changed, one list's at another, and no cursor at all."""
    endpoint_id = api.pipeline.endpoint()
    plant(api.pipeline, endpoint_id, 3)
    for _ in range(3):
        api.post(PATH, {"filter": {}})
    path = f"/tenants/acme/{of}"
    cursor = api.get(f"{path}?limit=1").json["next_cursor"]
    others = "deliveries" if of == "replays" else "replays"
    others_cursor = api.get(f"/tenants/acme/{others}?limit=1").json["next_cursor"]
    changed = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]

    assert api.get(f"{path}?limit=1&cursor={cursor}").status_code == 200
    for each in (changed, others_cursor, "nonsense", cursor[:-1], ""):
        answered = api.get(f"{path}?cursor={each}")
        assert (answered.status_code, answered.json["code"]) == (422, "invalid_cursor")
        assert "cursor" in answered.json["errors"]


def test_pages_of_replays_have_each_once(api):
    made = {api.post(PATH, {"filter": {}}).json["id"] for _ in range(5)}

    found, query = [], "?limit=2"
    while query:
        answer = api.get(PATH + query).json
        found += [each["id"] for each in answer["items"]]
        cursor = answer["next_cursor"]
        query = f"?limit=2&cursor={cursor}" if cursor else ""

    assert len(found) == 5
    assert set(found) == made


def test_an_operator_replays_and_a_viewer_looks(api):
    operator, viewer = api.as_(Role.OPERATOR, "acme"), api.as_(Role.VIEWER, "acme")

    created = operator.post(PATH, {"filter": {}})

    assert created.status_code == 202
    path = f"{PATH}/{created.json['id']}"
    assert viewer.get(path).status_code == 200
    assert viewer.post(PATH, {"filter": {}}).status_code == 403
    assert viewer.post(f"{path}/pause").status_code == 403
    assert operator.post(f"{path}/pause").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "status=dead_lettered",
        "error=timeout",
        "status_code=504",
        "dead_reason=gone",
        "event_type=key.rotated",
    ],
)
def test_deliveries_are_listed_by(api, query):
    endpoint_id = api.pipeline.endpoint()
    (wanted,) = plant(api.pipeline, endpoint_id, reason="gone")
    api.pipeline.do(
        "UPDATE delivery SET last_error = 'timeout', last_status_code = 504,"
        " event_type = 'key.rotated'"
    )
    plant(api.pipeline, endpoint_id, status="cancelled")

    listed = api.get(f"/tenants/acme/deliveries?{query}").json["items"]

    assert [each["id"] for each in listed] == [shown(wanted)]


@pytest.mark.parametrize(
    "query", ["error=x", "status_code=9", "dead_reason=x", "replay_id=x", "typo=1"]
)
def test_a_filter_that_is_no_good_lists_nothing(api, query):
    answered = api.get(f"/tenants/acme/deliveries?{query}")

    assert answered.status_code == 422
    assert query.partition("=")[0] in answered.json["errors"]


def test_an_unknown_replay_is_404(api):
    unknown = ids.show(Kind.REPLAY, uuid4())
    for each in (unknown, "rpl_x", "dlv_x"):
        assert api.get(f"{PATH}/{each}").status_code == 404
