"""What signals come to: exact, adding up, and bounded whatever the names."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import events, signals, usage, violations
from ascwebhooks.domain.timelines import Used
from ascwebhooks.domain.usage import OTHER, Tally, bounded, quantile_ms, tallies

NOW = datetime(2026, 11, 25, 13, 37, 41, tzinfo=UTC)


def signal(type="request.completed", at=NOW, **data):
    raw = json.dumps(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/g",
            "type": type,
            "tenantid": data.pop("tenant", "acme"),
            "time": at.isoformat(),
            "data": data,
        }
    )
    return signals.read(events.parse(raw.encode()), NOW)


def completed(model="gpt-4o", amount="0.1", currency="USD", **data):
    cost = {"amount": amount, "currency": currency}
    return signal(**{"gen_ai.response.model": model, "cost": cost, **data})


types = st.sampled_from(
    [
        "request.completed",
        "request.failed",
        "request.blocked",
        "policy.violation_blocked",
    ]
)
some = st.builds(
    lambda type, model, at, cents, status: signal(
        type,
        NOW - timedelta(seconds=at),
        **{"gen_ai.request.model": model, "http_status": status},
        cost={"amount": f"0.{cents:02}", "currency": "USD"},
    ),
    types,
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 300),
    st.integers(0, 99),
    st.sampled_from([None, 400, 429, 500, 418]),
)


@given(st.lists(some, max_size=30))
def test_every_signal_counts_once_and_money_is_exact(given):
    found = list(tallies(given).values())
    whole = Tally()
    for each in found:
        whole.add(each)
    kinds = Counter(each.type for each in given)

    assert whole.of("completed") == kinds["request.completed"]
    assert (
        whole.of("failed") == kinds["request.failed"] == sum(whole.by_status.values())
    )
    assert whole.of("blocked") == kinds["request.blocked"]
    assert whole.of("denials") == kinds["policy.violation_blocked"]
    assert whole.spend == sum((each.cost for each in given), Decimal(0))


def test_no_digit_of_money_is_lost():
    """Whatever a currency's small change is: 28 digits are not enough for all."""
    whole = Tally()
    for amount in ("123456789012345.6", "0.0000000000000000000123"):
        for each in tallies([completed(amount=amount)]).values():
            whole.add(each)
    assert whole.spend == Decimal("123456789012345.6000000000000000000123")
    used = Used()
    used.add("USD", whole)
    used.add("USD", whole)
    assert used.spend == {"USD": Decimal("246913578024691.2000000000000000000246")}


@given(st.lists(some, max_size=30), st.lists(some, max_size=30))
def test_tallies_of_parts_add_up_to_those_of_the_whole(first, second):
    parts = tallies(first)
    for key, tally in tallies(second).items():
        parts.setdefault(key, Tally()).add(tally)
    assert parts == tallies([*first, *second])


def test_a_callers_mistake_is_no_fault_of_the_providers():
    given = [
        signal("request.failed", http_status=each) for each in (400, 404, 413, 422)
    ]
    given += [signal("request.failed", http_status=each) for each in (429, 500, None)]
    (tally,) = tallies(given).values()
    assert (tally.answered, tally.faults) == (7, 3)
    assert tally.by_status["none"] == 1


def test_many_names_end_up_as_other_and_none_of_the_money_is_lost():
    many = tallies([completed(f"model-{n}") for n in range(1_000)])
    made = bounded(many, {})
    assert len(made) == usage.MOST_KEYS + 1
    assert sum(each.spend for each in made.values()) == Decimal("100.0")
    assert sum(each.of("completed") for each in made.values()) == 1_000


def test_names_without_success_do_not_push_out_those_that_work():
    hostile = [
        signal("request.failed", **{"gen_ai.request.model": f"no-{n}"})
        for n in range(5_000)
    ]
    known = {("acme", NOW.replace(second=0)): set(bounded(tallies(hostile), {}))}
    made = bounded(tallies([completed("gpt-4o")]), known)
    assert [key.model for key in made] == ["gpt-4o"]


def test_what_is_known_in_a_minute_counts_towards_its_room():
    first = bounded(tallies([completed(f"m{n}") for n in range(200)]), {})
    known = {("acme", NOW.replace(second=0)): set(first)}
    again = bounded(tallies([completed("m1"), completed("new")]), known)
    assert sorted(key.model for key in again) == ["m1", OTHER]


def test_many_currencies_are_bounded_too():
    names = [f"{a}{b}X" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMN"]
    made = bounded(tallies([completed(currency=each) for each in names]), {})
    assert len(made) <= usage.MOST_KEYS + usage.MOST_CURRENCIES + 1
    assert sum(each.of("completed") for each in made.values()) == len(names)


@given(st.lists(st.integers(1, 59_999), min_size=1, max_size=200))
def test_a_quantile_lies_in_the_bucket_of_the_one_it_is_about(times):
    given = [completed(duration_ms=each) for each in times]
    (tally,) = tallies(given).values()
    exact = sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]
    found = quantile_ms(tally.durations, 0.95)
    bounds = (0, *usage.BOUNDS_MS)
    low = max(each for each in bounds if each < exact)
    high = min(each for each in bounds if each >= exact)
    assert low <= found <= high


@pytest.mark.parametrize(
    ("data", "counted"),
    [({}, 1), ({"gen_ai.response.time_to_first_chunk": 0.2}, 1)],
)
def test_only_what_was_streamed_has_a_first_token(data, counted):
    (tally,) = tallies([completed(**data)]).values()
    assert sum(tally.first_tokens) == (counted if data else 0)


def test_violations_are_counted_by_policy_and_team():
    given = [
        signal("policy.violation_blocked", policy_id="pii", scope={"team_id": "a"})
        for _ in range(3)
    ]
    given += [signal("policy.spike_started", policy_id="pii"), completed()]
    (count,) = violations.counts(given).values()
    assert count == 3


def test_violations_of_many_policies_are_bounded():
    given = [signal("policy.violation_flagged", policy_id=f"p{n}") for n in range(999)]
    made = violations.bounded(violations.counts(given), {})
    assert len(made) == violations.MOST_KEYS + 1
    assert sum(made.values()) == 999
