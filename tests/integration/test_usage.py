"""Usage on real tables: exact, bounded, and moved into hours without a loss."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest

from ascwebhooks.domain import usage
from ascwebhooks.domain.rules import RuleKind
from tests.integration.traffic import failed, signal

TENANT = "acme"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def now():
    return datetime.now(UTC)


def spent(pipeline):
    return pipeline.one("SELECT sum(spend) FROM usage")


def cost(amount, currency="USD"):
    return {"amount": amount, "currency": currency}


def test_signals_of_many_batches_add_up_to_the_last_digit(pipeline, now):
    amounts = [f"0.{n:012}" for n in range(1, 301)]
    for at in range(0, 300, 50):
        part = amounts[at : at + 50]
        pipeline.accept(*[signal(now, cost=cost(each)) for each in part])
    assert spent(pipeline) == sum(map(Decimal, amounts))
    assert pipeline.one("SELECT count(*) FROM usage") == 1


def test_a_timeline_shows_the_same_money_as_a_budget(pipeline, now):
    """What a policy says beside a request may name its cost; that is spent once."""
    budget = pipeline.services.budgets.create(
        "acme",
        name="all",
        scope_type="tenant",
        limit=Decimal(10),
        currency="USD",
        period={"type": "calendar", "unit": "year", "zone": "UTC"},
    )
    kinds = (
        *("request.completed", "request.failed", "request.blocked"),
        *("policy.violation_blocked", "policy.violation_flagged"),
        *("policy.content_redacted", "model.access_denied"),
    )
    pipeline.accept(*[signal(now, kind, cost=cost("0.1")) for kind in kinds])
    shown = pipeline.services.budgets.get("acme", budget.row.id)
    assert spent(pipeline) == shown.usage.spent == Decimal("0.4")


def test_two_workers_add_to_the_same_rows_without_a_deadlock(pipeline, now):
    barrier = Barrier(4)

    def batch(worker):
        models = [f"m{(n + worker) % 7}" for n in range(21)]
        return [signal(now - (n % 3) * MINUTE, model=m) for n, m in enumerate(models)]

    def run(batches):
        barrier.wait(10)
        for each in batches:
            pipeline.accept(*each)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, [[batch(n) for _ in range(5)] for n in range(4)]))
    assert pipeline.one("SELECT sum(completed) FROM usage") == 4 * 5 * 21
    assert spent(pipeline) == Decimal("0.42")


def test_a_hostile_caller_cannot_fill_the_table(pipeline, now):
    at = now.replace(second=0, microsecond=0)
    pipeline.accept(*[signal(at, model="real") for _ in range(3)])
    for part in range(5):
        pipeline.accept(*[failed(at, model=f"no-{part}-{n}") for n in range(100)])
    rows = pipeline.one("SELECT count(*) FROM usage")
    assert rows <= usage.MOST_KEYS_WITHOUT_SUCCESS + 2
    assert pipeline.one("SELECT sum(failed) FROM usage") == 500
    assert pipeline.one("SELECT completed FROM usage WHERE model = 'real'") == 3


def test_old_minutes_become_hours_exactly_and_once(pipeline, now):
    old = now - 40 * HOUR
    for minutes in range(0, 120, 7):
        at = old + minutes * MINUTE
        pipeline.accept(signal(at, cost=cost("0.1")), failed(at, 429), signal(now))
    before = pipeline.rows(
        "SELECT sum(spend), sum(completed), sum(status_429) FROM usage"
    )
    keep = pipeline.services.usage.keep
    keep()
    keep()
    after = pipeline.rows(
        "SELECT sum(spend), sum(completed), sum(status_429) FROM usage"
    )
    assert before == after
    minutes = pipeline.one(
        "SELECT count(*) FROM usage WHERE grain_s = 60 AND at < :at", at=now - 27 * HOUR
    )
    assert minutes == 0

    pipeline.accept(signal(old, cost=cost("5")))
    keep()
    hour = old.replace(minute=0, second=0, microsecond=0)
    found = pipeline.services.usage.timeline(
        TENANT, since=hour, until=hour + HOUR, step_s=3600
    )
    (point,) = found.points
    assert point.used.spend["USD"] > 5


def test_a_timeline_has_all_on_one_axis(pipeline, now):
    at = now.replace(second=0, microsecond=0) - 3 * MINUTE
    endpoint_id = pipeline.endpoint(event_types=["request.completed"])
    assert endpoint_id
    pipeline.services.rules.create(
        TENANT, name="x", kind=RuleKind.APPROVED_MODELS, allowed=["gpt-4o"]
    )
    first = {"gen_ai.response.time_to_first_chunk": 0.4}
    pipeline.accept(
        signal(at, cost=cost("0.5"), **first),
        signal(at, cost=cost("0.25", "EUR"), fallback_from="o3"),
        signal(at + MINUTE, "policy.violation_blocked"),
        signal(at + MINUTE, "request.blocked"),
        failed(at + MINUTE, 429),
        signal(at + MINUTE, cost={"amount": "much"}),
    )
    pipeline.accept(signal(now, model="else"))
    found = pipeline.services.usage.timeline(
        TENANT, since=at, until=now + MINUTE, step_s=60
    )
    one, two, *_, last = found.points
    assert one.used.spend == {"USD": Decimal("0.5"), "EUR": Decimal("0.25")}
    assert one.used.tally.of("fallbacks") == 1
    assert 350 <= one.used.quantiles()["time_to_first_token_p50_ms"] <= 500
    tally = two.used.tally
    assert (tally.of("denials"), tally.of("blocked"), tally.of("unpriced")) == (1, 1, 1)
    assert tally.by_status == {"429": 1}
    assert sum(each.alerts for each in found.points) == 2, "a fallback and a model"
    assert last.deliveries.attempts == 0


def test_groups_are_the_largest_and_the_rest_together(pipeline, now):
    for n in range(25):
        pipeline.accept(*[signal(now, model=f"m{n:02}") for _ in range(n + 1)])
    found = pipeline.services.usage.timeline(
        TENANT, since=now - MINUTE, until=now + MINUTE, step_s=3600, group_by=["model"]
    )
    by_name = {tuple(p.group.items()): p.used.tally.requests for p in found.points}
    assert by_name[("model", "m24"),] == 25
    assert by_name[("other", "true"),] == sum(range(1, 6))
    assert sum(by_name.values()) == 325
