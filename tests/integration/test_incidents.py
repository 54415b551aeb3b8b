"""Incidents on real tables: opened once, resolved once, whatever happens between.

Time is a parameter: signals carry theirs, and an evaluation is told when it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ascwebhooks.domain.rules import RuleKind
from tests.integration.traffic import failed, signal, told, types

TENANT = "acme"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now():
    return datetime.now(UTC)


def test_a_model_that_fails_opens_once_and_resolves_once(pipeline, now):
    pipeline.accept(*[failed(now) for _ in range(12)], *[signal(now)] * 12)
    evaluate = pipeline.services.incidents.evaluate
    assert evaluate(now) == 1
    assert evaluate(now + timedelta(seconds=5)) == 0

    later = now + 10 * MINUTE
    pipeline.accept(*[signal(later)], *[signal(later) for _ in range(4)])
    evaluate(later)
    evaluate(later + timedelta(seconds=5))
    print(told(pipeline))
    assert types(pipeline) == [
        "provider.error_rate_high",
        "provider.error_rate_resolved",
    ]
