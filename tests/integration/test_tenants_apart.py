"""What fails for one tenant keeps no other's alerts waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain.rules import RuleKind
from tests.integration import traffic
from tests.integration.budgets import budget

K1, K2 = ("k1", bytes(range(32))), ("k2", bytes(32))
DAY = {"type": "calendar", "unit": "day", "zone": "UTC"}
#: The one that fails comes first in every order.
FAILING, OTHER = "aaa", "bbb"


@pytest.fixture
def behind(make_pipeline, event):
    """A worker whose ring lacks the key that the first tenant's day is sealed with."""
    made = make_pipeline(encryption_keys=(K1,), default_rules=False)
    for each in (FAILING, OTHER):
        made.services.tenants.create(each)
    ahead = make_pipeline(encryption_keys=(K2, K1), default_rules=False)
    ahead.accept(event(tenantid=FAILING))
    made.ahead = ahead
    return made


def test_a_period_turns_although_another_tenants_key_does_not_open(behind):
    for each in (FAILING, OTHER):
        budget(behind, tenant_id=each, period=DAY)
    behind.do(
        "UPDATE budget SET period_start = period_start - interval '9 days',"
        " period_end = period_end - interval '9 days'"
    )
    assert behind.services.budget_turns.turn() == 1
    assert traffic.types(behind, OTHER) == ["budget.reset"]

    assert behind.ahead.services.budget_turns.turn() == 1, "nothing of it was lost"
    assert traffic.types(behind.ahead, FAILING) == ["budget.reset"]


def test_an_incident_opens_although_another_tenants_key_does_not_open(behind):
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=9)
    for each in (FAILING, OTHER):
        behind.services.rules.create(
            each, name="one", kind=RuleKind.ERROR_RATE, min_requests=1, window_s=60
        )
    behind.ahead.accept(traffic.failed(at, tenantid=FAILING))
    behind.accept(traffic.failed(at, tenantid=OTHER))
    behind.services.incidents.evaluate(at)
    assert traffic.types(behind, OTHER) == ["provider.error_rate_high"]

    behind.ahead.services.incidents.evaluate(at)
    assert traffic.types(behind.ahead, FAILING) == ["provider.error_rate_high"]
