"""The fields that the catalogue's events share, and the schema of each.

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


#: The schema of each, by its name.
FIELDS: dict[str, Schema] = {
    "scope": _SCOPE,
    "request_id": _TEXT,
    "trace_id": _TEXT,
    "route": _TEXT_OR_NULL,
    "gen_ai.operation.name": _TEXT,
    "gen_ai.provider.name": _TEXT,
    "gen_ai.request.model": _TEXT,
    "gen_ai.response.model": _TEXT_OR_NULL,
    "gen_ai.usage.input_tokens": _COUNT,
    "gen_ai.usage.output_tokens": _COUNT,
    "gen_ai.response.time_to_first_chunk": _SECONDS,
    "duration_ms": _SECONDS,
    "cost": _COST,
    "cache_hit": {"type": ["boolean", "null"]},
    "attempt": {"type": "integer", "minimum": 1},
    "fallback_from": _TEXT_OR_NULL,
    "http_status": _STATUS,
    "error.type": _TEXT_OR_NULL,
    "normalized_error": _TEXT_OR_NULL,
    "deployment_id": _TEXT_OR_NULL,
    "region": _TEXT_OR_NULL,
    "budget_id": _TEXT,
    "budget_name": _TEXT_OR_NULL,
    "scope_type": _choice(*ScopeType),
    "scope_id": _TEXT_OR_NULL,
    "parent_budget_ids": _TEXTS,
    "limit": _AMOUNT,
    "spent": _AMOUNT,
    "remaining": _AMOUNT,
    "percent_used": _NUMBER,
    "previous_percent": _NUMBER,
    "threshold_percent": _NUMBER,
    "crossed_thresholds": {"type": "array", "items": _NUMBER},
    "basis": _choice(*Basis),
    "currency": _CURRENCY,
    "period_start": _TIME,
    "period_end": _TIME,
    "resets_at": _TIME_OR_NULL,
    "enforcement": _choice(*Enforcement),
    "projected_spend": _AMOUNT,
    "projected_exhaustion_at": _TIME_OR_NULL,
    "trigger_request_id": _TEXT_OR_NULL,
    "late": {"type": "boolean"},
    "changed_fields": _TEXTS,
    "previous_limit": _AMOUNT,
    "incident_id": _TEXT,
    "provider": _TEXT,
    "model": _TEXT_OR_NULL,
    "window_s": _SECONDS,
    "total": _COUNT,
    "errors": _COUNT,
    "error_rate": {"type": "number", "minimum": 0, "maximum": 1},
    "threshold": _NUMBER,
    "resolve_threshold": _NUMBER,
    "by_status": {"type": "object", "additionalProperties": _COUNT},
    "rule_id": _TEXT,
    "rule_name": _TEXT,
    "repeat": _COUNT,
    "measure": _choice("duration", "time_to_first_token"),
    "quantile": {"type": "number", "minimum": 0, "maximum": 1},
    "value_ms": _SECONDS,
    "severity": _choice("info", "warning", "critical"),
    "from_model": _TEXT,
    "to_model": _TEXT_OR_NULL,
    "attempts": _COUNT,
    "opened_at": _TIME,
    "resolved_at": _TIME,
    "duration_s": _SECONDS,
    "policy_id": _TEXT,
    "policy_name": _TEXT_OR_NULL,
    "policy_version": _TEXT_OR_NULL,
    "guardrail_name": _TEXT_OR_NULL,
    "stage": _choice("pre_call", "during_call", "post_call"),
    "action": _choice("block", "flag", "redact"),
    "categories": _TEXTS,
    "redactions": {"type": "object", "additionalProperties": _COUNT},
    "risk_score": {"type": ["number", "null"]},
    "requested_region": _TEXT,
    "allowed_regions": _TEXTS,
    "content_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "key_id": _TEXT,
    "key_alias": _TEXT_OR_NULL,
    "owner": _TEXT_OR_NULL,
    "actor": _TEXT_OR_NULL,
    "expires_at": _TIME_OR_NULL,
    "days_left": {"type": "integer"},
    "reason": _TEXT_OR_NULL,
    "endpoint_id": _TEXT,
    "consecutive_failures": _COUNT,
    "first_failed_at": _TIME_OR_NULL,
    "signature": _choice("v1", "v1a"),
    "overlap_s": _SECONDS,
    "event_type": _TEXT,
    "last_status": _STATUS,
    "last_error": _TEXT_OR_NULL,
    "delivery_id": _TEXT,
    "event_id": _TEXT,
}
