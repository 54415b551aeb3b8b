"""Holding events against the catalogue: what is refused, and what is said of it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import budget_events, event_schemas, incident_examples
from ascwebhooks.domain.budget_events import Standing
from ascwebhooks.domain.budget_periods import Bounds, Calendar, Rolling, Unit
from ascwebhooks.domain.budgets import (
    Basis,
    Budget,
    Enforcement,
    Projection,
    ScopeType,
)
from ascwebhooks.domain.evaluations import Decision
from ascwebhooks.domain.event_schemas import SCHEMA_MISMATCH, UNKNOWN_TYPE
from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.domain.events import Rejected
from ascwebhooks.domain.incident_events import TYPES, incident_event
from ascwebhooks.domain.incidents import Ended, Phase, Step, Tell, resolve
from ascwebhooks.domain.incidents import Standing as Incident
from ascwebhooks.domain.measures import Seen, Windows, subject_key
from ascwebhooks.domain.noticing import notice
from ascwebhooks.domain.rules import (
    OF_SIGNALS,
    USAGE_GROUPS,
    Measure,
    Rule,
    RuleKind,
    Severity,
    complete,
)
from ascwebhooks.domain.signals import Scope, Signal
from ascwebhooks.domain.usage import Tally, tallies
from ascwebhooks.domain.violations import counts
from tests.unit.test_event_types import SAMPLES, checked

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
#: What no detail may hold, as a value or as a name.
SECRET = "ana@example.org"
MONTH = timedelta(days=30)
MODEL = 'data["gen_ai.request.model"]'


def refusal(event_type: str, data: object) -> Rejected | None:
    """Return why an event is refused; ``data`` may be JSON already."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    try:
        event_schemas.check(event_type, raw)
    except Rejected as verdict:
        return verdict
    return None


def fits(event) -> bool:
    """Return whether an event keeps to its schema, by both validators."""
    data = json.loads(event.data)
    checked(CATALOGUE[event.type]).validate(data)
    event_schemas.check(event.type, event.data)
    return True


# What is taken


@pytest.mark.parametrize("found", CATALOGUE.values(), ids=CATALOGUE)
def test_every_example_is_taken(found):
    assert refusal(found.type, found.example) is None


def test_every_recorded_event_is_taken():
    for line in SAMPLES.read_text().splitlines():
        event = json.loads(line)
        assert refusal(event["type"], event["data"]) is None


def test_what_the_schema_does_not_name_is_nobodys_business():
    """Schemas grow: a gateway may be ahead of us."""
    assert refusal("request.completed", {"request_id": "r", "new": {"a": [1]}}) is None
    data = b'{"request_id": "r", "new": 1e999, "other": 1' + b"0" * 400 + b"}"
    assert refusal("request.completed", data) is None


# What is refused, and what is said of it


REFUSED = {
    "no data": ("request.completed", None, "data must be of type object."),
    "a list": ("request.completed", [{}], "data must be of type object."),
    "nothing": ("request.completed", {}, "data.request_id is missing."),
    "neither": (
        "rate_limit.exceeded",
        {},
        "data must have incident_id or request_id.",
    ),
    "within": (
        "request.completed",
        {"request_id": "r", "cost": {"amount": "1"}},
        "data.cost.currency is missing.",
    ),
    "a name with a dot": (
        "request.completed",
        {"request_id": "r", "gen_ai.request.model": 5},
        f"{MODEL} must be of type string.",
    ),
    "in a list": (
        "request.completed",
        {"request_id": "r", "scope": {"tags": ["a", None]}},
        "data.scope.tags[1] must be of type string.",
    ),
    "of two types": (
        "request.completed",
        {"request_id": "r", "route": 5},
        "data.route must be of type string or null.",
    ),
    "too small": (
        "request.completed",
        {"request_id": "r", "attempt": 0},
        "data.attempt must be at least 1.",
    ),
    "too large": (
        "request.completed",
        {"request_id": "r", "http_status": 1000},
        "data.http_status must be at most 999.",
    ),
    "beyond any number": (
        "request.completed",
        b'{"request_id": "r", "duration_ms": 1e999}',
        "data.duration_ms must be of type number.",
    ),
    "a currency": (
        "request.completed",
        {"request_id": "r", "cost": {"amount": "1", "currency": "usd"}},
        "data.cost.currency must match ^[A-Z]{3}$.",
    ),
    "no such day": (
        "key.expiring",
        {"key_id": "k", "expires_at": "2026-02-30T00:00:00Z"},
        "data.expires_at must be a date-time of RFC 3339.",
    ),
    "a time without a zone": (
        "key.expiring",
        {"key_id": "k", "expires_at": "2026-02-20T00:00:00"},
        "data.expires_at must be a date-time of RFC 3339.",
    ),
    "a name that is a value": (
        "policy.content_redacted",
        {"policy_id": "p", "redactions": {SECRET: "twice"}},
        "data.redactions.* must be of type integer.",
    ),
    "several": (
        "request.failed",
        {"attempt": 0, "region": 1},
        "data.request_id is missing; data.attempt must be at least 1;"
        " data.region must be of type string or null.",
    ),
    "many": (
        "request.failed",
        {name: [] for name in CATALOGUE["request.failed"].schema["properties"]},
        "data.request_id must be of type string; data.scope must be of type object;"
        " data.trace_id must be of type string;"
        " data.route must be of type string or null;"
        ' data["gen_ai.operation.name"] must be of type string; and more.',
    ),
}


@pytest.mark.parametrize(
    ("event_type", "data", "detail"), REFUSED.values(), ids=REFUSED
)
def test_what_is_refused_is_told_by_its_place(event_type, data, detail):
    found = refusal(event_type, data)
    assert found is not None
    assert (found.code, found.detail) == (SCHEMA_MISMATCH, detail)


@pytest.mark.parametrize("name", ["a.b", "Request.completed", "request", "*", SECRET])
def test_a_type_that_is_not_the_catalogues_is_refused_whatever_it_holds(name):
    found = refusal(name, {"request_id": "r"})
    assert found is not None
    assert found.code == UNKNOWN_TYPE
    assert name not in found.detail.replace("*", "")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(SECRET),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.just(SECRET) | st.sampled_from("ab"), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def spoiled(draw):
    """An example of the catalogue in which something is replaced or gone."""
    found = CATALOGUE[draw(st.sampled_from(sorted(CATALOGUE)))]
    data = copy.deepcopy(found.example)
    inner = data
    name = draw(st.sampled_from(sorted(inner)))
    if isinstance(inner[name], dict) and inner[name] and draw(st.booleans()):
        inner = inner[name]
        name = draw(st.sampled_from([*sorted(inner), SECRET]))
    if name in inner and draw(st.booleans()):
        del inner[name]
    else:
        inner[name] = draw(anything)
    return found, data


@given(spoiled())
def test_another_validator_says_the_same_and_nothing_of_the_event_is_told(given_):
    """So that who validates on their own, as receivers may, finds what we find."""
    found, data = given_
    verdict = refusal(found.type, data)
    assert (verdict is None) == checked(found).is_valid(data)
    if verdict is not None:
        assert SECRET not in verdict.detail
        assert verdict.detail.startswith("data")


def test_a_long_list_of_errors_takes_no_longer_than_one():
    """A publisher must not be able to keep a worker busy for seconds."""
    data = {"request_id": "r", "scope": {"tags": [1] * 100_000}}
    began = datetime.now(UTC)
    found = refusal("request.completed", data)
    assert datetime.now(UTC) - began < timedelta(seconds=1)
    assert found is not None
    assert found.detail == "data.scope.tags[0] must be of type string."


# What this service derives always fits


names = st.text(max_size=12) | st.sampled_from(["", "openai", "\U0001f600", "a" * 300])
amounts = st.decimals(
    Decimal("-1e30"), Decimal("1e30"), allow_nan=False, allow_infinity=False, places=9
)
moments = st.datetimes(
    datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)
)
budgets = st.builds(
    Budget,
    tenant_id=st.just("acme"),
    id=st.just(UUID(int=7)),
    name=names,
    scope_type=st.sampled_from(ScopeType),
    scope_id=names,
    limit=st.decimals(Decimal("1e-9"), Decimal("1e30"), places=9).filter(bool),
    currency=st.just("USD"),
    period=st.sampled_from([Calendar(Unit.MONTH, "UTC"), Rolling(timedelta(days=3))]),
    thresholds=st.just((Decimal(80),)),
    forecast=st.booleans(),
    enforcement=st.sampled_from(Enforcement),
    parents=st.sampled_from([(), (UUID(int=8), UUID(int=9))]),
)
lines = st.lists(
    st.decimals(Decimal("0.01"), Decimal(1000), places=2), min_size=1, max_size=3
).map(sorted)


standings = st.builds(
    lambda budget, at, *sums: Standing(budget, Bounds(at, at + MONTH), *sums),
    budgets,
    moments,
    amounts,
    amounts,
)
causes = st.fixed_dictionaries(
    {
        "basis": st.sampled_from(Basis),
        "lines": lines,
        "times": st.integers(1, 3),
        "now": moments,
        "armed_at": moments,
    }
)


@given(
    standing=standings,
    cause=causes,
    request_id=st.none() | names,
    projection=st.builds(Projection, amounts, st.none() | moments),
)
def test_what_is_told_of_budgets_always_fits(standing, cause, request_id, projection):
    limit, now = standing.budget.limit, cause["now"]
    told = [
        budget_events.crossing(standing, **cause, request_id=request_id),
        budget_events.crossing(standing, **cause, projection=projection),
        budget_events.recovery(standing, **cause),
        budget_events.reset(standing, previous=standing.before, now=now),
        budget_events.change(
            standing, version=1, fields=["limit"], previous_limit=limit, now=now
        ),
    ]
    assert all(fits(each) for each in told)


signals = st.builds(
    Signal,
    tenant_id=st.just("acme"),
    type=st.sampled_from(["request.completed", "request.failed"]),
    time=st.just(AT),
    arrival=st.just(AT),
    scope=st.builds(Scope, team_id=st.none() | names, key_id=st.none() | names),
    request_id=st.none() | names,
    provider=st.none() | names,
    response_model=st.none() | names.filter(bool),
    deployment_id=st.none() | names,
    region=st.none() | names.filter(bool),
    duration_ms=st.none() | st.floats(0, 1e300),
    first_token_s=st.none() | st.floats(0, 1e300),
    http_status=st.none() | st.integers(100, 999),
    error_type=st.none() | names,
    fallback_from=st.none() | names.filter(bool),
)
violations = st.builds(
    Signal,
    tenant_id=st.just("acme"),
    type=st.just("policy.violation_blocked"),
    time=st.just(AT),
    arrival=st.just(AT),
    scope=st.builds(Scope, team_id=st.none() | names),
    policy_id=st.none() | names,
)
MORE = {
    RuleKind.APPROVED_MODELS: {"allowed": ["none"]},
    RuleKind.ALLOWED_REGIONS: {"allowed": ["none"]},
}


def measured(rule, traffic):
    """Return what rules find in traffic: what it is about, and facts."""
    if rule.kind in OF_SIGNALS:
        found = [each for one in traffic for each in notice([rule], one)]
        return [(each.subject, each.facts) for each in found]
    usage: dict = {}
    for key, tally in tallies(traffic).items():
        usage.setdefault(key.at, {}).setdefault(key.names, Tally()).add(tally)
    found = Windows(Seen(usage, counts(traffic)), AT).measured(rule).values()
    return [(each.subject, each.facts) for each in found]


@pytest.mark.parametrize("kind", RuleKind)
@given(
    traffic=st.lists(signals | violations, min_size=1, max_size=4),
    grouped=st.booleans(),
    first=st.booleans(),
)
def test_what_is_told_of_incidents_always_fits(kind, traffic, grouped, first):
    """Opened, repeated, and resolved by recovering and by falling silent."""
    spec = dict(MORE.get(kind, {}))
    if grouped and kind in set(RuleKind) - OF_SIGNALS - {RuleKind.POLICY_SPIKE}:
        spec["group_by"] = USAGE_GROUPS
    if first and kind is RuleKind.LATENCY:
        spec["measure"] = Measure.TIME_TO_FIRST_TOKEN
    rule = Rule(UUID(int=1), "r", kind, complete(kind, spec), Severity.WARNING)
    opened = Incident(Phase.OPEN, AT, AT, AT, AT)
    steps = [
        Step(opened, Tell.OPENED),
        Step(opened, Tell.REPEATED),
        *(resolve(opened, each, AT + timedelta(minutes=5)) for each in Ended),
    ]
    for subject, facts in measured(rule, traffic):
        for step in steps:
            decision = Decision(None, rule, subject, subject_key(subject), facts, step)
            event = incident_event("acme", UUID(int=2), decision)
            if event is not None:
                assert fits(event)


def test_there_is_an_example_of_all_that_is_told_of_incidents():
    """Made by what tells it: the test before this one has each type to look at."""
    told = {each for both in TYPES.values() for each in both if each is not None}
    assert set(incident_examples.EXAMPLES) == told
