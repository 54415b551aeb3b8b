"""Queries that somebody typed, or forged: each page answers, and says what is wrong."""

from __future__ import annotations

import pytest

from ascwebhooks.domain.keys import Role

HERE = "/tenants/acme"
SEARCHES = (
    "/tenants?search=",
    "/tenants?after=",
    "/users?after=",
    "/audit?actor=",
    f"{HERE}/endpoints?search=",
    f"{HERE}/subscriptions?event_type=",
    f"{HERE}/events?type=budget.exceeded&find=",
    f"{HERE}/deliveries?type=",
    f"{HERE}/dead-letters?type=",
    f"{HERE}/replays?state=",
)


def test_a_query_with_a_nul_finds_nothing_and_breaks_nothing(visit, subtests):
    """PostgreSQL refuses such text, so no query may carry it there."""
    somebody = visit(Role.ADMIN)
    for path in SEARCHES:
        with subtests.test(path):
            answer = somebody.get(f"{path}a%00b")
            assert answer.status_code == 404
            assert "has a NUL character" in answer.text


@pytest.mark.parametrize("place", ["/audit", f"{HERE}/audit"])
def test_a_filter_of_the_audit_log_is_not_left_out_in_silence(visit, place):
    """Somebody who asks for the last hour must not take all of it for that."""
    somebody = visit(Role.ADMIN)
    assert "session.opened" in somebody.get("/audit?since=2026-01-01").text
    answer = somebody.get(f"{place}?since=yesterday")
    assert answer.status_code == 422
    assert "&#39;yesterday&#39; is no time." in answer.text
    assert "<tbody>" not in answer.text
    assert "export.csv" not in answer.text

    for format in ("csv", "jsonl"):
        file = somebody.get(f"{place}/export.{format}?until=tomorrow")
        assert file.status_code == 422
        assert "This cannot be read" in file.text


def test_an_id_that_is_none_is_not_answered_with_the_whole_list(visit):
    somebody = visit(Role.VIEWER)
    for given in ("zzz", "dlv_short", "evt_", "%3Cscript%3E"):
        answer = somebody.get(f"{HERE}/deliveries?find={given}")
        assert answer.status_code == 422
        assert "no whole id of the form dlv_… or evt_…" in answer.text
    assert somebody.get(f"{HERE}/deliveries?find=").status_code == 200


@pytest.mark.parametrize("list", ["events", "deliveries", "audit"])
def test_times_that_are_the_wrong_way_round_are_said_so(visit, list):
    answer = visit(Role.ADMIN).get(
        f"{HERE}/{list}?since=2026-11-25T10:00Z&until=2026-11-25T09:00Z"
    )
    assert answer.status_code == 422
    assert "It has to be later than since." in answer.text
