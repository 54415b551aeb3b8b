"""Budgets: lines and sums, against a model that knows nothing of how it is done."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import budgets
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Unit
from ascwebhooks.domain.budgets import Budget, Enforcement, ScopeType
from ascwebhooks.domain.charges import TenantBudgets
from ascwebhooks.domain.signals import Scope, Signal
from ascwebhooks.errors import InvalidInput

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
amounts = st.decimals(-(10**6), 10**6, places=6)
limits = st.decimals("0.000001", 10**6, places=6)


def budget(limit=Decimal(100), thresholds=(), number=1, **given_):
    fields = {
        "scope_type": ScopeType.TEAM,
        "scope_id": "search",
        "currency": "USD",
        "period": Calendar(Unit.MONTH, "UTC"),
        "forecast": False,
        "enforcement": Enforcement.ALERT,
        **given_,
    }
    return Budget(
        tenant_id="acme",
        id=UUID(int=number),
        name="b",
        limit=limit,
        thresholds=tuple(thresholds),
        **fields,
    )


def shares(spent, limit, thresholds):
    """Return which thresholds are reached, in fractions."""
    part = 100 * Fraction(spent) / Fraction(limit)
    return {
        each for each in {*map(Fraction, thresholds), Fraction(100)} if part >= each
    }


lines = st.lists(st.decimals("0.01", 1000, places=2), max_size=6)


@given(before=amounts, now=amounts, limit=limits, thresholds=lines)
def test_a_line_is_crossed_if_it_is_reached_now_and_was_not(
    before, now, limit, thresholds
):
    found = budgets.crossed(budget(limit, thresholds), before, now)
    expected = shares(now, limit, thresholds) - shares(before, limit, thresholds)
    assert set(map(Fraction, found)) == expected
    assert found == sorted(found)


@given(before=amounts, now=amounts, limit=limits, thresholds=lines)
def test_a_line_is_left_well_below_it(before, now, limit, thresholds):
    found = budgets.left(budget(limit, thresholds), before, now)
    part = 100 * Fraction(now) / Fraction(limit)
    every = {*map(Fraction, thresholds), Fraction(100)}
    expected = {each for each in every if now < before and part < each - 5}
    assert set(map(Fraction, found)) == expected


@given(spent=amounts, limit=limits)
def test_a_percentage_is_never_rounded_up(spent, limit):
    exact = 100 * Fraction(spent) / Fraction(limit)
    shown = Fraction(budgets.percent(spent, limit))
    assert 0 <= abs(exact) - abs(shown) < Fraction(1, 100)


@given(
    spent=st.decimals(0, 10**6, places=6),
    limit=limits,
    passed=st.integers(1, 30 * 86_400 - 1),
)
def test_a_projection_is_a_straight_line_to_the_end_of_the_period(spent, limit, passed):
    period = Bounds(NOW, NOW + timedelta(days=30))
    now = NOW + timedelta(seconds=passed)
    found = budgets.project(limit, spent, period, now)
    part = Fraction(passed, 30 * 86_400)
    ahead = Fraction(spent) / part
    assert (found is not None) == (part >= Fraction(1, 10))
    if found is None:
        return
    assert abs(Fraction(found.spend) - ahead) <= ahead / 10**9
    assert (found.exhausted_at is not None) == (spent < limit < ahead)
    if found.exhausted_at is not None:
        assert now <= found.exhausted_at <= period.end


def test_exactly_at_the_line_is_reached_and_exactly_to_the_limit_is_not_beyond():
    found = budget(thresholds=[Decimal("33.33")])
    assert budgets.reached(found, Decimal("33.33")) == [Decimal("33.33")]
    assert budgets.reached(found, Decimal("33.3299999")) == []
    period = Bounds(NOW, NOW + timedelta(days=10))
    half = NOW + timedelta(days=5)
    within = budgets.project(Decimal(100), Decimal(50), period, half)
    beyond = budgets.project(Decimal(100), Decimal("50.1"), period, half)
    assert within == (100, None)
    assert beyond is not None
    assert beyond.exhausted_at is not None


# Charges, against adding up by hand

signals = st.builds(
    Signal,
    tenant_id=st.just("acme"),
    type=st.sampled_from(["request.completed", "request.failed", "policy.x"]),
    time=st.sampled_from([NOW, NOW - timedelta(days=31), NOW - timedelta(hours=20)]),
    arrival=st.just(NOW),
    scope=st.builds(
        Scope,
        team_id=st.sampled_from([None, "a", "b"]),
        user_id=st.sampled_from([None, "a"]),
        tags=st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
    ),
    request_model=st.sampled_from([None, "a", "b"]),
    response_model=st.sampled_from([None, "a", "b"]),
    cost=amounts,
    currency=st.sampled_from(["USD", "USD", "EUR"]),
)
watched = st.builds(
    budget,
    number=st.integers(1, 10**6),
    scope_type=st.sampled_from(
        [ScopeType.TEAM, ScopeType.USER, ScopeType.TAG, ScopeType.MODEL]
    ),
    scope_id=st.sampled_from(["a", "b"]),
    currency=st.sampled_from(["USD", "EUR"]),
    period=st.sampled_from(
        [Calendar(Unit.MONTH, "UTC"), Calendar(Unit.DAY, "Asia/Kathmandu")]
    ),
) | st.builds(
    budget,
    number=st.integers(1, 10**6),
    scope_type=st.just(ScopeType.TENANT),
    scope_id=st.just(""),
)


def is_about(signal, found):
    match found.scope_type:
        case ScopeType.TEAM:
            return signal.scope.team_id == found.scope_id
        case ScopeType.USER:
            return signal.scope.user_id == found.scope_id
        case ScopeType.TAG:
            return found.scope_id in signal.scope.tags
        case ScopeType.MODEL:
            return found.scope_id in (signal.request_model, signal.response_model)
    return True


@given(
    given_=st.lists(signals, max_size=12),
    every=st.lists(watched, max_size=6, unique_by=lambda each: each.id),
)
def test_charges_are_what_adding_up_by_hand_gives(given_, every):
    expected = {}
    for found in every:
        for signal in given_:
            if not is_about(signal, found) or signal.type == "policy.x":
                continue
            key = found.id, found.period.bounds(signal.time).start
            sums = expected.setdefault(key, [Fraction(0), 0, 0])
            sums[1] += 1
            if signal.currency == found.currency:
                sums[0] += Fraction(signal.cost)
            elif signal.cost:
                sums[2] += 1
    charged = TenantBudgets(every).charge(given_, Counter())
    assert {
        (each.budget.id, each.bounds.start): [
            Fraction(each.charge.spent),
            each.charge.requests,
            each.charge.unpriced,
        ]
        for each in charged
    } == expected


@pytest.mark.parametrize(
    "limit", ["0", "-1", "NaN", "Infinity", "1e16", "1e-13", "0.0000000000001"]
)
def test_a_limit_is_a_sum_of_money(limit):
    with pytest.raises(InvalidInput):
        budgets.check_limit(Decimal(limit))


def test_limits_and_thresholds_are_shown_as_people_write_them():
    assert str(budgets.check_limit(Decimal("100.00"))) == "100"
    assert str(budgets.check_limit(Decimal("1e3"))) == "1000"
    assert str(budgets.check_limit(Decimal("0.50"))) == "0.5"
    found = budgets.check_thresholds([Decimal(95), Decimal("80.0"), Decimal(80)])
    assert [str(each) for each in found] == ["80", "95"]
    for bad in (["0"], ["1001"], ["NaN"], ["33.333"], ["1"] * 21):
        with pytest.raises(InvalidInput):
            budgets.check_thresholds([Decimal(each) for each in bad])
