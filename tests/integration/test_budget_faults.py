"""Budgets and faults: at whatever point it breaks, spend and event go together."""

from __future__ import annotations

import json
from decimal import Decimal

import psycopg2.extensions
import pytest
from sqlalchemy import event as events

from ascwebhooks.services.budget_turns import BudgetTurns
from ascwebhooks.services.budgets import Budgets
from ascwebhooks.services.charging import Charging
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.storage.engine import make_engine
from ascwebhooks.storage.unit_of_work import UnitOfWork, make_sessions
from tests.integration.budgets import ago, budget, crossings, spend, spent, told, usage

#: What the pool asks is no statement of ours: ``;``.
_PING = 1


class Broken(Exception):
    """What happens at the point that a test chose."""


class Breaker:
    """Breaks what is done on its connections at one point: a statement or a commit."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.points: list[str] = []

    def at(self, number):
        self.left, self.points = number, []

    def step(self, what):
        self.points.append(what)
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            raise Broken(what)
        self.left -= 1


@pytest.fixture
def broken(pipeline):
    """Sessions whose every statement and commit is a point at which it may break."""
    breaker = Breaker()

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, sql, *args):
            if len(sql) > _PING:
                breaker.step(f"before {sql[:60]}")
            super().execute(sql, *args)

        def copy_expert(self, sql, *args):
            breaker.step(f"before {sql[:60]}")
            super().copy_expert(sql, *args)

    class Connection(psycopg2.extensions.connection):
        def commit(self):
            try:
                breaker.step("before the commit")
            except Broken:
                self.rollback()  # as the server does when a connection is gone
                raise
            super().commit()
            breaker.step("after the commit")

    engine = make_engine(pipeline.settings.require_database_url(), pool_size=6)

    @events.listens_for(engine, "do_connect")
    def connect(dialect, record, args, options):
        options |= {"cursor_factory": Cursor, "connection_factory": Connection}

    sessions = make_sessions(engine)
    breaker.uow = lambda: UnitOfWork(sessions)
    yield breaker
    engine.dispose()


def broken_at_every_point(breaker, act, check):
    """Do something again and again, broken at each point in turn; return the points.

    Whatever broke is done once more, as a stream's reader or a caller would.
    """
    for number in range(200):
        breaker.at(number)
        try:
            act(number)
        except Broken:
            act(number)
            check(number)
            continue
        check(number)
        assert breaker.left is not None, "it went through without breaking"
        return breaker.points
    raise AssertionError("it never ends")


def test_charging_breaks_at_every_point_and_each_line_fires_once(pipeline, broken):
    """80, 86, 96, 101 in one batch each, for a new budget each time."""
    acceptance = pipeline.acceptance(lambda _: None, broken.uow, Triggers([Charging()]))
    pipeline.endpoint(event_types=("budget.*",))
    warm = budget(pipeline, scope_id="warm")
    acceptance.accept([usage('"101"', team_id="warm")], via="stream")
    made = {}

    def act(number):
        if number not in made:
            team = f"team-{number}"
            raws = [
                [usage(json.dumps(each), team_id=team)] for each in ("80", "6", "15")
            ]
            made[number] = budget(pipeline, scope_id=team), raws
        for batch in made[number][1]:
            acceptance.accept(batch, via="stream")

    def check(number):
        found = made[number][0]
        assert spent(pipeline, found) == 101
        assert crossings(pipeline, found) == [
            ("threshold_reached", 80),
            ("exceeded", 100),
        ]
        shown = pipeline.services.budgets.get("acme", found.row.id)
        ids = {each["event_id"] for each in told(pipeline, found)}
        assert {each.event_id for each in shown.alerts} == ids

    points = broken_at_every_point(broken, act, check)

    assert spent(pipeline, warm) == 101
    said = "\n".join(points)
    for part in (
        "INSERT INTO event_key",
        "INSERT INTO budget_spend",
        "INSERT INTO budget_alert",
        "UPDATE budget_alert",
        "COPY event",
        "COPY delivery",
        "before the commit",
        "after the commit",
    ):
        assert part in said, f"nothing broke at {part}"
    told_of = pipeline.one("SELECT count(*) FROM event WHERE type LIKE 'budget.%'")
    assert pipeline.one("SELECT count(*) FROM delivery") == told_of


def test_a_change_breaks_at_every_point_and_recovers_once(pipeline, broken):
    deriving = Deriving(pipeline.writing(uow=broken.uow), ring=lambda _: None)
    changing = Budgets(broken.uow, deriving, bytes)
    made = {}

    def act(number):
        if number not in made:
            made[number] = budget(pipeline, scope_id=f"team-{number}")
            spend(pipeline, 96, team_id=f"team-{number}")
        changing.change("acme", made[number].row.id, {"limit": Decimal(200)})

    def check(number):
        # Two of one millisecond stand in the order of the places that are free.
        first, *others = crossings(pipeline, made[number])
        assert first == ("threshold_reached", 95)
        assert sorted(others) == [("changed", None), ("recovered", 95)]

    points = broken_at_every_point(broken, act, check)
    assert any("UPDATE budget_alert" in each for each in points)


def test_a_turn_breaks_at_every_point_and_is_told_once(pipeline, broken):
    deriving = Deriving(pipeline.writing(uow=broken.uow), ring=lambda _: None)
    turns = BudgetTurns(broken.uow, deriving)
    made = {}
    day = {"type": "calendar", "unit": "day", "zone": "UTC"}

    def act(number):
        if number not in made:
            made[number] = budget(pipeline, period=day)
            pipeline.do(
                "UPDATE budget SET period_start = :start, period_end = :end"
                " WHERE id = :id",
                start=ago(days=3),
                end=ago(days=2),
                id=made[number].row.id,
            )
        turns.turn()

    def check(number):
        assert [each["type"] for each in told(pipeline, made[number])] == [
            "budget.reset"
        ]

    points = broken_at_every_point(broken, act, check)
    assert any("UPDATE budget SET period_start" in each for each in points)


def test_a_flushed_broker_changes_nothing(pipeline):
    found = budget(pipeline)
    spend(pipeline, 79)
    pipeline.redis.flushall()
    spend(pipeline, 1, 1)
    assert crossings(pipeline) == [("threshold_reached", 50), ("threshold_reached", 80)]
    assert spent(pipeline, found) == 81
