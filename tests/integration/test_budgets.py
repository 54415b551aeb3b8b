"""Budgets: what is spent is exact, and a line that is crossed is told of once.

The first tests are the failures that others have (README, "Budgets").
"""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.domain.ids import Kind, show
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services.charging import Charging
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.storage.engine import make_engine
from ascwebhooks.storage.unit_of_work import UnitOfWork, make_sessions
from tests.integration.budgets import (
    ago,
    budget,
    crossings,
    spend,
    spent,
    told,
    usage,
)
from tests.unit.test_event_types import checked

EXCEEDED = ("exceeded", 100)


def reached(percent):
    return ("threshold_reached", percent)


def test_each_line_fires_though_spending_jumps(pipeline):
    """80, 86, 96, 101 is 80, 95 and 100: nothing said before mutes what follows."""
    found = budget(pipeline)
    spend(pipeline, 80)
    assert crossings(pipeline) == [reached(80)]
    spend(pipeline, 6)
    assert crossings(pipeline) == [reached(80)]
    spend(pipeline, 10, 5)

    assert crossings(pipeline) == [reached(80), reached(95), EXCEEDED]
    first, _, last = told(pipeline)
    assert first["crossed_thresholds"] == [50, 80], "one event tells of all at once"
    assert (last["spent"], last["remaining"]) == ("101", "-1")
    assert (last["percent_used"], last["previous_percent"]) == (101, 96)
    assert spent(pipeline, found) == 101


@pytest.fixture
def at_once(pipeline):
    """Accept each event on a worker of its own, all at the same time."""
    engine = make_engine(pipeline.settings.require_database_url(), pool_size=45)
    sessions = make_sessions(engine)

    def accept(*raws):
        ready = threading.Barrier(len(raws))

        def one(raw):
            acceptance = pipeline.acceptance(
                lambda _: None,
                lambda: UnitOfWork(sessions),
                Triggers([Charging()]),
            )
            ready.wait(30)
            return acceptance.accept([raw], via="stream")[0]

        with ThreadPoolExecutor(len(raws)) as pool:
            return list(pool.map(one, raws))

    yield accept
    engine.dispose()


def test_twenty_concurrent_crossings_fire_once(pipeline, at_once):
    found = budget(pipeline)
    spend(pipeline, 79)
    at_once(*(usage('"1"') for _ in range(20)))

    # Ids are made when a batch begins, which says nothing of who came first.
    assert sorted(crossings(pipeline)) == [reached(50), reached(80), reached(95)]
    assert spent(pipeline, found) == 99


def test_concurrent_crossings_in_different_buckets_of_a_window_fire_once(
    pipeline, at_once
):
    """None of them sees what another one has not committed, nor locks its row."""
    found = budget(pipeline, period={"type": "rolling", "hours": 2})
    at_once(*(usage('"5"', at=ago(minutes=6 * n)) for n in range(16)))

    assert spent(pipeline, found) == 80
    # Ids are made when a batch begins, which says nothing of who came first.
    assert sorted(crossings(pipeline)) == [reached(50), reached(80)]


def test_a_user_and_a_team_of_the_same_name_both_fire(pipeline):
    user = budget(pipeline, scope_type="user", scope_id="x")
    team = budget(pipeline, scope_type="team", scope_id="x")
    spend(pipeline, 50, user_id="x", team_id="x")

    assert crossings(pipeline, user) == crossings(pipeline, team) == [reached(50)]


def test_a_crossing_within_a_backfill_fires(pipeline):
    """What comes late counts in its own period and says so; this one's is as it was."""
    found = budget(pipeline)
    old = ago(days=40)
    pipeline.accept(*(usage('"7"', at=old) for _ in range(20)))

    (event,) = told(pipeline)
    assert (event["type"], event["late"]) == ("budget.exceeded", True)
    assert event["crossed_thresholds"] == [50, 80, 95, 100]
    assert event["period_start"] <= old.isoformat() < event["period_end"]
    assert spent(pipeline, found) == 0
    spend(pipeline, 50)
    assert told(pipeline)[1]["late"] is False


def test_wobbling_across_a_line_fires_once(pipeline):
    budget(pipeline)
    spend(pipeline, 81, *[-2, 2] * 5)
    assert crossings(pipeline) == [reached(80)]


def test_refunds_that_go_well_below_recover_once_and_arm_again(pipeline):
    budget(pipeline)
    spend(pipeline, 81, -10, -1, -1, 12, -20)
    assert crossings(pipeline) == [
        reached(80),
        ("recovered", 80),
        reached(80),
        ("recovered", 80),
    ]
    again = told(pipeline)[2]
    assert again["crossed_thresholds"] == [80], "50 has been told of"
    assert len({each["source_id"] for each in told(pipeline)}) == 4


def test_a_raised_limit_recovers_once_what_fired_and_arms_it_again(pipeline):
    found = budget(pipeline)
    spend(pipeline, 96)
    change = pipeline.services.budgets.change

    change("acme", found.row.id, {"limit": Decimal(120)})
    change("acme", found.row.id, {"limit": Decimal(120)})

    assert crossings(pipeline) == [reached(95), ("changed", None), ("recovered", 95)]
    assert told(pipeline)[2]["crossed_thresholds"] == [95], "at 80 % it is in alarm"
    spend(pipeline, 20)
    assert crossings(pipeline)[3:] == [reached(95)]
    assert told(pipeline)[3]["crossed_thresholds"] == [95]


def test_what_never_fired_never_recovers(pipeline):
    found = budget(pipeline)
    spend(pipeline, 49, -30)
    pipeline.services.budgets.change("acme", found.row.id, {"limit": Decimal(1000)})
    assert crossings(pipeline) == [("changed", None)]


def test_a_lowered_limit_fires_what_it_crosses(pipeline):
    found = budget(pipeline)
    spend(pipeline, 60)
    pipeline.services.budgets.change("acme", found.row.id, {"limit": Decimal(50)})
    assert crossings(pipeline) == [reached(50), ("changed", None), EXCEEDED]
    last = told(pipeline)[2]
    assert last["crossed_thresholds"] == [80, 95, 100]
    assert last["trigger_request_id"] is None
    spend(pipeline, 60)
    assert len(told(pipeline)) == 3


def test_the_same_request_on_two_workers_at_once_counts_once(pipeline, at_once):
    found = budget(pipeline)
    verdicts = at_once(*[usage('"60"', id="same")] * 4)

    assert sorted(each.duplicate for each in verdicts) == [False, True, True, True]
    assert spent(pipeline, found) == 60
    assert crossings(pipeline) == [reached(50)]


def test_all_that_a_request_is_about_is_charged(pipeline):
    """Organisation, unit, team, user, key, project, feature, tags, provider, model."""
    scopes = {
        "org": "o",
        "business_unit": "b",
        "team": "t",
        "user": "u",
        "key": "k",
        "project": "p",
        "feature": "f",
        "tag": "blue",
        "provider": "openai",
        "model": "gpt",
        "tenant": "",
    }
    found = [
        budget(pipeline, scope_type=kind, scope_id=name)
        for kind, name in scopes.items()
    ]
    others = [
        budget(pipeline, scope_type=kind, scope_id="z") for kind in [*scopes][:10]
    ]
    data = {
        "scope": {
            "org_id": "o",
            "business_unit_id": "b",
            "team_id": "t",
            "user_id": "u",
            "project_id": "p",
            "key_id": "k",
            "feature": "f",
            "tags": ["blue", "red", "blue"],
        },
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt",
        "gen_ai.response.model": "openai/gpt-1",
        "cost": {"amount": "0.1", "currency": "USD"},
    }
    raws = [
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"e{number}",
                "source": "g",
                "type": "request.completed",
                "tenantid": "acme",
                "data": data,
            }
        ).encode()
        for number in range(3)
    ]
    pipeline.accept(*raws)

    assert {spent(pipeline, each) for each in found} == {Decimal("0.3")}
    assert {spent(pipeline, each) for each in others} == {0}


def test_parents_are_named_the_nearest_first(pipeline):
    org = budget(pipeline, scope_type="org", scope_id="o")
    team = budget(pipeline, parent_id=org.row.id)
    user = budget(pipeline, scope_type="user", scope_id="u", parent_id=team.row.id)
    spend(pipeline, 50, user_id="u")

    assert told(pipeline, user)[0]["parent_budget_ids"] == [
        show(Kind.BUDGET, team.row.id),
        show(Kind.BUDGET, org.row.id),
    ]
    with pytest.raises(InvalidInput, match="ancestor"):
        pipeline.services.budgets.change("acme", org.row.id, {"parent_id": user.row.id})
    pipeline.services.budgets.delete("acme", team.row.id)
    assert pipeline.services.budgets.get("acme", user.row.id).budget.parents == ()


BAD = {
    "missing": (...,),
    "null": ("null",),
    "not a number": ('"much"',),
    "NaN in text": ('"NaN"',),
    "infinite in text": ('"-Infinity"',),
    "1e400": ("1e400",),
    "1e400 in text": ('"1e400"',),
    "1e999999999": ("1e999999999",),
    "a list": ("[1]",),
    "a boolean": ("true",),
    "another currency": ('"5"', "EUR"),
    "no currency": ('"5"', None),
    "a strange currency": ('"5"', "dollars"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_cost_that_is_not_known_is_never_guessed(pipeline, bad):
    found = budget(pipeline)
    amount, currency = (*bad, "USD")[:2]
    verdicts = pipeline.accept(
        usage('"60"'), usage(amount, currency=currency), usage("0.5")
    )

    assert not any(hasattr(each, "code") for each in verdicts)
    usage_ = pipeline.services.budgets.get("acme", found.row.id).usage
    assert (usage_.spent, usage_.requests, usage_.unpriced) == (Decimal("60.5"), 3, 1)
    assert crossings(pipeline) == [reached(50)]


def test_failed_requests_may_well_have_no_cost(pipeline):
    found = budget(pipeline)
    pipeline.accept(
        usage(..., type="request.failed"), usage("2", type="request.failed")
    )
    usage_ = pipeline.services.budgets.get("acme", found.row.id).usage
    assert (usage_.spent, usage_.unpriced) == (2, 0)


def test_no_digit_is_lost(pipeline):
    found = budget(pipeline, limit=10**15)
    amounts = ["0.1", "0.2", "1e-30", "123456789012345.000000000000000000000000000001"]
    spend(pipeline, *amounts)
    pipeline.accept(*(usage("0.1") for _ in range(10)))
    exact = sum(map(Fraction, amounts)) + 10 * Fraction("0.1")
    assert Fraction(spent(pipeline, found)) == exact


def test_usage_of_nobody_in_particular_shows(pipeline):
    found = budget(pipeline, scope_type="tenant")
    pipeline.accept(
        usage('"2"', key_id="unknown", org_id="acme"), usage('"3"', team_id="search")
    )
    usage_ = pipeline.services.budgets.get("acme", found.row.id).usage
    assert (usage_.spent, usage_.unattributed) == (5, 2)


def test_what_is_ahead_of_its_time_counts_now(pipeline):
    found = budget(pipeline)
    pipeline.accept(usage('"50"', at=ago(days=-400)))
    assert spent(pipeline, found) == 50
    assert told(pipeline)[0]["late"] is False


def test_the_request_that_crossed_is_named(pipeline):
    budget(pipeline)
    pipeline.accept(usage('"70"', id="a"), usage('"20"', id="b"), usage('"1"', id="c"))
    (event,) = told(pipeline)
    assert (event["threshold_percent"], event["trigger_request_id"]) == (80, "b")


def test_lines_of_ones_own(pipeline):
    found = budget(pipeline, thresholds=[Decimal("33.3"), Decimal(120), Decimal(20)])
    spend(pipeline, "20", "13.2", "0.1", "66.7", "19.9", "0.1")
    assert crossings(pipeline) == [
        reached(20),
        reached(33.3),
        EXCEEDED,
        ("exceeded", 120),
    ]
    assert found.budget.lines == (20, Decimal("33.3"), 100, 120)


def test_other_tenants_budgets_are_others(pipeline):
    pipeline.services.tenants.create("globex")
    mine = budget(pipeline)
    theirs = budget(pipeline, tenant_id="globex")
    pipeline.accept(usage('"5"'), usage('"7"', tenantid="globex"))
    assert (spent(pipeline, mine), spent(pipeline, theirs)) == (5, 7)
    with pytest.raises(NotFound):
        pipeline.services.budgets.get("acme", theirs.row.id)
    with pytest.raises(InvalidInput, match="no such budget"):
        budget(pipeline, parent_id=theirs.row.id)


def test_every_event_keeps_to_the_catalogue(pipeline):
    found = budget(pipeline)
    spend(pipeline, 81, 30, -70, 70)
    pipeline.services.budgets.change("acme", found.row.id, {"limit": Decimal(1000)})
    seen = set()
    for event in told(pipeline):
        schema = CATALOGUE[event["type"]]
        data = {
            name: value
            for name, value in event.items()
            if name not in ("type", "event_id", "source_id")
        }
        checked(schema).validate(data)
        assert data.keys() == schema.schema["properties"].keys(), event["type"]
        seen.add(event["type"])
    assert seen == {
        "budget.threshold_reached",
        "budget.exceeded",
        "budget.recovered",
        "budget.changed",
    }


def test_a_budget_shows_its_alerts_with_their_events(pipeline):
    found = budget(pipeline)
    spend(pipeline, 96)
    pipeline.accept(usage('"3"', at=ago(days=400)))
    detailed = pipeline.services.budgets.get("acme", found.row.id)

    (event,) = told(pipeline)
    assert [each.threshold for each in detailed.alerts] == [50, 80, 95]
    assert {each.event_id for each in detailed.alerts} == {event["event_id"]}
    assert [each.spent for each in detailed.history] == [3]


def test_names_are_a_tenants_own(pipeline):
    budget(pipeline, name="one")
    with pytest.raises(Conflict):
        budget(pipeline, name="one")
    pipeline.services.tenants.create("globex")
    budget(pipeline, name="one", tenant_id="globex")


# Against a model that knows nothing of how it is done

AMOUNTS = st.integers(-40, 60).map(Decimal)
STEPS = st.lists(
    st.one_of(
        st.lists(AMOUNTS, min_size=1, max_size=4),
        st.integers(20, 200).map(Decimal),
    ),
    max_size=8,
)


class Model:
    """What is to be told, by adding up and by looking at each line by itself."""

    def __init__(self, limit, lines):
        self.limit, self.lines = limit, {*lines, 100}
        self.spent, self.fired, self.told = 0, set(), []

    def batch(self, amounts):
        before, self.spent = self.spent, self.spent + sum(amounts)
        part = Fraction(100 * self.spent) / Fraction(self.limit)
        if self.spent > before:
            self.fire({each for each in self.lines - self.fired if each <= part})
        if self.spent < before:
            self.recover({each for each in self.fired if part < each - 5})

    def limited(self, limit):
        if limit == self.limit:
            return
        self.limit = limit
        self.told.append(("changed", None))
        part = Fraction(100 * self.spent) / Fraction(limit)
        self.recover({each for each in self.fired if part < each})
        self.fire({each for each in self.lines - self.fired if each <= part})

    def fire(self, lines):
        self.fired |= lines
        if lines:
            name = "exceeded" if max(lines) >= 100 else "threshold_reached"
            self.told.append((name, max(lines)))

    def recover(self, lines):
        self.fired -= lines
        if lines:
            self.told.append(("recovered", max(lines)))


def test_whatever_is_spent_refunded_and_changed_is_told_as_the_model_says(pipeline):
    numbers = itertools.count()

    @settings(max_examples=60, suppress_health_check=[*HealthCheck])
    @given(steps=STEPS, lines=st.lists(st.integers(5, 150), max_size=3))
    def check(steps, lines):
        team = f"team-{next(numbers)}"
        found = budget(
            pipeline, scope_id=team, thresholds=[Decimal(each) for each in lines]
        )
        model = Model(Decimal(100), lines)
        for step in steps:
            if isinstance(step, list):
                model.batch(step)
                pipeline.accept(*(usage(f'"{each}"', team_id=team) for each in step))
            else:
                model.limited(step)
                pipeline.services.budgets.change("acme", found.row.id, {"limit": step})
        assert spent(pipeline, found) == model.spent
        assert crossings(pipeline, found) == model.told
        every = [each["source_id"] for each in told(pipeline, found)]
        assert len(every) == len(set(every))

    check()
