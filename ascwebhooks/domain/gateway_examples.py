"""Examples of what gateways send, made of LiteLLM's records by what reads them.

LiteLLM does not know all that the catalogue has a field for: what other gateways say is
added, so that each field is shown where it means something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ascwebhooks.integrations import litellm_alerts, litellm_events
from ascwebhooks.integrations.litellm_events import Aside
from ascwebhooks.integrations.litellm_terms import Terms

Data = dict[str, Any]

_TERMS = Terms(tenant="acme", regions={"openai-us-1": "us"})
_CALL: Data = {
    "id": "chatcmpl-210c1cd3",
    "trace_id": "b7e5e79e-57f9-4872-a899-e23392830987",
    "status": "success",
    "call_type": "acompletion",
    "custom_llm_provider": "openai",
    "model_group": "copilot",
    "model": "openai/gpt-4o-mini",
    "model_id": "openai-us-1",
    "stream": True,
    "startTime": 1795419709.0,
    "completionStartTime": 1795419709.1826,
    "endTime": 1795419709.4137,
    "prompt_tokens": 10,
    "completion_tokens": 6,
    "response_cost": 5.1e-06,
    "request_tags": ["feature:extract", "bu:retail"],
    "metadata": {
        "user_api_key_org_id": "acme",
        "user_api_key_team_id": "search",
        "user_api_key_user_id": "u-17",
        "user_api_key_hash": "6eace09f299b912f",
        "user_api_key_request_route": "/v1/chat/completions",
    },
}
_NOT_ANSWERED: Data = {
    "status": "failure",
    "completion_tokens": 0,
    "response_cost": 0.0,
}
_GUARDRAIL: Data = {
    "guardrail_name": "content-filter",
    "guardrail_mode": "pre_call",
    "guardrail_response": [{"pattern_name": "self_harm"}],
}
_ROTATED: Data = {
    "event": "key_rotated",
    "token": "6eace09f299b912f",
    "key_alias": "search-prod",
    "team_id": "search",
    "organization_id": "acme",
}
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_POLICY: Data = {
    "policy_name": "Content filter",
    "policy_version": "3",
    "severity": "critical",
    "risk_score": 0.92,
    "content_sha256": _DIGEST,
}
_KEY: Data = {"owner": "search", "actor": "ana"}
_EXPIRY: Data = {"expires_at": "2026-12-01T00:00:00Z"}


def _failed(error_class: str, code: str, normalized: str) -> Data:
    error = {
        "error_class": error_class,
        "error_code": code,
        "normalized_error": normalized,
    }
    return {**_NOT_ANSWERED, "error_information": error}


def _guarded(status: str, **more: Any) -> Data:
    return {
        "guardrail_information": [{**_GUARDRAIL, "guardrail_status": status, **more}]
    }


#: What calls differ in.
_CALLS: tuple[Data, ...] = (
    {},
    _failed("RateLimitError", "429", "429_RATE_LIMITED"),
    _failed("BudgetExceededError", "429", "429_BUDGET_EXCEEDED"),
    _failed("GuardrailRaisedException", "400", "400_CONTENT_POLICY")
    | _guarded("guardrail_intervened"),
    _guarded("guardrail_flagged"),
    _guarded("success", masked_entity_count={"EMAIL_ADDRESS": 2}),
    _guarded("guardrail_failed_to_respond", guardrail_response=[]),
)


def _events() -> Iterator[dict[str, Any]]:
    aside = Aside(fallback_from="gpt-4o", attempt=2)
    for each in _CALLS:
        yield from litellm_events.events({**_CALL, **each}, _TERMS, aside)
    yield from litellm_alerts.events(_ROTATED, _TERMS)


def _examples() -> Iterator[tuple[str, Data]]:
    made: dict[str, Data] = {}
    for each in _events():
        made.setdefault(each["type"], each["data"])
    rotated = {**made.pop("key.rotated"), **_KEY}
    for type, data in made.items():
        more = _POLICY if type.startswith("policy.") else {"cache_hit": False}
        yield type, {**more, **data}
    yield "key.rotated", {**rotated, "reason": "scheduled"}
    yield "key.blocked", {**rotated, "reason": "leaked"}
    yield "key.expiring", {**rotated, **_EXPIRY, "days_left": 7, "reason": None}
    yield "key.expired", {**rotated, **_EXPIRY, "days_left": 0, "reason": None}
    yield (
        "key.auth_failure_spike",
        {**rotated, "reason": None, "window_s": 300, "errors": 42, "threshold": 20},
    )


#: The data of each, by its type.
EXAMPLES: dict[str, Data] = dict(_examples())
