"""Rules: what is asked of one, what holds by default, and what each sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ascwebhooks.domain.default_rules import DEFAULTS, in_force
from ascwebhooks.domain.evaluations import Live, evaluate, take_notice
from ascwebhooks.domain.incidents import Ended, Phase, Standing, Tell
from ascwebhooks.domain.measures import Seen, Windows
from ascwebhooks.domain.noticing import notice, noticing
from ascwebhooks.domain.rules import (
    MAX_INCIDENTS,
    Rule,
    RuleKind,
    complete,
    from_plain,
    plain,
)
from ascwebhooks.domain.usage import Tally, tallies
from ascwebhooks.errors import InvalidInput
from tests.unit.test_usage import NOW, completed, signal

MINUTE = timedelta(minutes=1)


def rule(kind, id=99, **given):
    return Rule(UUID(int=id), "one", RuleKind(kind), complete(RuleKind(kind), given))


def seen(*given):
    usage: dict[datetime, dict] = {}
    for key, tally in tallies(given).items():
        usage.setdefault(key.at, {}).setdefault(key.names, Tally()).add(tally)
    return Seen(usage, {})


def failed(status=500, at=NOW, **data):
    return signal("request.failed", at, http_status=status, **data)


@pytest.mark.parametrize("kind", list(RuleKind))
def test_what_is_kept_of_a_rule_is_what_it_was(kind):
    listed = {"allowed": ["a*"]} if "allowed" in _given(kind) else {}
    spec = complete(kind, listed)
    assert from_plain(plain(spec)) == spec
    assert complete(kind, plain(spec)) == spec


def _given(kind):
    needs_list = kind in {RuleKind.APPROVED_MODELS, RuleKind.ALLOWED_REGIONS}
    return {"allowed"} if needs_list else set()


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("error_rate", {"threshold": 1.2}, "threshold"),
        (
            "error_rate",
            {"threshold": 0.1, "resolve_threshold": 0.2},
            "resolve_threshold",
        ),
        ("error_rate", {"window_s": 90}, "window_s"),
        ("error_rate", {"window_s": 7200}, "window_s"),
        ("error_rate", {"measure": "duration"}, "measure"),
        ("error_rate", {"group_by": ["team"]}, "group_by"),
        ("error_rate", {"allowed": ["x"]}, "allowed"),
        ("policy_spike", {"group_by": ["model"]}, "group_by"),
        ("policy_spike", {"model": "x"}, "model"),
        ("fallback", {"window_s": 60}, "window_s"),
        ("approved_models", {}, "allowed"),
        ("approved_models", {"allowed": ["x" * 300]}, "allowed"),
        ("latency", {"repeat_s": 5}, "repeat_s"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(kind, given, field):
    with pytest.raises(InvalidInput) as refused:
        complete(RuleKind(kind), given)
    assert refused.value.context["field"] == field


def test_repeating_can_be_switched_off():
    assert complete(RuleKind.OUTAGE, {"repeat_s": None}).repeat_s is None
    assert complete(RuleKind.OUTAGE, {}).repeat_s == 3600


def test_a_name_is_no_change_of_what_a_rule_looks_at():
    one = rule("error_rate")
    assert rule("error_rate", repeat_s=60).revision == one.revision
    assert rule("error_rate", threshold=0.3).revision != one.revision


def test_what_a_tenant_makes_of_a_default_takes_its_place():
    mine = rule("error_rate", id=1, threshold=0.5)
    found = {each.id: each for each in in_force([mine], with_defaults=True)}
    assert found.keys() == DEFAULTS.keys()
    assert found[UUID(int=1)] == mine
    assert in_force([mine], with_defaults=False) == [mine]


def test_groups_are_read_apart_and_unknown_ones_not_at_all():
    given = seen(
        *[failed(**{"gen_ai.provider.name": "a"}) for _ in range(3)],
        completed(**{"gen_ai.provider.name": "a"}),
        completed(**{"gen_ai.provider.name": "b"}),
        failed(),
    )
    found = Windows(given, NOW).measured(rule("error_rate", group_by=["provider"]))
    values = {each.subject["provider"]: each.reading for each in found.values()}
    assert values == {"a": (4, 0.75), "b": (1, 0.0)}


def test_a_rule_looks_only_where_it_is_told_to():
    given = seen(
        failed(**{"gen_ai.response.model": "gpt-4o-mini"}, region="eu-west"),
        failed(**{"gen_ai.response.model": "claude"}, region="eu-west"),
    )
    one = rule("error_rate", model="gpt-*", region="eu-*", group_by=[])
    (found,) = Windows(given, NOW).measured(one).values()
    assert (found.subject, found.reading.total) == ({}, 1)


def test_a_window_is_never_shorter_than_asked_for():
    one = rule("error_rate", window_s=60, group_by=[])
    begins = NOW.replace(second=0) - MINUTE
    inside, outside = failed(at=begins), failed(at=begins - timedelta(seconds=1))
    (found,) = Windows(seen(inside, outside), NOW).measured(one).values()
    assert found.reading.total == 1


def test_what_is_ahead_of_its_time_counts_when_that_has_come():
    one = rule("error_rate", group_by=[])
    given = Seen({NOW + MINUTE: {("", "m", "", ""): Tally()}}, {})
    assert Windows(given, NOW).measured(one) == {}
    assert len(Windows(given, NOW + MINUTE).measured(one)) == 1


def test_a_signal_leaves_an_incident_of_another_revision_alone():
    one = rule("approved_models", allowed=["x"])
    shown = list(notice([one], completed("y")))
    standing = Standing(Phase.OPEN, NOW, NOW, NOW, NOW - 3000 * MINUTE)
    live = live_of(one, standing, shown[0].subject, shown[0].key, revision="before")
    assert take_notice(shown, [live], {}, NOW) == []


def test_latency_is_of_what_was_answered():
    slow = [completed(duration_ms=9_000) for _ in range(20)]
    quick = [failed(duration_ms=1) for _ in range(80)]
    (found,) = (
        Windows(seen(*slow, *quick), NOW)
        .measured(rule("latency", group_by=[]))
        .values()
    )
    assert found.reading.total == 20
    assert 8_000 < found.reading.value <= 12_000


@pytest.mark.parametrize(
    ("model", "approved"),
    [
        ("openai/gpt-4o", True),
        ("gpt-4o-mini", True),
        ("openai/o3", False),
        ("claude-haiku", True),
        ("xclaude-haiku", False),
    ],
)
def test_models_are_approved_by_name_with_the_providers_or_without(model, approved):
    one = rule("approved_models", allowed=["gpt-4o*", "claude-*"])
    assert (list(notice([one], completed(model))) == []) is approved


def test_a_region_that_is_not_allowed_is_noticed_also_if_the_request_failed():
    one = rule("allowed_regions", allowed=["eu-*"])
    shown = list(notice([one], failed(region="us-east")))
    assert [each.subject for each in shown] == [{"requested_region": "us-east"}]
    assert not list(notice([one], failed(region="eu-west")))
    assert not list(notice([one], failed()))


def test_what_is_late_is_past():
    one = rule("approved_models", allowed=["x"])
    late = signal(
        "request.completed", NOW - 6 * MINUTE, **{"gen_ai.response.model": "y"}
    )
    assert not list(notice([one], late))


def test_a_fallback_that_is_answered_in_the_end_is_not_exhausted():
    rules = noticing([rule("fallback_exhausted")])
    first = notice(rules, failed(fallback_from="gpt-4o"))
    (pending,) = take_notice(first, [], {}, NOW)
    assert pending.step.standing.phase is Phase.PENDING
    live = live_of(rules[0], pending.step.standing, pending.subject, pending.key)
    live = replace(live, facts=pending.facts)
    answered = notice(rules, completed(fallback_from="gpt-4o"))
    (gone,) = take_notice(answered, [live], {}, NOW)
    assert gone.step == (None, None)


def live_of(one, standing, subject, key, revision=None):
    return Live(
        UUID(int=7),
        one.id,
        one.name,
        one.kind.value,
        one.severity.value,
        revision or one.revision,
        subject,
        key,
        {},
        standing,
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: [], Ended.RULE_DELETED),
        (
            lambda one: [Rule(one.id, "x", one.kind, one.spec, enabled=False)],
            "rule_disabled",
        ),
        (lambda one: [rule("outage", threshold=0.8)], Ended.RULE_CHANGED),
    ],
)
def test_what_was_changed_while_it_fires_resolves_and_says_why(change, why):
    one = rule("outage")
    standing = Standing(Phase.OPEN, NOW, NOW, NOW, NOW)
    live = live_of(one, standing, {"provider": "a"}, '{"provider":"a"}')
    (decision,) = evaluate(change(one), [live], Seen({}, {}), NOW)
    assert decision.step.tell is Tell.RESOLVED
    assert decision.step.standing.ended == why


def test_a_rule_has_only_so_many_incidents_at_once():
    one = rule("error_rate", min_requests=1, group_by=["model"])
    given = seen(
        *[failed(**{"gen_ai.request.model": f"m{n}"}) for n in range(MAX_INCIDENTS + 9)]
    )
    assert len(evaluate([one], [], given, NOW)) == MAX_INCIDENTS
    models = rule("approved_models", allowed=["x"])
    shown = [
        each
        for n in range(MAX_INCIDENTS + 9)
        for each in notice([models], completed(f"m{n}"))
    ]
    assert len(take_notice(shown, [], {}, NOW)) == MAX_INCIDENTS


def test_silence_is_told_of_what_was_heard_of_lately():
    one = rule("outage", no_data="alert", window_s=60)
    given = seen(completed(at=NOW - 20 * MINUTE, **{"gen_ai.provider.name": "a"}))
    (decision,) = evaluate([one], [], given, NOW)
    assert decision.subject == {"provider": "a"}
    assert datetime(2026, 11, 25, tzinfo=UTC) < decision.step.standing.opened_at
