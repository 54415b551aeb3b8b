"""The fields that the catalogue's events share: a schema and an example of each.

Source:
    Names of model fields: OpenTelemetry, "Semantic conventions for generative AI".
"""

from __future__ import annotations

from typing import Any

from ascwebhooks.domain.budgets import Basis, Enforcement, ScopeType

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_SECONDS: Schema = {"type": "number", "minimum": 0}
# Whoever takes ``format`` for a remark, as JSON Schema lets them, has the pattern.
_MOMENT: Schema = {
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
}
_TIME: Schema = {"type": "string", **_MOMENT}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], **_MOMENT}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
# Money is exact as text; a gateway that has it as a number may send that.
_AMOUNT: Schema = {
    "type": ["string", "number"],
    "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
}
_CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
_STATUS: Schema = {"type": ["integer", "null"], "minimum": 100, "maximum": 999}

_SCOPE: Schema = {
    "type": "object",
    "description": "Who it is about.",
    "properties": {
        "org_id": _TEXT_OR_NULL,
        "business_unit_id": _TEXT_OR_NULL,
        "team_id": _TEXT_OR_NULL,
        "user_id": _TEXT_OR_NULL,
        "project_id": _TEXT_OR_NULL,
        "key_id": _TEXT_OR_NULL,
        "end_user_id": _TEXT_OR_NULL,
        "feature": _TEXT_OR_NULL,
        "tags": _TEXTS,
    },
}
_COST: Schema = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {"amount": _AMOUNT, "currency": _CURRENCY},
}


def _choice(*values: str) -> Schema:
    return {"type": "string", "examples": [str(each) for each in values]}


#: By name: the schema, and a value to show.
FIELDS: dict[str, tuple[Schema, Any]] = {
    "scope": (_SCOPE, {"org_id": "acme", "team_id": "search", "tags": ["bu:retail"]}),
    "request_id": (_TEXT, "chatcmpl-210c1cd3"),
    "trace_id": (_TEXT, "b7e5e79e-57f9-4872-a899-e23392830987"),
    "route": (_TEXT_OR_NULL, "/v1/chat/completions"),
    "gen_ai.operation.name": (_TEXT, "chat"),
    "gen_ai.provider.name": (_TEXT, "openai"),
    "gen_ai.request.model": (_TEXT, "copilot"),
    "gen_ai.response.model": (_TEXT_OR_NULL, "openai/gpt-4o-mini"),
    "gen_ai.usage.input_tokens": (_COUNT, 10),
    "gen_ai.usage.output_tokens": (_COUNT, 6),
    "gen_ai.response.time_to_first_chunk": (_SECONDS, 0.1826),
    "duration_ms": (_SECONDS, 413.7),
    "cost": (_COST, {"amount": "0.0000051", "currency": "USD"}),
    "cache_hit": ({"type": ["boolean", "null"]}, False),
    "attempt": ({"type": "integer", "minimum": 1}, 1),
    "fallback_from": (_TEXT_OR_NULL, None),
    "http_status": (_STATUS, 429),
    "error.type": (_TEXT_OR_NULL, "RateLimitError"),
    "normalized_error": (_TEXT_OR_NULL, "429_RATE_LIMITED"),
    "deployment_id": (_TEXT_OR_NULL, "openai-us-1"),
    "region": (_TEXT_OR_NULL, "us"),
    "budget_id": (_TEXT, "bud_01kb0c6v4ze8tbc5t6q1s2n3xy"),
    "budget_name": (_TEXT_OR_NULL, "Search, monthly"),
    "scope_type": (_choice(*ScopeType), "team"),
    "scope_id": (_TEXT_OR_NULL, "search"),
    "parent_budget_ids": (_TEXTS, ["bud_01kb0c6v4ze8tbc5t6q1s2n3xz"]),
    "limit": (_AMOUNT, "100"),
    "spent": (_AMOUNT, "95.20"),
    "remaining": (_AMOUNT, "4.80"),
    "percent_used": (_NUMBER, 95.2),
    "previous_percent": (_NUMBER, 79.4),
    "threshold_percent": (_NUMBER, 95),
    "crossed_thresholds": ({"type": "array", "items": _NUMBER}, [80, 95]),
    "basis": (_choice(*Basis), "actual"),
    "currency": (_CURRENCY, "USD"),
    "period_start": (_TIME, "2026-11-01T00:00:00Z"),
    "period_end": (_TIME, "2026-12-01T00:00:00Z"),
    "resets_at": (_TIME_OR_NULL, "2026-12-01T00:00:00Z"),
    "enforcement": (_choice(*Enforcement), "alert"),
    "projected_spend": (_AMOUNT, "130.40"),
    "projected_exhaustion_at": (_TIME_OR_NULL, "2026-11-24T06:00:00Z"),
    "trigger_request_id": (_TEXT_OR_NULL, "chatcmpl-210c1cd3"),
    "late": ({"type": "boolean"}, False),
    "changed_fields": (_TEXTS, ["limit"]),
    "previous_limit": (_AMOUNT, "80"),
    "incident_id": (_TEXT, "inc-7f3a"),
    "provider": (_TEXT, "openai"),
    "model": (_TEXT_OR_NULL, "gpt-4o-mini"),
    "window_s": (_SECONDS, 300),
    "total": (_COUNT, 120),
    "errors": (_COUNT, 42),
    "error_rate": ({"type": "number", "minimum": 0, "maximum": 1}, 0.35),
    "threshold": (_NUMBER, 0.2),
    "resolve_threshold": (_NUMBER, 0.1),
    "by_status": (
        {"type": "object", "additionalProperties": _COUNT},
        {"429": 40, "500": 2},
    ),
    "rule_id": (_TEXT, "rul_01kaqxf6h0e008000000000001"),
    "rule_name": (_TEXT, "Error rate of a model"),
    "repeat": (_COUNT, 0),
    "measure": (_choice("duration", "time_to_first_token"), "duration"),
    "quantile": ({"type": "number", "minimum": 0, "maximum": 1}, 0.95),
    "value_ms": (_SECONDS, 11800.0),
    "severity": (_choice("info", "warning", "critical"), "critical"),
    "from_model": (_TEXT, "gpt-4o-mini"),
    "to_model": (_TEXT_OR_NULL, "claude-haiku"),
    "attempts": (_COUNT, 2),
    "opened_at": (_TIME, "2026-11-23T07:40:00Z"),
    "resolved_at": (_TIME, "2026-11-23T07:55:00Z"),
    "duration_s": (_SECONDS, 900),
    "policy_id": (_TEXT, "content-filter"),
    "policy_name": (_TEXT_OR_NULL, "Content filter"),
    "policy_version": (_TEXT_OR_NULL, "3"),
    "guardrail_name": (_TEXT_OR_NULL, "content-filter"),
    "stage": (_choice("pre_call", "during_call", "post_call"), "pre_call"),
    "action": (_choice("block", "flag", "redact"), "block"),
    "categories": (_TEXTS, ["self_harm"]),
    "redactions": (
        {"type": "object", "additionalProperties": _COUNT},
        {"EMAIL_ADDRESS": 2},
    ),
    "risk_score": ({"type": ["number", "null"]}, 0.92),
    "requested_region": (_TEXT, "us"),
    "allowed_regions": (_TEXTS, ["eu"]),
    "content_sha256": (
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    "key_id": (_TEXT, "6eace09f299b912f"),
    "key_alias": (_TEXT_OR_NULL, "search-prod"),
    "owner": (_TEXT_OR_NULL, "search"),
    "actor": (_TEXT_OR_NULL, "ana"),
    "expires_at": (_TIME_OR_NULL, "2026-12-01T00:00:00Z"),
    "days_left": ({"type": "integer"}, 7),
    "reason": (_TEXT_OR_NULL, None),
    "endpoint_id": (_TEXT, "ep_01kb0c6v4ze8tbc5t6q1s2n3xy"),
    "consecutive_failures": (_COUNT, 14),
    "first_failed_at": (_TIME_OR_NULL, "2026-11-18T07:40:00Z"),
    "signature": (_choice("v1", "v1a"), "v1"),
    "overlap_s": (_SECONDS, 86400),
    "event_type": (_TEXT, "budget.exceeded"),
    "last_status": (_STATUS, 503),
    "last_error": (_TEXT_OR_NULL, "http_status"),
    "delivery_id": (_TEXT, "dlv_01kb0c6v4ze8tbc5t6q1s2n3xy"),
    "event_id": (_TEXT, "evt_01kb0c6v4ze8tbc5t6q1s2n3xy"),
}
