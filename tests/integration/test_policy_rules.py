"""What single signals show to rules: told at once, once, and not once a request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from ascwebhooks.domain.rules import MAX_INCIDENTS, RuleKind
from tests.integration.traffic import failed, signal, told, types
from tests.waiting import wait_until

TENANT = "acme"
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def pipeline(make_pipeline):
    """Services with one tenant that has the rules a test gives it, and no others."""
    # With connections for twenty threads at once.
    made = make_pipeline(default_rules=False, deliver_threads=24)
    made.services.tenants.create(TENANT)
    return made


@pytest.fixture
def rule(pipeline):
    def rule(kind, **given):
        return pipeline.services.rules.create(TENANT, name="one", kind=kind, **given)

    return rule


@pytest.fixture
def evaluate(pipeline):
    return pipeline.services.incidents.evaluate


def now():
    return datetime.now(UTC)


def incidents(pipeline):
    return pipeline.services.incidents.page(TENANT, after=None, limit=200)


def test_a_fallback_is_told_in_the_transaction_of_its_signal(pipeline, rule):
    rule(RuleKind.FALLBACK)
    endpoint_id = pipeline.endpoint(event_types=["route.*"])
    pipeline.accept(signal(model="claude", fallback_from="gpt-4o"))
    pipeline.accept(signal(model="claude", fallback_from="gpt-4o"))

    ((type, data),) = told(pipeline)
    assert type == "route.fallback_triggered"
    assert (data["from_model"], data["to_model"]) == ("gpt-4o", "claude")
    assert data["scope"]["team_id"] == "search"
    assert pipeline.one("SELECT endpoint_id FROM delivery") == endpoint_id


def test_twenty_at_once_tell_it_once(pipeline, rule):
    rule(RuleKind.FALLBACK)
    pipeline.accept(signal())  # makes the day's data key
    barrier = Barrier(20)
    # In rows of usage of their own, at which nobody waits for anybody.
    raws = [
        signal(model="claude", fallback_from="gpt-4o", region=f"r{n}")
        for n in range(20)
    ]

    def run(raw):
        barrier.wait(10)
        pipeline.accept(raw)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run, raws))
    assert types(pipeline) == ["route.fallback_triggered"]
    assert pipeline.one("SELECT sum(fallbacks) FROM usage") == 20


def test_whoever_waited_for_another_to_tell_tells_nothing_again(pipeline, rule):
    """What is decided without a lock is decided again behind it."""
    rule(RuleKind.FALLBACK, repeat_s=60)
    pipeline.accept(signal(model="claude", fallback_from="gpt-4o"))
    pipeline.do("UPDATE incident SET told_at = told_at - interval '61 s'")
    again = signal(model="claude", fallback_from="gpt-4o", region="eu")
    with ThreadPoolExecutor(1) as pool, pipeline.engine.connect() as other:
        other.execute(text("UPDATE incident SET told_at = now(), repeats = 1"))
        accepted = pool.submit(pipeline.accept, again)
        wait_until(pipeline.waiting_for_a_lock, 10, "it waits for the incident")
        other.commit()
        accepted.result(10)
    assert [data["repeat"] for _, data in told(pipeline)] == [0]


def test_it_is_told_again_only_after_its_interval_and_over_when_it_is_quiet(
    pipeline, rule, evaluate
):
    rule(RuleKind.FALLBACK, repeat_s=60, quiet_s=120)
    pipeline.accept(signal(model="claude", fallback_from="gpt-4o"))
    pipeline.do("UPDATE incident SET told_at = told_at - interval '61 s'")
    pipeline.accept(signal(model="claude", fallback_from="gpt-4o"))
    assert [data["repeat"] for _, data in told(pipeline)] == [0, 1]
    evaluate(now() + 100 * SECOND)
    assert incidents(pipeline)[0].phase == "open"
    evaluate(now() + 130 * SECOND)
    assert (incidents(pipeline)[0].phase, incidents(pipeline)[0].ended) == (
        "resolved",
        "quiet",
    )
    assert len(told(pipeline)) == 2, "nobody is told that nothing happened"


def test_a_fallback_that_fails_for_good_is_told_after_a_grace(pipeline, rule, evaluate):
    rule(RuleKind.FALLBACK_EXHAUSTED)
    pipeline.accept(failed(model="claude", fallback_from="gpt-4o"))
    evaluate(now() + 5 * SECOND)
    assert types(pipeline) == []
    evaluate(now() + 11 * SECOND)
    assert types(pipeline) == ["route.fallback_exhausted"]
    pipeline.accept(signal(model="mistral", fallback_from="gpt-4o"))
    assert incidents(pipeline)[0].phase == "open", "that was another request"
    evaluate(now() + 16 * MINUTE)
    assert incidents(pipeline)[0].ended == "quiet"


def test_a_fallback_that_is_answered_by_the_next_is_not_exhausted(
    pipeline, rule, evaluate
):
    rule(RuleKind.FALLBACK_EXHAUSTED)
    pipeline.accept(failed(model="claude", fallback_from="gpt-4o"))
    pipeline.accept(signal(model="mistral", fallback_from="gpt-4o"))
    evaluate(now() + 11 * SECOND)
    assert types(pipeline) == []


def fell(at, **data):
    return at(fallback_from="gpt-4o", **data)


def test_an_answer_to_one_request_says_nothing_of_another(pipeline, rule, evaluate):
    """While most fallbacks answer, one that none answered must not go unheard."""
    rule(RuleKind.FALLBACK_EXHAUSTED)
    pipeline.accept(fell(failed, trace_id="a"), fell(failed, trace_id="b"))
    pipeline.accept(fell(signal, trace_id="b"), fell(signal, trace_id="c"))
    pipeline.accept(fell(failed, trace_id="d"), fell(signal, trace_id="d"))
    evaluate(now() + 11 * SECOND)

    ((type, data),) = told(pipeline)
    assert type == "route.fallback_exhausted"
    first = pipeline.one("SELECT facts->>'request_id' FROM incident")
    assert data["request_id"] == first
    pipeline.accept(fell(signal, trace_id="e"), fell(failed, trace_id="f"))
    evaluate(now() + 30 * SECOND)
    assert len(told(pipeline)) == 1, "told once while it lasts"


def test_each_request_ends_its_own_waiting(pipeline, rule, evaluate):
    rule(RuleKind.FALLBACK_EXHAUSTED)
    for trace in ("a", "b"):
        pipeline.accept(fell(failed, trace_id=trace))
    for trace in ("b", "a"):
        assert pipeline.one("SELECT phase FROM incident") == "pending"
        pipeline.accept(fell(signal, trace_id=trace))
    assert pipeline.one("SELECT count(*) FROM incident") == 0
    evaluate(now() + 11 * SECOND)
    assert types(pipeline) == []


def test_requests_that_begin_to_wait_at_once_are_all_waited_for(pipeline, rule):
    """Who was not first to write the incident adds to it."""
    rule(RuleKind.FALLBACK_EXHAUSTED)
    pipeline.accept(signal())  # makes the day's data key
    barrier = Barrier(8)

    def run(number):
        raw = fell(failed, trace_id=f"t{number}", region=f"r{number}")
        barrier.wait(10)
        pipeline.accept(raw)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    waiting = pipeline.one("SELECT facts->'waiting' FROM incident")
    assert waiting.keys() == {f"t{n}" for n in range(8)}


def test_a_model_that_is_not_approved_is_told_once_for_all_its_requests(pipeline, rule):
    rule(RuleKind.APPROVED_MODELS, allowed=["gpt-4o*", "claude-*"])
    pipeline.accept(*[signal(model="openai/gpt-4o-mini") for _ in range(5)])
    pipeline.accept(*[signal(model="openai/o3", scope={"key_id": "k1"})])
    pipeline.accept(*[signal(model="openai/o3", scope={"key_id": "k2"})] * 3)

    ((type, data),) = told(pipeline)
    assert type == "model.access_denied"
    assert (data["model"], data["key_id"]) == ("openai/o3", "k1")


def test_a_region_that_is_not_allowed_is_told_once_for_each_region(pipeline, rule):
    """Where a tenant's endpoints may be served is another matter."""
    pipeline.services.tenants.change(TENANT, {"allowed_regions": ["default", "us-1"]})
    rule(RuleKind.ALLOWED_REGIONS, allowed=["eu-*"])
    for region in ("eu-west", "us-1", "us-1", "ap-1"):
        pipeline.accept(signal(region=region), signal(region=region))
    assert [data["requested_region"] for _, data in told(pipeline)] == ["us-1", "ap-1"]
    assert types(pipeline) == ["residency.violation_blocked"] * 2
    assert told(pipeline)[0][1]["allowed_regions"] == ["eu-*"]


@pytest.mark.parametrize(
    ("kind", "allowed", "used"),
    [
        (RuleKind.APPROVED_MODELS, "gpt-*", {"model": "o3"}),
        (RuleKind.ALLOWED_REGIONS, "eu-*", {"region": "us-1"}),
    ],
)
def test_what_one_team_does_hides_nothing_of_another(
    pipeline, rule, kind, allowed, used
):
    rule(kind, allowed=[allowed])
    for team in ("a", "b", "a", None):
        scope = {"team_id": team} if team else {}
        pipeline.accept(signal(**used, scope=scope), signal(**used, scope=scope))
    teams = [data["scope"].get("team_id") for _, data in told(pipeline)]
    assert teams == ["a", "b", None]
    assert [each.subject.get("team") for each in incidents(pipeline)] == [
        None,
        "b",
        "a",
    ]


def test_many_names_do_not_make_many_incidents(pipeline, rule):
    rule(RuleKind.APPROVED_MODELS, allowed=["gpt-*"])
    for part in range(3):
        pipeline.accept(*[signal(model=f"m-{part}-{n}") for n in range(60)])
    assert len(types(pipeline)) == MAX_INCIDENTS


def test_violations_pass_through_and_many_of_them_are_one_incident(
    pipeline, rule, evaluate
):
    rule(RuleKind.POLICY_SPIKE, threshold=5, window_s=60)
    pipeline.endpoint(event_types=["policy.*"])
    at = now() - 10 * MINUTE

    def violated(team):
        return signal(
            at,
            "policy.violation_blocked",
            policy_id="pii",
            severity="critical",
            scope={"team_id": team},
        )

    pipeline.accept(*[violated("a") for _ in range(6)], *[violated("b")] * 4)
    for seconds in range(0, 60, 5):
        evaluate(at + seconds * SECOND)
    evaluate(at + 5 * MINUTE)

    (_, data), (_, over) = told(pipeline)
    assert types(pipeline) == ["policy.spike_started", "policy.spike_resolved"]
    assert (data["policy_id"], data["scope"], data["total"]) == (
        "pii",
        {"team_id": "a"},
        6,
    )
    assert over["reason"] == "recovered"
    sent = pipeline.rows(
        "SELECT event_type, count(*) AS n FROM delivery GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(each) for each in sent] == [
        ("policy.spike_resolved", 1),
        ("policy.spike_started", 1),
        ("policy.violation_blocked", 7),
    ]


def test_what_is_told_is_kept_although_nobody_takes_it(pipeline, rule):
    """``model.access_denied`` of a gateway is a signal, and kept where it is taken."""
    rule(RuleKind.APPROVED_MODELS, allowed=["x"])
    pipeline.accept(signal(model="y"))
    (incident,) = incidents(pipeline)
    shown = pipeline.services.incidents.get(TENANT, incident.id)
    assert [each.type for each in shown.events] == ["model.access_denied"]


def test_a_change_of_a_rule_counts_from_the_next_signal_on(pipeline, rule):
    made = rule(RuleKind.APPROVED_MODELS, allowed=["gpt-4o"])
    pipeline.accept(signal(model="gpt-4o"))
    pipeline.services.rules.change(TENANT, made.id, {"allowed": ["claude"]})
    pipeline.accept(signal(model="gpt-4o"))
    assert types(pipeline) == ["model.access_denied"]
    pipeline.services.rules.delete(TENANT, made.id)
    pipeline.accept(signal(model="other"))
    assert types(pipeline) == ["model.access_denied"]


def test_what_holds_by_default_needs_no_configuration(make_pipeline):
    pipeline = make_pipeline()
    pipeline.services.tenants.create(TENANT)
    at = now()
    pipeline.accept(*[failed(at, fallback_from="gpt-4o") for _ in range(40)])
    pipeline.accept(*[failed(at, 429, model="b") for _ in range(10)])
    pipeline.services.incidents.evaluate(at + 20 * SECOND)
    assert sorted(types(pipeline)) == [
        "provider.error_rate_high",
        "provider.outage_started",
        "rate_limit.exceeded",
        "route.fallback_exhausted",
        "route.fallback_triggered",
    ]
