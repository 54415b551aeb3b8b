"""Signals: whatever a gateway sends is read, and no sum passes through a float."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import events
from ascwebhooks.domain.signals import CostProblem, Scope, is_signal, read

ARRIVAL = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAMPLES = files("ascwebhooks.embedded") / "sample_events.jsonl"


def signal(data, *, type="request.completed", **attributes):
    raw = {
        "specversion": "1.0",
        "id": "1",
        "source": "g",
        "type": type,
        "tenantid": "acme",
        **attributes,
    }
    text = data if isinstance(data, str) else json.dumps(data)
    whole = json.dumps(raw)[:-1] + ', "data": ' + text + "}"
    return read(events.parse(whole.encode()), ARRIVAL)


def cost_of(amount, currency='"USD"'):
    found = signal(f'{{"cost": {{"amount": {amount}, "currency": {currency}}}}}')
    assert (found.cost is None) == (found.cost_problem is not None)
    return found.cost_problem if found.cost is None else found.cost


def test_which_events_are_signals():
    yes = "request.completed request.failed request.blocked policy.x.y"
    yes += " residency.violation_blocked model.access_denied"
    no = "request.other budget.exceeded policy provider.outage_started request.done"
    assert [each for each in yes.split() if not is_signal(each)] == []
    assert [each for each in no.split() if is_signal(each)] == []


def test_every_recorded_event_is_read():
    total = Decimal(0)
    for line in SAMPLES.read_text().splitlines():
        event = events.parse(line.encode())
        found = read(event, ARRIVAL)
        data = json.loads(line)["data"]
        assert found.cost == Decimal(data["cost"]["amount"])
        assert found.cost_problem is None
        assert found.scope.team_id == data["scope"]["team_id"]
        assert found.scope.tags == tuple(data["scope"]["tags"])
        assert found.provider == data["gen_ai.provider.name"]
        assert found.model == data["gen_ai.response.model"]
        assert found.request_id == data["request_id"]
        assert found.time == event.time
        assert found.input_tokens == data["gen_ai.usage.input_tokens"]
        total += found.cost
    assert total > 0


@pytest.mark.parametrize(
    "text", ["0.1", "1e-7", "12345678901234567890.123456789", "-2"]
)
def test_an_amount_keeps_each_digit_as_number_and_as_text(text):
    assert cost_of(text) == cost_of(f'"{text}"') == Decimal(text)


@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        ("null", CostProblem.MISSING),
        ('""', CostProblem.NOT_A_NUMBER),
        ('"NaN"', CostProblem.NOT_A_NUMBER),
        ('"Infinity"', CostProblem.NOT_A_NUMBER),
        ('"1_000"', CostProblem.NOT_A_NUMBER),
        ('"٣"', CostProblem.NOT_A_NUMBER),
        ('" 1"', CostProblem.NOT_A_NUMBER),
        ("{}", CostProblem.NOT_A_NUMBER),
        ("true", CostProblem.NOT_A_NUMBER),
        ("1e400", CostProblem.OUT_OF_RANGE),
        ("1e999999999", CostProblem.OUT_OF_RANGE),
        ("1e-400", CostProblem.OUT_OF_RANGE),
        ("9" * 50, CostProblem.OUT_OF_RANGE),
    ],
)
def test_why_a_cost_is_not_known(amount, problem):
    assert cost_of(amount) == problem


def test_a_number_beyond_a_floats_range_elsewhere_spoils_nothing():
    found = signal(
        '{"duration_ms": 1e400, "gen_ai.usage.input_tokens": 1e400, "x": -1e999,'
        ' "cost": {"amount": 0.1, "currency": "USD"}, "scope": {"team_id": "t"}}'
    )
    assert (found.cost, found.scope.team_id) == (Decimal("0.1"), "t")
    assert (found.duration_ms, found.input_tokens) == (None, 0)


@pytest.mark.parametrize("data", ["null", "[]", "5", '"x"', "{}", '{"cost": 1e400}'])
def test_data_that_says_nothing_is_a_signal_all_the_same(data):
    found = signal(data)
    assert (found.scope, found.cost, found.request_id) == (Scope(), None, None)


def test_times():
    def at(text):
        return signal("{}", time=text).time - ARRIVAL

    assert signal("{}").time == ARRIVAL
    assert at("2026-11-23T12:04:59Z") == timedelta(minutes=4, seconds=59)
    assert at("2026-11-23T12:05:01Z") == timedelta(0), "its clock is wrong"
    assert at("2025-11-23T14:00:00+02:00") == -timedelta(days=365)
    assert at("0001-01-01T00:00:00Z") == timedelta(0), "a clock that was never set"


def test_time_to_a_first_token_means_something_for_what_completed():
    data = {"gen_ai.response.time_to_first_chunk": 0.2}
    assert signal(data).first_token_s == 0.2
    assert signal(data, type="request.failed").first_token_s is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "scope",
        "cost",
        "request_id",
        "gen_ai.provider.name",
        "gen_ai.usage.input_tokens",
        "duration_ms",
        "http_status",
        "categories",
    ]
)


@given(
    data=st.dictionaries(NAMES, JSON),
    scope=st.dictionaries(st.sampled_from(Scope._fields), JSON),
    amount=JSON,
    currency=JSON,
)
def test_nothing_is_ever_refused(data, scope, amount, currency):
    whole = {"scope": scope, "cost": {"amount": amount, "currency": currency}} | data
    try:
        event = json.dumps(whole, allow_nan=False)
        found = signal(event)
    except (ValueError, events.Rejected):
        return
    assert found.cost is None or found.cost.is_finite()
    assert all(each is None or isinstance(each, str | tuple) for each in found.scope)
