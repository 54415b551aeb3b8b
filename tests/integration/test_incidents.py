"""Incidents on real tables: opened once, resolved once, whatever happens between.

Time is a parameter: signals carry theirs, and an evaluation is told when it is.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from ascwebhooks.domain.incidents import NoData
from ascwebhooks.domain.rules import RuleKind
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.incidents import Incidents
from tests.integration.traffic import failed, signal, told, types

TENANT = "acme"
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
HIGH, RESOLVED = "provider.error_rate_high", "provider.error_rate_resolved"


@pytest.fixture
def then():
    """A while ago, at the beginning of a minute: signals may not be from the future."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - 50 * MINUTE


@pytest.fixture
def pipeline(make_pipeline):
    """Services with one tenant that has the rules a test gives it, and no others."""
    made = make_pipeline(default_rules=False)
    made.services.tenants.create(TENANT)
    return made


@pytest.fixture
def rule(pipeline):
    """Creates a rule: by default one of error rates that takes ten requests."""

    def rule(kind=RuleKind.ERROR_RATE, **given):
        if kind is RuleKind.ERROR_RATE:
            given = {"min_requests": 10, "window_s": 60, "threshold": 0.5, **given}
        return pipeline.services.rules.create(TENANT, name="one", kind=kind, **given)

    return rule


@pytest.fixture
def evaluate(pipeline):
    return pipeline.services.incidents.evaluate


def outage(pipeline, at, count=10):
    pipeline.accept(*[failed(at) for _ in range(count)])


def calm(pipeline, at, count=10):
    pipeline.accept(*[signal(at) for _ in range(count)])


def test_an_incident_opens_once_and_resolves_once_under_one_id(
    pipeline, rule, evaluate, then
):
    rule()
    outage(pipeline, then, 9)
    assert evaluate(then) == 0, "too few"
    outage(pipeline, then + 5 * SECOND, 1)
    for seconds in range(5, 60, 5):
        evaluate(then + seconds * SECOND)
    calm(pipeline, then + 3 * MINUTE)
    for seconds in range(180, 240, 5):
        evaluate(then + seconds * SECOND)

    (opened, first), (resolved, second) = told(pipeline)
    assert (opened, resolved) == (HIGH, RESOLVED)
    assert first["incident_id"] == second["incident_id"]
    assert (first["total"], first["errors"], first["error_rate"]) == (10, 10, 1.0)
    assert (first["provider"], first["model"]) == ("openai", "gpt-4o")
    assert first["by_status"] == {"500": 10}
    assert second["reason"] == "recovered"
    assert second["duration_s"] == 175
    assert second["error_rate"] == 0


def test_it_opens_at_the_first_evaluation_after_the_condition_holds(
    pipeline, rule, evaluate, then
):
    """Beat asks each five seconds, so it is told within ten."""
    rule()
    outage(pipeline, then)
    evaluate(then + 5 * SECOND)
    (incident,) = pipeline.services.incidents.page(TENANT, after=None, limit=9)
    assert incident.opened_at - then == 5 * SECOND


def test_the_condition_has_to_hold_as_long_as_the_rule_says(
    pipeline, rule, evaluate, then
):
    rule(for_s=30)
    outage(pipeline, then)
    evaluate(then)
    evaluate(then + 29 * SECOND)
    assert types(pipeline) == []
    evaluate(then + 30 * SECOND)
    assert types(pipeline) == [HIGH]


def test_what_stops_before_it_held_long_enough_leaves_nothing(
    pipeline, rule, evaluate, then
):
    rule(for_s=90)
    outage(pipeline, then)
    evaluate(then)
    calm(pipeline, then + 50 * SECOND, 30)
    evaluate(then + 55 * SECOND)
    assert pipeline.one("SELECT count(*) FROM incident") == 0
    assert types(pipeline) == []


def test_an_open_incident_is_told_again_after_each_interval(
    pipeline, rule, evaluate, then
):
    rule(repeat_s=60, no_data="keep")
    outage(pipeline, then)
    for seconds in range(0, 200, 5):
        evaluate(then + seconds * SECOND)
    assert types(pipeline) == [HIGH] * 4
    assert [data["repeat"] for _, data in told(pipeline)] == [0, 1, 2, 3]
    assert len({data["incident_id"] for _, data in told(pipeline)}) == 1


def test_a_restart_neither_repeats_nor_forgets(
    pipeline, rule, evaluate, then, make_pipeline
):
    rule()
    outage(pipeline, then)
    evaluate(then)
    again = make_pipeline(default_rules=False)
    again.redis.flushdb()
    again.services.incidents.evaluate(then + 5 * SECOND)
    assert types(pipeline) == [HIGH]
    calm(again, then + 5 * MINUTE)
    again.services.incidents.evaluate(then + 5 * MINUTE)
    assert types(pipeline) == [HIGH, RESOLVED]


class Killed(Exception):
    """What stands for the end of a process."""


def dying(pipeline, moment):
    """Return incidents whose process ends just before or after a commit."""

    def uow():
        made = pipeline.uow()
        commit = made.commit

        def end():
            if moment == "before":
                raise Killed
            commit()
            raise Killed

        made.commit = end
        return made

    deriving = Deriving(pipeline.writing(), ring=lambda _: None)
    return Incidents(uow, deriving.derive, os.urandom, defaults=False)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_a_commit_it_is_told_once_all_the_same(
    pipeline, rule, evaluate, then, moment
):
    rule()
    outage(pipeline, then)
    with pytest.raises(Killed):
        dying(pipeline, moment).evaluate(then)
    told_then = pipeline.one("SELECT count(*) FROM event")
    open_then = pipeline.one("SELECT count(*) FROM incident")
    assert told_then == open_then == (moment == "after")
    evaluate(then + 5 * SECOND)
    assert types(pipeline) == [HIGH]

    calm(pipeline, then + 5 * MINUTE)
    with pytest.raises(Killed):
        dying(pipeline, moment).evaluate(then + 5 * MINUTE)
    evaluate(then + 5 * MINUTE + 5 * SECOND)
    assert types(pipeline) == [HIGH, RESOLVED]


def test_whoever_finds_a_tenant_locked_leaves_it_to_the_other(
    pipeline, rule, evaluate, then
):
    rule()
    outage(pipeline, then)
    with pipeline.uow() as other:
        assert other.incidents.may_evaluate(TENANT)
        assert evaluate(then) == 0
    assert types(pipeline) == []
    evaluate(then)
    assert types(pipeline) == [HIGH]


def test_many_evaluations_at_once_tell_it_once(pipeline, rule, then):
    rule(repeat_s=60)
    outage(pipeline, then)
    barrier = Barrier(4)

    def run(_):
        barrier.wait(10)
        for seconds in range(0, 20, 5):
            pipeline.services.incidents.evaluate(then + seconds * SECOND)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert types(pipeline) == [HIGH]


def test_old_signals_open_nothing_and_count_as_usage(pipeline, rule, evaluate):
    now = datetime.now(UTC)
    rule()
    rule(RuleKind.FALLBACK)
    rule(RuleKind.APPROVED_MODELS, allowed=["nothing"])
    old = [
        failed(now - timedelta(days=3, seconds=n), fallback_from="gpt-4o")
        for n in range(200)
    ]
    old += [signal(now - timedelta(days=3)) for _ in range(5)]
    pipeline.accept(*old)
    evaluate(now)
    assert types(pipeline) == []
    assert pipeline.one("SELECT sum(failed) FROM usage") == 200


def test_signals_out_of_order_and_late_count_where_they_belong(
    pipeline, rule, evaluate, then
):
    rule(window_s=300)
    for minutes in (3, 0, 2, 1, 0):
        outage(pipeline, then + minutes * MINUTE, 2)
    evaluate(then + 3 * MINUTE)
    assert types(pipeline) == [HIGH]
    assert told(pipeline)[0][1]["total"] == 10


def test_the_same_signal_twice_counts_once(pipeline, rule, evaluate, then):
    rule()
    one = failed(then)
    pipeline.accept(*[one] * 10)
    pipeline.accept(one)
    evaluate(then)
    assert types(pipeline) == []
    assert pipeline.one("SELECT sum(failed) FROM usage") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rules, one: rules.delete(TENANT, one.id), "rule_deleted"),
        (
            lambda rules, one: rules.change(TENANT, one.id, {"enabled": False}),
            "rule_disabled",
        ),
        (
            lambda rules, one: rules.change(TENANT, one.id, {"min_requests": 99}),
            "rule_changed",
        ),
    ],
)
def test_a_rule_that_changes_while_it_fires_resolves_and_says_why(
    pipeline, rule, then, change, reason
):
    made = rule()
    outage(pipeline, then)
    pipeline.services.incidents.evaluate(then)
    change(pipeline.services.rules, made)
    pipeline.services.incidents.evaluate(then + 5 * SECOND)
    pipeline.services.incidents.evaluate(then + 10 * SECOND)
    assert types(pipeline) == [HIGH, RESOLVED]
    assert told(pipeline)[1][1]["reason"] == reason


def test_a_new_name_leaves_an_open_incident_as_it_is(pipeline, rule, evaluate, then):
    made = rule()
    outage(pipeline, then)
    evaluate(then)
    pipeline.services.rules.change(TENANT, made.id, {"name": "another"})
    evaluate(then + 5 * SECOND)
    assert types(pipeline) == [HIGH]


def test_an_outage_and_a_slow_model_are_told_as_such(pipeline, rule, evaluate, then):
    rule(RuleKind.OUTAGE, group_by=["model", "region"], no_data=NoData.KEEP)
    rule(RuleKind.LATENCY, threshold=2_000, min_requests=5, window_s=60)
    rule(
        RuleKind.LATENCY,
        measure="time_to_first_token",
        threshold=1_000,
        min_requests=5,
        window_s=60,
    )
    slow = {"duration_ms": 9_000, "gen_ai.response.time_to_first_chunk": 4.2}
    pipeline.accept(*[failed(then, region="eu") for _ in range(10)])
    pipeline.accept(*[signal(then, model="slow", **slow) for _ in range(5)])
    evaluate(then)
    pipeline.accept(*[signal(then + 3 * MINUTE, region="eu") for _ in range(10)])
    pipeline.accept(*[signal(then + 3 * MINUTE, model="slow") for _ in range(5)])
    evaluate(then + 3 * MINUTE)

    first, second = types(pipeline)[:3], types(pipeline)[3:]
    assert sorted(first) == ["latency.slo_breached"] * 2 + ["provider.outage_started"]
    assert sorted(second) == ["latency.slo_resolved"] * 2 + ["provider.outage_resolved"]
    by_measure = {
        data["measure"]: data for _, data in told(pipeline) if "measure" in data
    }
    assert by_measure.keys() == {"duration", "time_to_first_token"}
    (started,) = [data for type, data in told(pipeline) if type.endswith("started")]
    assert (started["region"], started["model"]) == ("eu", "gpt-4o")


def test_refusals_for_the_rate_are_told_once_while_they_last(
    pipeline, rule, evaluate, then
):
    rule(RuleKind.RATE_LIMIT, threshold=5)
    pipeline.accept(*[failed(then, 429) for _ in range(5)])
    for seconds in range(0, 40, 5):
        evaluate(then + seconds * SECOND)
    evaluate(then + 10 * MINUTE)
    assert types(pipeline) == ["rate_limit.exceeded"]
    assert told(pipeline)[0][1]["errors"] == 5
    (incident,) = pipeline.services.incidents.page(TENANT, after=None, limit=9)
    assert (incident.phase, incident.ended) == ("resolved", "recovered")


def test_of_a_tenant_that_is_gone_nothing_stays_open(pipeline, rule, evaluate, then):
    rule()
    outage(pipeline, then)
    evaluate(then)
    pipeline.services.tenants.delete(TENANT)
    assert evaluate(then + 5 * SECOND) == 0
    assert pipeline.one("SELECT count(*) FROM incident") == 0


def test_names_that_no_attribute_can_hold_are_told_all_the_same(
    pipeline, rule, evaluate, then
):
    rule(group_by=["provider", "model", "region", "deployment"])
    names = {
        "provider": "a\nb\x07",
        "model": "m" * 300,
        "region": "r" * 300,
        "deployment_id": "d" * 300,
    }
    pipeline.accept(*[failed(then, **names) for _ in range(10)])
    evaluate(then)
    ((type, data),) = told(pipeline)
    assert (type, data["provider"]) == (HIGH, names["provider"])
    row = pipeline.one("SELECT id FROM event WHERE source LIKE '/asc%'")
    subject = pipeline.services.events.get(TENANT, row).kept.subject
    assert subject.isprintable()
    assert len(subject) <= 512


def test_one_tenants_failures_are_not_anothers(pipeline, rule, evaluate, then):
    rule()
    pipeline.services.tenants.create("other")
    pipeline.accept(*[failed(then, tenantid="other") for _ in range(20)])
    calm(pipeline, then)
    evaluate(then)
    assert pipeline.one("SELECT count(*) FROM incident") == 0
