"""From the alerts that LiteLLM itself posts to a webhook, to events.

LiteLLM sends one to a single URL, unsigned and once; from here on it is an event like
any other.  Several replicas that notice the same crossing send the same alert: they
get the same id, and are one event.

Source:
    LiteLLM 1.108, ``types/integrations/slack_alerting.py``: ``WebhookEvent``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ascwebhooks.integrations import allowed
from ascwebhooks.integrations.allowed import NotMapped
from ascwebhooks.integrations.litellm_terms import (
    Event,
    Terms,
    Who,
    cloud_event,
)

_TYPES = {
    "budget_crossed": "budget.exceeded",
    "max_budget_alert": "budget.threshold_reached",
    "soft_budget_crossed": "budget.threshold_reached",
    "threshold_crossed": "budget.threshold_reached",
    "projected_limit_exceeded": "budget.forecast_exceeded",
    "key_rotated": "key.rotated",
}
# Spend is told by each call already, and nobody's webhook is for new accounts.
_PASSED_OVER = frozenset({"spend_tracked", "key_created", "internal_user_created"})
_SCOPES = {
    "organization": ("org", "organization_id"),
    "organization_member": ("user", "user_id"),
    "team": ("team", "team_id"),
    "team_member": ("user", "user_id"),
    "user": ("user", "user_id"),
    "end_user": ("end_user", "customer_id"),
    "key": ("key", "token"),
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,6})?)?\Z", re.ASCII)


def events(alert: Any, terms: Terms) -> list[Event]:
    """Return the event that an alert is; none for what is told in another way.

    Raises:
        NotMapped: If it is not one of LiteLLM's webhook events.
    """
    if not isinstance(alert, Mapping):
        raise NotMapped("it is not a JSON object.")
    name = alert.get("event")
    if isinstance(name, str) and name in _PASSED_OVER:
        return []
    if not isinstance(name, str) or name not in _TYPES:
        raise NotMapped("its event is none that LiteLLM is known to send.")
    whose = Who(
        org_id=allowed.identifier(alert.get("organization_id")),
        team_id=allowed.identifier(alert.get("team_id")),
        user_id=allowed.identifier(alert.get("user_id")),
        key_id=allowed.identifier(alert.get("token")),
        end_user_id=allowed.identifier(alert.get("customer_id")),
    )
    if _TYPES[name] == "key.rotated":
        data = _key(alert, whose)
    else:
        data = _budget(name, alert, whose)
    told = allowed.pseudonym(repr(sorted(data.items(), key=lambda each: each[0])))
    return [
        cloud_event(
            terms,
            whose,
            id=f"alert:{name}:{told}",
            type=_TYPES[name],
            # It has no time of its own, and one of arrival would differ by replica.
            time=None,
            data=data,
        )
    ]


def _key(alert: Mapping[str, Any], whose: Who) -> dict[str, Any]:
    return {
        "key_id": whose.key_id or "unknown",
        "scope": whose.scope(),
        "key_alias": allowed.identifier(alert.get("key_alias")),
    }


def _budget(name: str, alert: Mapping[str, Any], whose: Who) -> dict[str, Any]:
    group = allowed.code(alert.get("event_group")) or "unknown"
    scope_type, field = _SCOPES.get(group, (group, ""))
    scope_id = allowed.identifier(alert.get(field)) or "all"
    soft = name == "soft_budget_crossed"
    limit = allowed.money(alert.get("soft_budget" if soft else "max_budget"))
    spent = allowed.money(alert.get("spend"))
    found: dict[str, Any] = {
        "budget_id": f"litellm:{scope_type}:{scope_id}",
        "scope": whose.scope(),
        "scope_type": scope_type,
        "scope_id": scope_id,
        "limit": limit,
        "spent": spent,
        "currency": "USD",
        "basis": "forecast" if name == "projected_limit_exceeded" else "actual",
        "projected_spend": allowed.money(alert.get("projected_spend")),
        "projected_exhaustion_at": _date(alert.get("projected_exceeded_date")),
        **_left(limit, spent),
    }
    return {key: value for key, value in found.items() if value is not None}


def _left(limit: str | None, spent: str | None) -> dict[str, Any]:
    if limit is None or spent is None:
        return {}
    whole, used = Decimal(limit), Decimal(spent)
    left: dict[str, Any] = {"remaining": format(whole - used, "f")}
    if whole > 0:
        left["percent_used"] = round(float(used / whole * 100), 2)
    return left


def _date(value: Any) -> str | None:
    """Return a date or time in UTC as RFC 3339."""
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    day, _, clock = value.replace(" ", "T").partition("T")
    return f"{day}T{clock or '00:00:00'}Z"
