"""``ETag`` and ``If-Match``: a change that was not seen is not overwritten."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import wait_until

TENANT = "acme"
NOWHERE = "http://127.0.0.1:9009/hook"

TENANT_PATH = f"/tenants/{TENANT}"
#: Whose these are.
COLUMNS = {"name": "tenant", "description": "endpoint", "filter": "subscription"}


@pytest.fixture
def paths(api):
    return {
        "tenant": (TENANT_PATH, {"name": "New"}, {"name": "Newer"}),
        "endpoint": (
            f"{TENANT_PATH}/endpoints/{api.endpoint()}",
            {"description": "New"},
            {"description": "Newer"},
        ),
        "subscription": (
            f"{TENANT_PATH}/subscriptions/{subscription(api)}",
            {"filter": "true"},
            {"filter": "false"},
        ),
    }


def subscription(api):
    body = {"endpoint_id": api.endpoint(), "event_types": ["*"], "filter": "1 == 1"}
    return api.post(f"{TENANT_PATH}/subscriptions", body).json["id"]


@pytest.fixture(params=["tenant", "endpoint", "subscription"])
def thing(request, paths):
    return paths[request.param]


def test_a_change_holds_only_on_what_was_seen(api, thing):
    path, first, second = thing
    tag = api.get(path).headers["ETag"]
    changed = api.patch(path, first, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] == api.get(path).headers["ETag"] != tag

    late = api.patch(path, second, headers={"If-Match": tag})
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert api.get(path).json == changed.json

    late = api.ask("DELETE", path, headers={"If-Match": tag})
    assert late.status_code == 412
    tag = changed.headers["ETag"]
    assert api.ask("DELETE", path, headers={"If-Match": tag}).status_code == 204
    assert api.get(path).status_code == 404


def test_without_if_match_a_change_is_made_as_ever(api, thing):
    path, first, second = thing
    assert api.patch(path, first).status_code == 200
    assert api.patch(path, second, headers={"If-Match": "*"}).status_code == 200
    assert api.delete(path).status_code == 204


@pytest.mark.parametrize("form", ["W/{}", '"no such tag"', '"a", {}'])
def test_a_weak_tag_never_matches_and_one_of_a_list_does(api, thing, form):
    """RFC 9110 §13.1.1: the comparison is strong."""
    path, first, _ = thing
    tag = form.format(api.get(path).headers["ETag"])
    expected = 200 if form.startswith('"a"') else 412
    assert api.patch(path, first, headers={"If-Match": tag}).status_code == expected


def test_what_the_caller_has_is_not_sent_again(api, thing):
    path, first, _ = thing
    tag = api.get(path).headers["ETag"]
    same = api.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.data) == (304, b"")
    assert same.headers["ETag"] == tag
    api.patch(path, first)
    assert api.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_created_things_tag_is_that_of_getting_it(api):
    """Though its answer has a secret that no other answer has."""
    made = api.post(f"{TENANT_PATH}/endpoints", {"url": NOWHERE})
    got = api.get(f"{TENANT_PATH}/endpoints/{made.json['id']}")
    assert made.headers["ETag"] == got.headers["ETag"]


def test_an_endpoints_changes_and_deliveries_leave_the_tenants_tag(api, paths):
    tag = api.get(TENANT_PATH).headers["ETag"]
    path, change, _ = paths["endpoint"]
    api.patch(path, change)
    assert api.get(TENANT_PATH).headers["ETag"] == tag


def test_the_tag_is_compared_under_the_lock_of_the_change(api, pipeline, thing):
    """Two have seen the same; the one that waits for the other's commit is refused."""
    path, _, second = thing
    seen = {"If-Match": api.get(path).headers["ETag"]}
    answered = []
    with pipeline.uow() as uow:
        uow.tenants.change_subscriptions(TENANT)
        rival = threading.Thread(
            target=lambda: answered.append(api.patch(path, second, headers=seen))
        )
        rival.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "it waits for our lock")
        (column,) = second
        table = COLUMNS[column]
        uow._session.connection().exec_driver_sql(
            f"UPDATE {table} SET {column} = 'Rival'"
        )
        uow.commit()
    rival.join(10)
    assert answered[0].status_code == 412
    assert api.get(path).json[column] == "Rival"
