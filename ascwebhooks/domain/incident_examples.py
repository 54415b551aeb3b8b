"""Examples of what is told of incidents, made by the code that tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ascwebhooks.domain.evaluations import Decision
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.incident_events import incident_event
from ascwebhooks.domain.incidents import Ended, Phase, Standing, Step, Tell, resolve
from ascwebhooks.domain.measures import Names, Seen, Windows, subject_key
from ascwebhooks.domain.noticing import notice
from ascwebhooks.domain.rules import (
    OF_SIGNALS,
    USAGE_GROUPS,
    Rule,
    RuleKind,
    Severity,
    complete,
)
from ascwebhooks.domain.signals import Scope, Signal
from ascwebhooks.domain.usage import Tally, tallies
from ascwebhooks.domain.violations import counts

_AT = datetime(2026, 11, 23, 7, 40, tzinfo=UTC)
_LASTED = timedelta(minutes=15)
_RULE = UUID("019aafd7-9a20-7000-8000-000000000001")
_INCIDENT = UUID("019aafd7-9a20-7000-8000-000000000002")
_SCOPE = Scope(org_id="acme", team_id="search", key_id="6eace09f299b912f")
_OF_REQUEST: dict[str, Any] = {
    "tenant_id": "acme",
    "time": _AT,
    "arrival": _AT,
    "scope": _SCOPE,
    "request_id": "chatcmpl-210c1cd3",
    "provider": "openai",
    "response_model": "gpt-4o-mini",
    "deployment_id": "openai-us-1",
    "region": "us",
}
_GIVEN: dict[RuleKind, dict[str, Any]] = {
    RuleKind.ERROR_RATE: {"group_by": USAGE_GROUPS},
    RuleKind.OUTAGE: {"group_by": USAGE_GROUPS},
    RuleKind.LATENCY: {"group_by": USAGE_GROUPS},
    RuleKind.RATE_LIMIT: {"group_by": USAGE_GROUPS},
    RuleKind.APPROVED_MODELS: {"allowed": ["claude-*"]},
    RuleKind.ALLOWED_REGIONS: {"allowed": ["eu*"]},
}


def _signal(type: str = "request.failed", **more: Any) -> Signal:
    return Signal(type=type, **{**_OF_REQUEST, **more})


def _traffic(rule: Rule, tell: Tell | None) -> list[Signal]:
    """Return traffic as it is when something is told."""
    violation = _signal("policy.violation_blocked", policy_id="content-filter")
    if tell is Tell.RESOLVED:
        quick = [_signal("request.completed", duration_ms=900.0) for _ in range(118)]
        return [*quick, *[_signal(http_status=429)] * 2, *[violation] * 4]
    limited = [_signal(http_status=429) for _ in range(40)]
    is_out = rule.kind is RuleKind.OUTAGE
    broken = [_signal(http_status=500) for _ in range(76 if is_out else 2)]
    slow = [
        _signal("request.completed", duration_ms=11_000.0)
        for _ in range(4 if is_out else 78)
    ]
    return [*limited, *broken, *slow, *[violation] * 24]


def _measured(
    rule: Rule, tell: Tell | None = None
) -> tuple[dict[str, str], dict[str, Any]]:
    traffic = _traffic(rule, tell)
    usage: dict[datetime, dict[Names, Tally]] = {}
    for key, tally in tallies(traffic).items():
        usage.setdefault(key.at, {}).setdefault(key.names, Tally()).add(tally)
    seen = Seen(usage, counts(traffic))
    found = max(Windows(seen, _AT).measured(rule).values(), key=lambda each: each[1])
    return found.subject, found.facts


def _noticed(
    rule: Rule, tell: Tell | None = None
) -> tuple[dict[str, str], dict[str, Any]]:
    failed = rule.kind is RuleKind.FALLBACK_EXHAUSTED
    type = "request.failed" if failed else "request.completed"
    signal = _signal(type, fallback_from="gpt-4o", error_type="RateLimitError")
    (found,) = notice([rule], signal)
    return found.subject, found.facts


def _events(kind: RuleKind) -> Iterator[Event | None]:
    spec = complete(kind, _GIVEN.get(kind, {}))
    rule = Rule(_RULE, "An example", kind, spec, Severity.CRITICAL)
    read = _noticed if kind in OF_SIGNALS else _measured
    opened = Standing(Phase.OPEN, _AT, _AT, _AT, _AT)
    steps = (
        Step(opened, Tell.OPENED),
        resolve(opened, Ended.RECOVERED, _AT + _LASTED),
    )
    for step in steps:
        subject, facts = read(rule, step.tell)
        decision = Decision(None, rule, subject, subject_key(subject), facts, step)
        yield incident_event("acme", _INCIDENT, decision)


#: By type: the data of an event.
EXAMPLES: dict[str, dict[str, Any]] = {
    event.type: json.loads(event.data)
    for kind in RuleKind
    for event in _events(kind)
    if event is not None
}
