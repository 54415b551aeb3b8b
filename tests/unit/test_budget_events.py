"""Events of budgets: made by the code, and as the catalogue has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from ascwebhooks.domain import budget_events
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Unit
from ascwebhooks.domain.budgets import Basis, Budget, Enforcement, Projection, ScopeType
from ascwebhooks.domain.derived import SOURCE, derived_id
from ascwebhooks.domain.event_types import CATALOGUE
from tests.unit.test_event_types import checked

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
PERIOD = Bounds(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def standing(spent="95.20", before="79.4"):
    budget = Budget(
        tenant_id="acme",
        id=UUID(int=1),
        name="Search, monthly",
        scope_type=ScopeType.TEAM,
        scope_id="search",
        limit=Decimal(100),
        currency="USD",
        period=Calendar(Unit.MONTH, "UTC"),
        thresholds=(Decimal(80), Decimal(95)),
        forecast=True,
        enforcement=Enforcement.ALERT,
        parents=(UUID(int=2),),
    )
    return Standing(budget, PERIOD, Decimal(spent), Decimal(before))


def crossing(*lines, times=1, basis=Basis.ACTUAL, projection=None):
    return budget_events.crossing(
        standing(),
        basis=basis,
        lines=[Decimal(each) for each in lines],
        times=times,
        now=NOW,
        armed_at=PERIOD.start,
        request_id="r1",
        projection=projection,
    )


def recovery(times=1):
    return budget_events.recovery(
        standing(),
        basis=Basis.ACTUAL,
        lines=[Decimal(80)],
        times=times,
        now=NOW,
        armed_at=PERIOD.start,
    )


def change(version=1):
    return budget_events.change(
        standing(),
        version=version,
        fields=["limit"],
        previous_limit=Decimal(80),
        now=NOW,
    )


MADE = [
    crossing(80, 95),
    crossing(95, 100),
    crossing(100, basis=Basis.FORECAST, projection=Projection(Decimal("130.4"), NOW)),
    recovery(),
    budget_events.reset(standing("0"), previous=Decimal(60), now=NOW),
    change(),
]


@pytest.mark.parametrize("event", MADE, ids=lambda each: each.type)
def test_what_is_made_is_what_the_catalogue_says(event):
    found = CATALOGUE[event.type]
    data = json.loads(event.data)
    checked(found).validate(data)
    assert data.keys() == found.schema["properties"].keys() == found.example.keys()
    assert (event.source, event.tenant_id, event.time) == (SOURCE, "acme", NOW)
    assert event.subject == data["budget_id"]


def test_all_types_of_budgets_are_made():
    types = {each for each in CATALOGUE if each.startswith("budget.")}
    assert {each.type for each in MADE} == types


def test_an_id_is_made_of_the_cause():
    """The same cause has the same id; another one has another."""
    every = [
        *MADE,
        crossing(80),
        crossing(80, times=2),
        recovery(2),
        change(2),
    ]
    assert len({each.source_id for each in every}) == len(every)
    assert crossing(80, 95).source_id == crossing(95).source_id
    assert derived_id(MADE[0], NOW) == derived_id(crossing(80, 95), NOW)
    assert derived_id(MADE[0], NOW) != derived_id(MADE[1], NOW)


def test_sums_are_text_with_every_digit():
    data = json.loads(crossing(95).data)
    assert (data["spent"], data["remaining"], data["limit"]) == ("95.20", "4.80", "100")
