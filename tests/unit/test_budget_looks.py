"""How budgets are shown: sums that never look like more, bars that hold their lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import budgets
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Once, Rolling, Unit
from ascwebhooks.domain.budgets import Budget, Enforcement, Projection, ScopeType
from ascwebhooks.services.budget_standings import Shown, Spent
from ascwebhooks.storage.budget_spending import Window
from ascwebhooks.web.admin import budget_looks

NOW = datetime(2026, 7, 15, tzinfo=UTC)
DAY = timedelta(days=1)


def shown(spent, limit="100", *, lines="50 80 95", ahead=None, period=None, span=None):
    """Return a budget of which so much is spent."""
    period = period or Calendar(Unit.MONTH, "UTC")
    bounds = span or Bounds(NOW - DAY, NOW + DAY)
    budget = Budget(
        "acme",
        UUID(int=1),
        "b",
        ScopeType.TEAM,
        "search",
        Decimal(limit),
        "USD",
        period,
        tuple(map(Decimal, lines.split())),
        forecast=True,
        enforcement=Enforcement.ALERT,
    )
    projection = None if ahead is None else Projection(Decimal(ahead), NOW + DAY)
    window = Window("acme", UUID(int=1), *bounds)
    row = SimpleNamespace(currency="USD")
    return Shown(row, budget, bounds, window, Spent(Decimal(spent)), projection)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("0", "0.00"),
        ("9.999999", "9.99"),
        ("-9.999", "-9.99"),
        ("1234567.891", "1\u202f234\u202f567.89"),
        ("0.5", "0.5"),
        ("0.00123456", "0.001234"),
        ("1e300", None),
        ("1e-300", None),
    ],
)
def test_sums_are_cut(amount, said):
    found = budget_looks.plain(Decimal(amount))
    assert said in (None, found)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**15)
)
def test_a_sum_never_looks_like_more_than_it_is(amount):
    found = Decimal(budget_looks.plain(amount).replace("\u202f", ""))
    assert found <= amount
    assert amount - found < Decimal("0.01")


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        (shown("0"), "Within"),
        (shown("50"), "50\u00a0% reached"),
        (shown("99.999"), "95\u00a0% reached"),
        (shown("60", ahead="120"), "Heading past it"),
        (shown("100"), "Exceeded"),
        (shown("0", span=Bounds(NOW + DAY, NOW + 2 * DAY)), "Not begun"),
        (shown("0", span=Bounds(NOW - DAY, NOW)), "Over"),
        (shown("0", period=Rolling(DAY), span=Bounds(NOW - DAY, NOW)), "Within"),
    ],
)
def test_each_state_has_a_word(budget, word):
    assert budget_looks.look(budget, NOW).word == word


@given(
    spent=st.decimals("-1000", "100000", places=2),
    lines=st.lists(st.integers(1, 1000), max_size=5),
    ahead=st.none() | st.integers(101, 10_000),
)
def test_nothing_stands_outside_of_a_bar(spent, lines, ahead):
    budget = shown(spent, lines=" ".join(map(str, lines)), ahead=ahead)
    bar = budget_looks.bar(budget, NOW)
    assert 0 <= bar.spent <= 100
    assert bar.forecast is None or 0 <= bar.forecast <= 100
    assert all(0 < each.x <= 100 for each in bar.notches)
    assert budgets.FULL in [each.percent for each in bar.notches]


@pytest.mark.parametrize(
    ("period", "said"),
    [
        (Calendar(Unit.WEEK, "Europe/Berlin"), "Each week, Europe/Berlin"),
        (Rolling(timedelta(hours=1)), "Last hour"),
        (Rolling(timedelta(hours=24)), "Last 24 hours"),
        (Rolling(timedelta(days=30)), "Last 30 days"),
        (Once(Bounds(NOW, NOW + DAY)), "Once"),
    ],
)
def test_periods_in_words(period, said):
    assert budget_looks.period_words(period) == said
