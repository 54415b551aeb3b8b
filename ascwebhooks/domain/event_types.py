"""The catalogue: the types of events that gateways and this service are known to send.

It describes, and limits those tenants that are strict (``event_schemas``): others may
publish types of their own.  Prompts and answers are in none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ascwebhooks.domain import (
    budget_examples,
    gateway_examples,
    incident_examples,
    operation_examples,
)
from ascwebhooks.domain.event_fields import FIELDS
from ascwebhooks.errors import NotFound

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Sender(StrEnum):
    """Who sends an event of a type."""

    GATEWAY = "gateway"
    SERVICE = "ascwebhooks"


@dataclass(frozen=True)
class EventType:
    """A type; ``schema`` and ``example`` are of the event's ``data``."""

    type: str
    description: str
    sender: Sender
    schema: dict[str, Any]
    example: dict[str, Any]

    @property
    def group(self) -> str:
        """Return what comes before the dot."""
        return self.type.partition(".")[0]


_GEN_AI = (
    "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model"
    " gen_ai.response.model gen_ai.usage.input_tokens gen_ai.usage.output_tokens"
    " gen_ai.response.time_to_first_chunk"
)
_REQUEST = (
    f"request_id scope trace_id route {_GEN_AI} duration_ms cost cache_hit attempt"
    " fallback_from http_status deployment_id region"
)
_FAILURE = f"{_REQUEST} error.type normalized_error"
_BUDGET = (
    "budget_id scope budget_name scope_type scope_id parent_budget_ids limit spent"
    " remaining percent_used basis currency period_start period_end resets_at"
    " enforcement late"
)
_CROSSING = f"{_BUDGET} previous_percent threshold_percent crossed_thresholds"
_FORECAST = f"{_CROSSING} trigger_request_id projected_spend projected_exhaustion_at"
_INCIDENT = "incident_id rule_id rule_name severity opened_at repeat"
_WINDOW = f"{_INCIDENT} window_s total threshold resolve_threshold"
_USED = "provider model region deployment_id"
_RATE = f"{_WINDOW} {_USED} errors error_rate by_status"
_LATENCY = f"{_WINDOW} {_USED} measure quantile value_ms"
_SPIKE = f"{_WINDOW} policy_id scope"
_RESOLVED = " resolved_at duration_s reason"
_FALLBACK = (
    f"from_model to_model {_INCIDENT} {_USED} scope request_id attempts error.type"
)
_POLICY = (
    f"policy_id {_FAILURE} policy_name policy_version guardrail_name stage action"
    " severity categories redactions risk_score content_sha256"
)
_RESIDENCY = (
    f"requested_region allowed_regions {_INCIDENT} {_USED} request_id scope policy_id"
    " action"
)
_DENIED = f"model {_INCIDENT} {_USED} request_id scope action"
_KEY = "key_id scope key_alias owner actor reason"
_EXPIRY = f"{_KEY} expires_at days_left"
_ENDPOINT = "endpoint_id reason"
_FAILING = "consecutive_failures first_failed_at last_status last_error"

#: A type, what it tells, and its fields, of which the first is always there; of
#: several with | between, one of them.
_GATEWAYS = (
    ("request.completed", "A request was answered.", _REQUEST),
    ("request.failed", "A request failed, for the reason given.", _FAILURE),
    ("request.blocked", "A request was not let through.", _FAILURE),
    ("policy.violation_blocked", "A policy stopped a request.", _POLICY),
    ("policy.violation_flagged", "A policy let a request pass and noted it.", _POLICY),
    ("policy.content_redacted", "A policy took something out.", _POLICY),
    ("policy.guardrail_failed", "A guardrail itself failed.", _POLICY),
    ("key.rotated", "A gateway's key was replaced.", _KEY),
    ("key.blocked", "A gateway's key was blocked.", _KEY),
    ("key.expiring", "A gateway's key ends soon.", _EXPIRY),
    ("key.expired", "A gateway's key has ended.", _EXPIRY),
    (
        "key.auth_failure_spike",
        "Many requests with a key that is not accepted.",
        f"{_KEY} window_s errors threshold",
    ),
)
#: What rules make of signals; a gateway that knows more of some may send them itself.
_INCIDENTS = (
    ("provider.error_rate_high", "Too many requests to a provider fail.", _RATE),
    ("provider.error_rate_resolved", "They do no longer.", _RATE + _RESOLVED),
    ("provider.outage_started", "Next to nothing is answered.", _RATE),
    ("provider.outage_resolved", "It is answered again.", _RATE + _RESOLVED),
    ("latency.slo_breached", "Answers are slower than agreed.", _LATENCY),
    ("latency.slo_resolved", "They are in time again.", _LATENCY + _RESOLVED),
    (
        "route.fallback_triggered",
        "Requests go to another model; told once while they do, and now and then.",
        _FALLBACK,
    ),
    ("route.fallback_exhausted", "No other model could answer either.", _FALLBACK),
    (
        "rate_limit.exceeded",
        "A provider or the gateway refuses for the rate.",
        f"incident_id|request_id {_WINDOW} {_FAILURE} {_USED} errors",
    ),
    ("policy.spike_started", "A policy is violated often.", _SPIKE),
    ("policy.spike_resolved", "It is no longer.", _SPIKE + _RESOLVED),
    (
        "residency.violation_blocked",
        "A region is not allowed; told once a region, and now and then.",
        _RESIDENCY,
    ),
    (
        "model.access_denied",
        "A key may not use a model, or a model is not approved and was used.",
        f"{_DENIED} {_KEY}",
    ),
)
_OWN = (
    (
        "budget.threshold_reached",
        "Spending crossed a line below the limit.",
        f"{_CROSSING} trigger_request_id",
    ),
    (
        "budget.forecast_exceeded",
        "As spending goes, the limit will be passed within the period.",
        _FORECAST,
    ),
    (
        "budget.exceeded",
        "Spending reached the limit, or a line above it.",
        f"{_CROSSING} trigger_request_id",
    ),
    (
        "budget.recovered",
        "Spending is below lines that it had crossed: the limit was raised, or there"
        " were refunds. They can be crossed again.",
        _CROSSING,
    ),
    ("budget.reset", "A new period began.", f"{_BUDGET} previous_percent"),
    (
        "budget.changed",
        "The limit, the thresholds or the enforcement were changed.",
        f"{_BUDGET} previous_percent changed_fields previous_limit",
    ),
    ("endpoint.test", "A test that somebody asked for.", _ENDPOINT),
    (
        "endpoint.disabled",
        "An endpoint gets nothing more: it failed for days, or answered 410.",
        f"{_ENDPOINT} {_FAILING}",
    ),
    ("endpoint.enabled", "An endpoint that was disabled is enabled.", _ENDPOINT),
    (
        "endpoint.secret_rotated",
        "An endpoint has a new secret; those before it sign too while they overlap.",
        "endpoint_id signature overlap_s",
    ),
    (
        "delivery.dead_lettered",
        "A delivery is not tried any more and can be replayed.",
        f"delivery_id {_ENDPOINT} event_id event_type attempts last_status last_error",
    ),
)


#: By type: the data of one, made by the code that sends or reads it.
_EXAMPLES = {
    **gateway_examples.EXAMPLES,
    **incident_examples.EXAMPLES,
    **budget_examples.EXAMPLES,
    **operation_examples.EXAMPLES,
}


def _made(type: str, description: str, names: str, sender: Sender) -> EventType:
    first, *more = names.split()
    needed = first.split("|")
    fields = list(dict.fromkeys([*needed, *more]))
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "title": type,
        "description": description,
        "type": "object",
        "properties": {name: FIELDS[name] for name in fields},
    }
    if len(needed) == 1:
        schema["required"] = needed
    else:
        schema["anyOf"] = [{"required": [each]} for each in needed]
    return EventType(type, description, sender, schema, _EXAMPLES[type])


CATALOGUE: dict[str, EventType] = {
    each.type: each
    for each in sorted(
        [
            *(_made(*each, Sender.GATEWAY) for each in _GATEWAYS),
            *(_made(*each, Sender.SERVICE) for each in (*_INCIDENTS, *_OWN)),
        ],
        key=lambda each: each.type,
    )
}


def find(type: str) -> EventType:
    """Return a type of the catalogue.

    Raises:
        NotFound: If there is none; tenants may still publish it.
    """
    if type not in CATALOGUE:
        raise NotFound(f"the catalogue has no event type {type[:128]!r}.")
    return CATALOGUE[type]


def page(
    *, after: str | None, limit: int, group: str | None = None
) -> Sequence[EventType]:
    """Return types in order of their names, those after ``after``."""
    return [
        each
        for each in CATALOGUE.values()
        if (after is None or each.type > after) and group in (None, each.group)
    ][:limit]
