"""The catalogue: the types of events that gateways and this service are known to send.

It describes and does not limit: a tenant may publish types of its own, and what is
published is not held against a schema.  Prompts and answers are in none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ascwebhooks.domain.budget_examples import EXAMPLES
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
_INCIDENT = "incident_id provider scope model region deployment_id severity opened_at"
_RATE = (
    f"{_INCIDENT} window_s total errors error_rate threshold resolve_threshold"
    " by_status"
)
_RESOLVED = " resolved_at duration_s"
_FALLBACK = (
    "from_model to_model scope provider model region deployment_id attempts error.type"
    " by_status"
)
_POLICY = (
    f"policy_id {_FAILURE} policy_name policy_version guardrail_name stage action"
    " categories redactions risk_score content_sha256"
)
_RESIDENCY = "requested_region allowed_regions request_id scope policy_id model action"
_KEY = "key_id scope key_alias owner actor reason"
_EXPIRY = f"{_KEY} expires_at days_left"
_ENDPOINT = "endpoint_id reason"
_FAILING = "consecutive_failures first_failed_at last_status last_error"

#: A type, what it tells, and its fields, of which the first is always there.
_GATEWAYS = (
    ("request.completed", "A request was answered.", _REQUEST),
    ("request.failed", "A request failed, for the reason given.", _FAILURE),
    ("request.blocked", "A request was not let through.", _FAILURE),
    ("provider.error_rate_high", "Too many requests to a provider fail.", _RATE),
    ("provider.error_rate_resolved", "They do no longer.", _RATE + _RESOLVED),
    ("provider.outage_started", "A provider answers nothing.", _INCIDENT),
    ("provider.outage_resolved", "It answers again.", _INCIDENT + _RESOLVED),
    ("latency.slo_breached", "Answers are slower than agreed.", _RATE),
    ("latency.slo_resolved", "They are in time again.", _RATE + _RESOLVED),
    ("route.fallback_triggered", "A request went to another model.", _FALLBACK),
    ("route.fallback_exhausted", "No other model could answer either.", _FALLBACK),
    (
        "rate_limit.exceeded",
        "A provider or the gateway refused for the rate.",
        _FAILURE,
    ),
    ("policy.violation_blocked", "A policy stopped a request.", _POLICY),
    ("policy.violation_flagged", "A policy let a request pass and noted it.", _POLICY),
    ("policy.content_redacted", "A policy took something out.", _POLICY),
    ("policy.guardrail_failed", "A guardrail itself failed.", _POLICY),
    ("residency.violation_blocked", "A region was not allowed.", _RESIDENCY),
    ("model.access_denied", "A key may not use a model.", f"model {_KEY} request_id"),
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


def _made(type: str, description: str, names: str, sender: Sender) -> EventType:
    fields = list(dict.fromkeys(names.split()))
    schema = {
        "$schema": DIALECT,
        "title": type,
        "description": description,
        "type": "object",
        "required": fields[:1],
        "properties": {name: FIELDS[name][0] for name in fields},
    }
    example = EXAMPLES.get(type) or {name: FIELDS[name][1] for name in fields}
    return EventType(type, description, sender, schema, example)


CATALOGUE: dict[str, EventType] = {
    each.type: each
    for each in sorted(
        [
            *(_made(*each, Sender.GATEWAY) for each in _GATEWAYS),
            *(_made(*each, Sender.SERVICE) for each in _OWN),
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
