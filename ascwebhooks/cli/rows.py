"""Rows as JSON-ready values, by the names that the HTTP API gives them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from ascwebhooks.domain import budgets, ids
from ascwebhooks.domain.explanations import Explanation
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.rules import plain
from ascwebhooks.domain.timelines import Point, facts
from ascwebhooks.services.batches import Accepted, Verdict
from ascwebhooks.services.budget_standings import Detailed, Shown
from ascwebhooks.services.deliveries import Opened
from ascwebhooks.services.described import Described
from ascwebhooks.services.previews import Preview
from ascwebhooks.services.rules import Held

Row = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    """Return a time in ISO 8601, UTC, to the millisecond."""
    if value is None:
        return None
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(kind: Kind, value: UUID) -> str:
    """Return an id as people see it."""
    return ids.show(kind, value)


def tenant(row: Any) -> Row:
    """Return a tenant."""
    return {
        "id": row.id,
        "name": row.name,
        "home_region": row.home_region,
        "allowed_regions": list(row.allowed_regions),
        "strict": row.strict,
        "created_at": moment(row.created_at),
    }


def key(row: Any) -> Row:
    """Return an API key: what is known of it, never the key."""
    return {
        "id": shown(Kind.API_KEY, row.id),
        "role": str(row.role),
        "tenant_id": row.tenant_id,
        "name": row.name,
        "shown": f"{row.shown}…",
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "revoked_at": moment(row.revoked_at),
        "last_used_at": moment(row.last_used_at),
    }


def endpoint(described: Described) -> Row:
    """Return an endpoint, without its secrets."""
    row, health = described.endpoint, described.health
    types = {each for sub in described.subscriptions for each in sub.event_types}
    return {
        "id": shown(Kind.ENDPOINT, row.id),
        "tenant_id": row.tenant_id,
        "url": row.url,
        "state": str(row.state),
        "disabled_reason": row.disabled_reason,
        "event_types": sorted(types),
        "filter": described.filter,
        "description": row.description,
        "format": row.format,
        "signature": row.signature,
        "public_key": described.public_key,
        "headers": list(described.header_names),
        "timeout_s": row.timeout_s,
        "max_in_flight": row.max_in_flight,
        "rate_limit_per_s": row.rate_limit_per_s,
        "ordering": row.ordering,
        "retry_schedule_s": list(row.retry_schedule_s),
        "region": row.region,
        "secrets": [
            {"hint": each.hint, "expires_at": moment(each.expires_at)}
            for each in described.secrets
        ],
        "breaker": str(health.breaker),
        "breaker_until": moment(health.breaker_until),
        "held_until": moment(health.held_until),
        "consecutive_failures": health.consecutive_failures,
        "last_success_at": moment(health.last_success_at),
        "last_failure_at": moment(health.last_failure_at),
        "created_at": moment(row.created_at),
    }


def subscription(row: Any) -> Row:
    """Return a subscription."""
    return {
        "id": shown(Kind.SUBSCRIPTION, row.id),
        "tenant_id": row.tenant_id,
        "endpoint_id": shown(Kind.ENDPOINT, row.endpoint_id),
        "event_types": list(row.event_types),
        "filter": row.filter,
        "enabled": row.enabled,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
    }


def preview(found: Preview) -> Row:
    """Return what a subscription would have made of the last events."""
    return {
        "items": [
            {
                "event_id": shown(Kind.EVENT, each.event_id),
                "type": each.type,
                "matched": each.matched,
                "error": each.error,
            }
            for each in found.items
        ],
        "counts": {
            "events": len(found.items),
            "matched": found.matched,
            "failed": found.failed,
        },
    }


def explanation(row: Explanation) -> Row:
    """Return what became of an event at an endpoint."""
    return {
        "endpoint_id": shown(Kind.ENDPOINT, row.endpoint_id),
        "outcome": str(row.outcome),
        "detail": row.detail,
        "delivery_id": row.delivery_id and shown(Kind.DELIVERY, row.delivery_id),
        "at": moment(row.at),
        "next_attempt_at": moment(row.next_attempt_at),
        "reason": row.reason and str(row.reason),
        "subscription_id": row.subscription_id
        and shown(Kind.SUBSCRIPTION, row.subscription_id),
        "filter": row.filter,
        "filter_changed": row.filter_changed,
        "error": row.error,
    }


def event(row: Any) -> Row:
    """Return an accepted event, without what is sealed of it."""
    return {
        "id": shown(Kind.EVENT, row.id),
        "tenant_id": row.tenant_id,
        "type": row.type,
        "source": row.source,
        "source_id": row.source_id,
        "time": moment(row.time),
        "accepted_at": moment(ids.moment(row.id)),
        "size_bytes": row.size_bytes,
    }


def delivery(row: Any) -> Row:
    """Return a delivery."""
    due = moment(row.next_attempt_at) if row.status == "pending" else None
    return {
        "id": shown(Kind.DELIVERY, row.id),
        "tenant_id": row.tenant_id,
        "event_id": shown(Kind.EVENT, row.event_id),
        "event_type": row.event_type,
        "endpoint_id": shown(Kind.ENDPOINT, row.endpoint_id),
        "status": str(row.status),
        "attempt_count": row.attempt_count,
        "next_attempt_at": due,
        "last_status_code": row.last_status_code,
        "last_error": row.last_error,
        "dead_reason": row.dead_reason,
        "replay_id": None
        if row.replay_id is None
        else shown(Kind.REPLAY, row.replay_id),
        "completed_at": moment(row.completed_at),
    }


def attempt(opened: Opened) -> Row:
    """Return an attempt; what was sealed is None where its key was destroyed."""
    row, detail = opened.attempt, opened.detail
    return {
        "id": shown(Kind.ATTEMPT, row.id),
        "started_at": moment(row.started_at),
        "status_code": row.status_code,
        "error": row.error,
        "detail": row.detail,
        "address": row.address,
        "timings_ms": {
            "dns": row.dns_ms,
            "connect": row.connect_ms,
            "tls": row.tls_ms,
            "first_byte": row.first_byte_ms,
            "total": row.total_ms,
        },
        "request_headers": detail and [list(each) for each in detail.request_headers],
        "response_headers": detail and [list(each) for each in detail.response_headers],
        "response_body": detail and readable(detail.response_body),
        "response_truncated": detail and detail.response_truncated,
    }


def rejected_event(row: Any) -> Row:
    """Return a rejected event, without the bytes that came."""
    return {
        "id": shown(Kind.REJECTED_EVENT, row.id),
        "tenant_id": row.tenant_id,
        "claimed_tenant": row.claimed_tenant,
        "code": row.code,
        "detail": row.detail,
        "type": row.type,
        "source": row.source,
        "source_id": row.source_id,
        "via": row.via,
        "size_bytes": row.size_bytes,
        "truncated": row.truncated,
        "rejected_at": moment(ids.moment(row.id)),
    }


def verdict(found: Verdict) -> Row:
    """Return what became of an event that was to be accepted."""
    row = found._asdict()
    if isinstance(found, Accepted):
        row["id"] = shown(Kind.EVENT, found.id)
    return row


def document(data: bytes | None) -> Any:
    """Return the JSON value in ``data``."""
    return None if data is None else json.loads(data)


def readable(data: bytes | None) -> str | None:
    """Return bytes of unknown encoding as text."""
    return None if data is None else data.decode(errors="replace")


def person(row: Any) -> Row:
    """Return somebody who may log in."""
    return {
        "id": shown(Kind.USER, row.id),
        "login": row.login,
        "name": row.name,
        "roles": [f"{each.role}@{each.tenant_id or '*'}" for each in row.roles],
        "state": row.state,
        "created_at": moment(row.created_at),
        "last_login_at": moment(row.last_login_at),
    }


def budget(found: Shown) -> Row:
    """Return a budget, and how it stands."""
    row, budget, usage, ahead = found.row, found.budget, found.usage, found.projection
    return {
        "id": shown(Kind.BUDGET, row.id),
        "tenant_id": row.tenant_id,
        "name": row.name,
        "scope_type": row.scope_type,
        "scope_id": row.scope_id or None,
        "parent_id": row.parent_id and shown(Kind.BUDGET, row.parent_id),
        "limit": f"{budget.limit:f}",
        "currency": row.currency,
        "period": row.period,
        "thresholds": [budgets.number(each) for each in budget.thresholds],
        "forecast": row.forecast,
        "enforcement": row.enforcement,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "period_start": moment(found.period.start),
        "period_end": moment(found.period.end),
        "resets_at": moment(found.resets_at),
        "spent": f"{usage.spent:f}",
        "remaining": f"{found.remaining:f}",
        "percent_used": budgets.number(found.percent_used),
        "unattributed": f"{usage.unattributed:f}",
        "requests": usage.requests,
        "unpriced": usage.unpriced,
        "projected_spend": ahead and f"{ahead.spend:f}",
        "projected_exhaustion_at": ahead and moment(ahead.exhausted_at),
    }


def _budget_alert(alert: Any, recovery: UUID | None) -> Row:
    return {
        "basis": alert.basis,
        "threshold": budgets.number(alert.threshold),
        "fired_at": moment(alert.fired_at),
        "recovered_at": moment(alert.recovered_at),
        "times": alert.times,
        "event_id": alert.event_id and shown(Kind.EVENT, alert.event_id),
        "recovered_event_id": recovery and shown(Kind.EVENT, recovery),
    }


def budget_details(found: Detailed) -> Row:
    """Return a budget with its alerts and the periods before."""
    return {
        **budget(found),
        "alerts": [
            _budget_alert(each, found.recovery_of(each)) for each in found.alerts
        ],
        "history": [
            {
                "period_start": moment(each.period_start),
                "period_end": moment(each.period_end),
                "spent": f"{each.spent:f}",
                "unattributed": f"{each.unattributed:f}",
                "requests": each.requests,
                "unpriced": each.unpriced,
            }
            for each in found.history
        ],
    }


def rule(held: Held) -> Row:
    """Return a rule with the parameters that its kind takes."""
    found = held.rule
    return {
        "id": shown(Kind.RULE, found.id),
        "tenant_id": held.tenant_id,
        "name": found.name,
        "kind": str(found.kind),
        "severity": str(found.severity),
        "enabled": found.enabled,
        "origin": str(held.origin),
        **plain(found.spec),
        "created_at": moment(held.created_at),
        "updated_at": moment(held.updated_at),
    }


def incident(row: Any) -> Row:
    """Return an incident."""
    return {
        "id": shown(Kind.INCIDENT, row.id),
        "tenant_id": row.tenant_id,
        "rule_id": shown(Kind.RULE, row.rule_id),
        "rule_name": row.rule_name,
        "kind": row.kind,
        "severity": row.severity,
        "state": row.phase,
        "subject": row.subject,
        "facts": row.facts,
        "opened_at": moment(row.opened_at),
        "last_told_at": moment(row.told_at),
        "repeats": row.repeats,
        "resolved_at": moment(row.resolved_at),
        "reason": row.ended,
    }


def usage(point: Point) -> Row:
    """Return a step of a timeline."""
    found = facts(point)
    sent = point.deliveries
    return {
        **found,
        "at": moment(point.at),
        "deliveries": sent
        and {
            "delivered": sent.delivered,
            "failed": sent.failed,
            "dead_lettered": sent.dead_lettered,
        },
    }
