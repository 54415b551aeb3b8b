"""What a gateway spent: sample traffic with budgets crossed and incidents found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ascwebhooks.domain import events
from ascwebhooks.domain.budgets import ScopeType
from ascwebhooks.domain.rules import RuleKind
from ascwebhooks.services.container import Services

_MODELS = (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4"), ("openai", "o3"))
_TEAMS = ("search", "support", "research")
_AT_ONCE = 200
_STEP = timedelta(minutes=15)
_DAYS = 9


def backfill(services: Services, tenant_id: str) -> None:
    """Make budgets and send the traffic of some days, before anybody subscribes."""
    now = datetime.now(UTC)
    _budgets(services, tenant_id, now)
    services.rules.create(
        tenant_id,
        name="Only models that legal has seen",
        kind=RuleKind.APPROVED_MODELS,
        allowed=["gpt-4o*", "claude-*", "o3", "mistral-*"],
    )
    _accept(services, tenant_id, "then", [*_days(now), *_outage(now)])


def spend(services: Services, tenant_id: str) -> None:
    """Send what is going wrong now, and have rules look at it."""
    now = datetime.now(UTC)
    _accept(services, tenant_id, "now", _trouble(now))
    # One that is over, as it was seen then, and those that there are now.
    services.incidents.evaluate(now - timedelta(minutes=49))
    services.incidents.evaluate(now - timedelta(minutes=41))
    services.incidents.evaluate()


def _accept(
    services: Services, tenant_id: str, name: str, said: Iterable[dict[str, Any]]
) -> None:
    signals = [_signal(f"{name}-{n}", tenant_id, each) for n, each in enumerate(said)]
    for at in range(0, len(signals), _AT_ONCE):
        services.acceptance.accept(signals[at : at + _AT_ONCE], via="http")


def _budgets(services: Services, tenant_id: str, now: datetime) -> None:
    month = {"type": "calendar", "unit": "month", "zone": "Europe/Berlin"}
    day = {"type": "calendar", "unit": "day", "zone": "UTC"}
    year = {"type": "calendar", "unit": "year", "zone": "UTC"}
    launch = {
        "type": "once",
        "from": events.iso(now - timedelta(days=1)),
        "to": events.iso(now + timedelta(days=1)),
    }
    rolling = {"type": "rolling", "hours": 24}
    tenant, team, model = ScopeType.TENANT, ScopeType.TEAM, ScopeType.MODEL
    wanted: tuple[tuple[str, ScopeType, str | None, str, dict[str, Any]], ...] = (
        ("Everything", tenant, None, "90000", year),
        ("Search team", team, "search", "25.00", month),
        ("Support, day by day", team, "support", "3.20", day),
        ("Reasoning models", model, "o3", "1.7512", rolling),
        ("Launch of <the> assistant", team, "research", "21", launch),
        ("Legal", team, "legal", "0.05", month),
    )
    whole = None
    for name, scope_type, scope_id, limit, period in wanted:
        said = {"scope_type": scope_type, "scope_id": scope_id, "parent_id": whole}
        made = _budget(
            services, tenant_id, name, limit=Decimal(limit), period=period, **said
        )
        whole = whole or made


def _budget(services: Services, tenant_id: str, name: str, **said: Any) -> Any:
    said = {"currency": "USD", "forecast": True, **said}
    return services.budgets.create(tenant_id, name=name, **said).row.id


def _days(now: datetime) -> Iterator[dict[str, Any]]:
    """Return requests of the last days, many by day and few by night."""
    begins = now - timedelta(days=_DAYS)
    for n in range(int((now - begins) / _STEP)):
        at = begins + n * _STEP
        for k in range(1 + (8 <= at.hour < 18) * (1 + n % 2)):
            provider, model = _MODELS[(n + k) % 3]
            more: dict[str, Any] = {"provider": provider, "model": model}
            if (n * 7 + k) % 23 == 0:
                more |= {"type": "request.failed", "status": 503}
            elif (n * 5 + k) % 31 == 0:
                more |= {"fallback_from": "gpt-4.5"}
            elif (n + k) % 41 == 0:
                more |= {"type": "request.blocked"}
            elif n % 37 == 0:
                more |= {"cost": None}
            yield {"at": at, "team": _TEAMS[(n + 2 * k) % 3], "n": n, **more}


def _outage(now: datetime) -> Iterator[dict[str, Any]]:
    """Return requests of an outage that is over."""
    for minutes, n, type_ in (
        (50, 30, "request.failed"),
        (42, 40, "request.completed"),
    ):
        at = now - timedelta(minutes=minutes)
        of = {"provider": "mistral", "model": "mistral-large", "type": type_}
        yield from ({"at": at, "team": "search", "n": k, **of} for k in range(n))


def _trouble(now: datetime) -> Iterator[dict[str, Any]]:
    """Return requests that fail, spend what is left, and use what nobody approved."""
    for k in range(24):
        type_ = "request.failed" if k % 2 else "request.completed"
        of = {"provider": "openai", "model": "gpt-4o", "type": type_, "status": 502}
        yield {"at": now, "team": "support", "n": k, **of}
    yield {"at": now, "team": "legal", "n": 69, "provider": "x", "model": "grok-4"}


def _signal(number: str, tenant_id: str, said: dict[str, Any]) -> bytes:
    type_ = said.get("type", "request.completed")
    n = said["n"]
    cost = {"amount": f"0.0{17 + n * 13 % 71}4", "currency": "USD"}
    data: dict[str, Any] = {
        "request_id": f"sample-{number}",
        "gen_ai.provider.name": said["provider"],
        "gen_ai.response.model": said["model"],
        "duration_ms": 700 + n * 37 % 900,
        "scope": {"team_id": said["team"]},
    }
    if type_ == "request.completed":
        data["gen_ai.response.time_to_first_chunk"] = (180 + n * 53 % 400) / 1000
        data |= {"cost": cost} if said.get("cost", cost) else {}
    elif type_ == "request.failed":
        data["http_status"] = said.get("status", 500)
    if "fallback_from" in said:
        data["fallback_from"] = said["fallback_from"]
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"sample-{number}",
            "source": "/gateways/sample",
            "type": type_,
            "time": events.iso(said["at"]),
            "tenantid": tenant_id,
            "data": data,
        }
    ).encode()
