"""Budgets and time: periods turn once, forecasts are told once, windows roll."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ascwebhooks.domain.budget_periods import read
from ascwebhooks.domain.event_types import CATALOGUE
from tests.integration.budgets import (
    ago,
    budget,
    crossings,
    iso,
    moment,
    spend,
    spent,
    told,
    usage,
)
from tests.unit.test_event_types import checked


def as_of(pipeline, found, at):
    """Put a budget back to the period of a moment."""
    bounds = read(found.row.period).bounds(at)
    pipeline.do(
        "UPDATE budget SET period_start = :start, period_end = :end WHERE id = :id",
        start=bounds.start,
        end=bounds.end,
        id=found.row.id,
    )
    return bounds


def daily(zone):
    return {"type": "calendar", "unit": "day", "zone": zone}


@pytest.mark.parametrize(
    ("zone", "before", "turn", "end"),
    [
        pytest.param(
            "Europe/Berlin",
            "2026-03-28T12:00Z",
            "2026-03-28T23:00Z",
            "2026-03-29T22:00Z",
            id="into the day of 23 hours",
        ),
        pytest.param(
            "Europe/Berlin",
            "2026-03-29T12:00Z",
            "2026-03-29T22:00Z",
            "2026-03-30T22:00Z",
            id="out of the day of 23 hours",
        ),
        pytest.param(
            "Europe/Berlin",
            "2026-10-24T12:00Z",
            "2026-10-24T22:00Z",
            "2026-10-25T23:00Z",
            id="into the day of 25 hours",
        ),
        pytest.param(
            "Europe/Berlin",
            "2026-10-25T12:00Z",
            "2026-10-25T23:00Z",
            "2026-10-26T23:00Z",
            id="out of the day of 25 hours",
        ),
        pytest.param(
            "Africa/Cairo",
            "2026-04-23T12:00Z",
            "2026-04-23T22:00Z",
            "2026-04-24T21:00Z",
            id="at a midnight that is skipped",
        ),
    ],
)
def test_a_period_turns_at_the_midnight_of_its_zone(pipeline, zone, before, turn, end):
    found = budget(pipeline, period=daily(zone))
    as_of(pipeline, found, moment(before))
    at = moment(turn)

    assert pipeline.services.budget_turns.turn(at - timedelta(microseconds=1)) == 0
    assert pipeline.services.budget_turns.turn(at) == 1
    assert pipeline.services.budget_turns.turn(at) == 0
    assert pipeline.services.budget_turns.turn(moment(end) - timedelta(seconds=1)) == 0

    (event,) = told(pipeline)
    assert event["type"] == "budget.reset"
    assert (event["period_start"], event["resets_at"]) == (iso(at), iso(moment(end)))
    data = {k: event[k] for k in event.keys() - {"type", "event_id", "source_id"}}
    checked(CATALOGUE["budget.reset"]).validate(data)
    assert data.keys() == CATALOGUE["budget.reset"].schema["properties"].keys()


def test_two_beats_tell_of_a_turn_once_and_what_was_missed_is_not_made_up_for(pipeline):
    found = [budget(pipeline, period=daily("UTC")) for _ in range(5)]
    for each in found:
        as_of(pipeline, each, ago(days=10))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: pipeline.services.budget_turns.turn(), range(4)))
    assert sum(made) == 5
    assert [each["type"] for each in told(pipeline)] == ["budget.reset"] * 5


def test_a_turn_says_what_the_period_before_came_to_and_arms_all_lines(pipeline):
    found = budget(pipeline, period=daily("UTC"))
    yesterday = ago(days=1)
    as_of(pipeline, found, yesterday)
    spend(pipeline, 60, at=yesterday)
    pipeline.services.budget_turns.turn()
    spend(pipeline, 60)

    late, reset, now = told(pipeline)
    assert (late["type"], late["late"]) == ("budget.threshold_reached", True)
    assert (reset["spent"], reset["previous_percent"]) == ("0", 60)
    assert (now["type"], now["late"]) == ("budget.threshold_reached", False)
    assert late["source_id"] != now["source_id"]


def test_a_period_is_told_of_before_a_line_that_is_crossed_in_it(pipeline):
    """Else a team that is blocked at its limit would be let on again by the reset."""
    found = budget(pipeline, period=daily("UTC"))
    yesterday = ago(days=1)
    as_of(pipeline, found, yesterday)
    spend(pipeline, 30, at=yesterday)
    endpoint = pipeline.endpoint(event_types=["budget.*"], ordering="fifo")
    spend(pipeline, 40)
    assert told(pipeline) == [], "nothing waits for a lock where nothing is crossed"
    spend(pipeline, 70)
    assert pipeline.services.budget_turns.turn() == 0

    exceeded, reset = sorted(told(pipeline), key=lambda each: each["type"])
    assert (reset["type"], exceeded["type"]) == ("budget.reset", "budget.exceeded")
    assert (reset["spent"], reset["previous_percent"]) == ("40", 30)
    assert exceeded["crossed_thresholds"] == [50, 80, 95, 100]
    sent = pipeline.rows(
        "SELECT event_type FROM delivery WHERE endpoint_id = :id ORDER BY position",
        id=endpoint,
    )
    assert [each.event_type for each in sent] == ["budget.reset", "budget.exceeded"]


def test_crossings_at_the_turn_tell_of_it_once_beside_beat(pipeline):
    """Readers and beat come for the same budgets at the same time, and none waits."""
    days = [budget(pipeline, period=daily("UTC"), limit=8) for _ in range(4)]
    rolls = [
        budget(pipeline, period={"type": "rolling", "hours": 1}, limit=8)
        for _ in range(4)
    ]
    for _ in range(5):
        for each in days:
            as_of(pipeline, each, ago(days=2))
        pipeline.do("DELETE FROM budget_alert")
        pipeline.do("DELETE FROM budget_spend")
        pipeline.do("DELETE FROM event")
        pipeline.do("DELETE FROM event_key")
        with ThreadPoolExecutor(6) as pool:
            beats = [pool.submit(pipeline.services.budget_turns.turn) for _ in "12"]
            reads = [pool.submit(spend, pipeline, 1, 1) for _ in range(4)]
            for each in (*beats, *reads):
                each.result(30)
        for each in days:
            kinds = [event["type"] for event in told(pipeline, each)]
            assert kinds.count("budget.reset") == 1
            assert kinds.count("budget.exceeded") == 1
        for each in rolls:
            assert crossings(pipeline, each)[-1][0] == "exceeded"


def test_nobody_is_told_of_a_deleted_tenants_budgets(pipeline):
    found = budget(pipeline, period=daily("UTC"))
    as_of(pipeline, found, ago(days=10))
    pipeline.services.tenants.delete("acme")
    assert pipeline.services.budget_turns.turn() == 0


def once(start, end):
    return {"type": "once", "from": iso(start), "to": iso(end)}


def test_a_forecast_is_told_once_and_after_a_part_of_the_period(pipeline):
    turn = pipeline.services.budget_turns.turn
    start, end = ago(days=5), ago(days=-5)
    found = budget(pipeline, forecast=True, period=once(start, end))
    silent = budget(pipeline, period=once(start, end))
    spend(pipeline, 49)
    assert turn() == 0, "on its way to 98"
    spend(pipeline, 3)
    assert turn(start + timedelta(hours=23)) == 0, "too early to tell"
    assert turn() == 1
    assert turn() == 0
    spend(pipeline, 20)
    assert turn() == 0

    (event,) = [each for each in told(pipeline) if each["basis"] == "forecast"]
    assert event["type"] == "budget.forecast_exceeded"
    assert Decimal(103) < Decimal(event["projected_spend"]) < Decimal(105)
    assert iso(datetime.now(UTC)) < event["projected_exhaustion_at"] < iso(end)
    data = {k: event[k] for k in event.keys() - {"type", "event_id", "source_id"}}
    checked(CATALOGUE[event["type"]]).validate(data)
    assert data.keys() == CATALOGUE[event["type"]].schema["properties"].keys()
    assert crossings(pipeline, silent) == [("threshold_reached", 50)]
    shown = pipeline.services.budgets.get("acme", found.row.id)
    assert event["event_id"] in {each.event_id for each in shown.alerts}


def test_a_raised_limit_takes_a_forecast_back_and_a_worse_one_is_told_again(pipeline):
    turn = pipeline.services.budget_turns.turn
    found = budget(pipeline, forecast=True, period=once(ago(days=5), ago(days=-5)))
    spend(pipeline, 60)
    assert turn() == 1
    pipeline.services.budgets.change("acme", found.row.id, {"limit": Decimal(200)})
    assert turn() == 0
    spend(pipeline, 50)
    assert turn() == 1

    assert [(each["type"], each["basis"]) for each in told(pipeline)] == [
        ("budget.threshold_reached", "actual"),
        ("budget.forecast_exceeded", "forecast"),
        ("budget.changed", "actual"),
        ("budget.recovered", "actual"),
        ("budget.recovered", "forecast"),
        ("budget.threshold_reached", "actual"),
        ("budget.forecast_exceeded", "forecast"),
    ]


def test_a_limit_that_is_reached_is_no_forecast(pipeline):
    budget(pipeline, forecast=True, period=once(ago(days=5), ago(days=-5)))
    spend(pipeline, 100)
    assert pipeline.services.budget_turns.turn() == 0


def test_a_span_is_charged_with_what_is_in_it(pipeline):
    found = budget(pipeline, period=once(ago(days=5), ago(days=3)))
    spend(pipeline, 60)
    spend(pipeline, 60, at=ago(days=6))
    assert crossings(pipeline) == []
    spend(pipeline, 60, at=ago(days=4))
    assert crossings(pipeline) == [("threshold_reached", 50)]
    assert told(pipeline)[0]["late"] is True
    assert spent(pipeline, found) == 60
    assert pipeline.services.budget_turns.turn() == 0
    assert pipeline.services.budget_turns.turn(ago(days=-30)) == 0


def test_a_window_rolls(pipeline):
    """What falls out of it is spent no more; a line is told of once in its length."""
    found = budget(pipeline, period={"type": "rolling", "hours": 2})
    spend(pipeline, 30, at=ago(minutes=130))
    assert spent(pipeline, found) == 0
    spend(pipeline, 30, at=ago(minutes=90))
    spend(pipeline, 30)
    assert spent(pipeline, found) == 60
    assert crossings(pipeline) == [("threshold_reached", 50)]
    spend(pipeline, -2, 2, 1)
    assert len(told(pipeline)) == 1

    # Two hours later.
    for name in ("budget_spend", "budget_alert"):
        pipeline.do(f"UPDATE {name} SET period_start = period_start - interval '3h'")
    pipeline.do("DELETE FROM event_key")  # the clock stands, and ids have its bucket
    assert spent(pipeline, found) == 0
    spend(pipeline, 49, 2)
    assert crossings(pipeline) == [("threshold_reached", 50)] * 2
    first, _ = told(pipeline)
    assert (first["resets_at"], first["late"]) == (None, False)


def test_refunds_in_a_window_recover_what_fired_in_an_earlier_bucket(pipeline):
    budget(pipeline, period={"type": "rolling", "days": 3})
    spend(pipeline, 50)
    pipeline.do("UPDATE budget_alert SET period_start = period_start - interval '5h'")
    spend(pipeline, -10, -10)
    assert crossings(pipeline) == [("threshold_reached", 50), ("recovered", 50)]


def later(pipeline, span):
    """Let a time pass for windows: what was spent and told then is so much older."""
    for name in ("budget_spend", "budget_alert"):
        pipeline.do(
            f"UPDATE {name} SET period_start = period_start - CAST(:span AS interval)",
            span=span,
        )
    pipeline.do(
        "UPDATE budget SET period_end = period_end - CAST(:span AS interval)", span=span
    )
    pipeline.do("DELETE FROM event_key")  # the clock stands, and ids have its bucket


def test_what_falls_out_of_a_window_recovers_once_and_arms_again(pipeline):
    """Nobody resets a window: whoever blocked its team would never let it on again."""
    turn = pipeline.services.budget_turns.turn
    found = budget(
        pipeline, period={"type": "rolling", "hours": 2}, enforcement="block"
    )
    spend(pipeline, 60)
    later(pipeline, "1 hour")
    spend(pipeline, 40)
    assert turn() == 0, "all of it is within"

    later(pipeline, "70 minutes")
    assert (turn(), turn()) == (2, 0), "looked at once in a bucket"
    later(pipeline, "5 minutes")
    assert turn() == 0
    spend(pipeline, 60)

    every = crossings(pipeline, found)
    assert every[:2] == [("threshold_reached", 50), ("exceeded", 100)]
    # What one transaction writes has no order of its own.
    assert sorted(every[2:4]) == [("recovered", 50), ("recovered", 100)]
    assert every[4:] == [("exceeded", 100)]
    recovered = max(told(pipeline, found)[2:4], key=lambda x: x["threshold_percent"])
    assert (recovered["spent"], recovered["crossed_thresholds"]) == (
        "40",
        [80, 95, 100],
    )
    assert recovered["enforcement"] == "block"
    data = {
        k: recovered[k] for k in recovered.keys() - {"type", "event_id", "source_id"}
    }
    checked(CATALOGUE["budget.recovered"]).validate(data)


def test_what_falls_but_a_little_below_a_line_of_a_window_stays(pipeline):
    budget(pipeline, period={"type": "rolling", "hours": 2}, thresholds=[])
    spend(pipeline, 4)
    later(pipeline, "1 hour")
    spend(pipeline, 96)
    later(pipeline, "70 minutes")
    assert pipeline.services.budget_turns.turn() == 0
    assert crossings(pipeline) == [("exceeded", 100)]


def test_a_window_that_stayed_above_recovers_by_what_it_said_last(pipeline):
    """It says so once in its length; of what it said before nothing is to be told."""
    turn = pipeline.services.budget_turns.turn
    budget(pipeline, period={"type": "rolling", "hours": 2}, thresholds=[])
    spend(pipeline, 100)
    for span in ("115 minutes", "10 minutes"):
        later(pipeline, span)
        spend(pipeline, 100)
        assert turn() == 0
    assert crossings(pipeline) == [("exceeded", 100)] * 2
    later(pipeline, "3 hours")
    assert (turn(), turn()) == (1, 0)
    assert crossings(pipeline)[-1] == ("recovered", 100)


def test_a_window_that_is_charged_in_many_buckets_at_once_fires_once(pipeline):
    budget(pipeline, period={"type": "rolling", "hours": 4})
    pipeline.accept(*(usage('"6"', at=ago(minutes=9 * n)) for n in range(10)))
    (event,) = told(pipeline)
    assert (event["threshold_percent"], event["spent"]) == (50, "60")


def test_buckets_that_no_window_reaches_are_forgotten(pipeline):
    budget(pipeline, period={"type": "rolling", "hours": 4})
    spend(pipeline, 6, at=ago(days=3))
    spend(pipeline, 6)
    pipeline.services.maintenance.forget()
    assert pipeline.one("SELECT count(*) FROM budget_spend") == 1
