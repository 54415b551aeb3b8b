"""From LiteLLM's standard logging payload to events, by an allow-list.

The payload carries the prompt, the answer, addresses, e-mails and tracebacks.  Each
field of an event is named here and taken for itself; nothing is passed through.

Source:
    LiteLLM 1.108, ``types/utils.py``: ``StandardLoggingPayload``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ascwebhooks.integrations import allowed
from ascwebhooks.integrations import litellm_policies as policies
from ascwebhooks.integrations.allowed import NotMapped, mapping, sequence
from ascwebhooks.integrations.litellm_terms import (
    Event,
    Terms,
    Who,
    cloud_event,
    who,
)

_CURRENCY = "USD"  # LiteLLM's price lists have no other
_STATUSES = ("success", "failure")
# Raised by guardrails that do not say what they did: the payload has "not_run" then.
_GUARDRAIL_ERRORS = frozenset(
    {
        "BlockedPiiEntityError",
        "GuardrailInterventionNormalStringError",
        "GuardrailRaisedException",
        "ModifyResponseException",
    }
)
_BUDGET_EXCEEDED = "429_BUDGET_EXCEEDED"
_MODEL_DENIED = "403_MODEL_ACCESS_DENIED"
_OWN_LIMITS = frozenset({"litellm_rate_limit", "litellm_batch_rate_limit"})

#: What an event beside the call's own says of the call.
_COMMON = ("request_id", "trace_id", "scope", "gen_ai.request.model")
#: What OpenTelemetry calls them, where it is not LiteLLM's word.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_OPERATIONS = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "generate_content": "generate_content",
}


@dataclass(frozen=True)
class Aside:
    """What the payload does not say, and a callback knows.

    Args:
        guardrail: The guardrail that refused it, although the payload says "not_run".
        broken: The guardrail that broke over it.
        fallback_from: The model that was asked for before this one.
        attempt: The how-manieth model it is, from 1.
    """

    guardrail: str | None = None
    broken: str | None = None
    fallback_from: str | None = None
    attempt: int | None = None


def events(payload: Any, terms: Terms, aside: Aside | None = None) -> list[Event]:
    """Return the events of one call; the first is the call's own and has its cost.

    A fallback is a failure and a success of one call.  Their ids differ by status and
    deployment, and so do those of two deployments that failed in turn.

    Raises:
        NotMapped: If it is not a standard logging payload.
    """
    if not isinstance(payload, Mapping):
        raise NotMapped("it is not a JSON object.")
    status, given_id = payload.get("status"), allowed.identifier(payload.get("id"))
    if given_id is None:
        raise NotMapped("its id is missing.")
    if status not in _STATUSES:
        raise NotMapped("its status is neither success nor failure.")
    call = _Call(payload, terms, aside or Aside(), given_id)
    return call.events()


def whose(payload: Mapping[str, Any]) -> Who:
    """Return whom a payload is attributed to."""
    return who(
        payload.get("metadata"),
        end_user=payload.get("end_user"),
        tags=payload.get("request_tags"),
    )


class _Call:
    """One payload on its way to be events."""

    def __init__(
        self, payload: Mapping[str, Any], terms: Terms, aside: Aside, given_id: str
    ) -> None:
        self._payload = payload
        self._terms = terms
        self._aside = aside
        self._id = given_id
        self._failed = payload.get("status") == "failure"
        self._error = mapping(payload.get("error_information"))
        self._metadata = mapping(payload.get("metadata"))
        self._deployment = allowed.identifier(payload.get("model_id"))
        self._who = whose(payload)
        given = payload.get("guardrail_information")
        self._guardrails = [mapping(each) for each in sequence(given)]
        told = {each.get("guardrail_name") for each in self._guardrails}
        if aside.broken is not None and aside.broken not in told:
            self._guardrails.append(policies.broken(aside.broken))

    def events(self) -> list[Event]:
        """Return the call's own event, and those of what guardrails did to it."""
        own_id = f"{self._id}:failure" if self._failed else self._id
        if self._failed and self._deployment:
            own_id += f":{self._deployment}"
        blocking = self._blocking() if self._failed else None
        data = self._data()
        if self._failed:
            data |= self._failure()
        if blocking is not None:
            data |= policies.described(blocking, "block")
        kind = self._type(blocking is not None)
        if kind == "model.access_denied":
            data["model"] = self._asked_for() or "unknown"
            data["key_id"] = self._who.key_id or "unknown"
        found = [self._event(own_id, kind, data)]
        about = {name: data[name] for name in _COMMON if name in data}
        for number, each in enumerate(self._guardrails):
            told = policies.beside(each)
            if told is not None:
                event_id = f"{own_id}:guardrail:{number}"
                found.append(self._event(event_id, told.type, about | told.data))
        return found

    def _event(self, event_id: str, type: str, data: dict[str, Any]) -> Event:
        ended = self._payload.get("endTime") or self._payload.get("startTime")
        return cloud_event(
            self._terms,
            self._who,
            id=event_id,
            type=type,
            time=allowed.moment(ended),
            data=data,
        )

    def _type(self, blocked_by_guardrail: bool) -> str:
        if not self._failed:
            return "request.completed"
        if blocked_by_guardrail:
            return "policy.violation_blocked"
        normalized = self._error.get("normalized_error")
        if normalized == _MODEL_DENIED:
            return "model.access_denied"
        category = self._error.get("error_rate_limit_category")
        if normalized == _BUDGET_EXCEEDED or category in _OWN_LIMITS:
            return "request.blocked"
        return "request.failed"

    def _blocking(self) -> Mapping[str, Any] | None:
        """Return what is known of the guardrail that ended the call, if one did."""
        for each in self._guardrails:
            if policies.blocked(each):
                return each
        if self._aside.guardrail is not None:
            return {"guardrail_name": self._aside.guardrail}
        if self._error.get("error_class") not in _GUARDRAIL_ERRORS:
            return None
        named = sequence(self._metadata.get("applied_guardrails"))
        return {"guardrail_name": named[0] if len(named) == 1 else "unknown"}

    def _asked_for(self) -> str | None:
        given = self._payload.get("model_group") or self._payload.get("model")
        return allowed.model(given)

    def _data(self) -> dict[str, Any]:
        get = self._payload.get
        data: dict[str, Any] = {
            "request_id": self._id,
            "trace_id": allowed.identifier(get("trace_id")),
            "scope": self._who.scope(),
            "gen_ai.operation.name": _operation(get("call_type")),
            "gen_ai.provider.name": _provider(get("custom_llm_provider")),
            "gen_ai.request.model": self._asked_for(),
            "gen_ai.response.model": allowed.model(get("model")),
            "gen_ai.usage.input_tokens": allowed.count(get("prompt_tokens")) or 0,
            "gen_ai.usage.output_tokens": allowed.count(get("completion_tokens")) or 0,
        }
        told = data | dict(self._details())
        return {name: value for name, value in told.items() if value is not None}

    def _details(self) -> list[tuple[str, Any]]:
        """Return what not every call has."""
        get = self._payload.get
        began, ended = get("startTime"), get("endTime")
        amount = allowed.money(get("response_cost"))
        streamed = get("stream") is True and not self._failed
        first = _between(began, get("completionStartTime")) if streamed else None
        took = _between(began, ended)
        deployment = self._deployment
        return [
            ("duration_ms", None if took is None else round(took * 1000, 1)),
            ("cost", amount and {"amount": amount, "currency": _CURRENCY}),
            (
                "gen_ai.response.time_to_first_chunk",
                None if first is None else round(first, 4),
            ),
            ("deployment_id", deployment),
            ("region", self._terms.regions.get(deployment or "")),
            ("route", allowed.route(self._metadata.get("user_api_key_request_route"))),
            ("cache_hit", True if get("cache_hit") is True else None),
            ("fallback_from", allowed.model(self._aside.fallback_from)),
            ("attempt", allowed.count(self._aside.attempt)),
        ]

    def _failure(self) -> dict[str, Any]:
        return {
            "error.type": allowed.code(self._error.get("error_class")),
            "http_status": allowed.http_status(self._error.get("error_code")),
            "normalized_error": allowed.code(self._error.get("normalized_error")),
        }


def _operation(call_type: Any) -> str | None:
    """Return OpenTelemetry's name of a call: LiteLLM's begins with 'a' if async."""
    name = allowed.code(call_type)
    if name is None:
        return None
    for each in (name, name.removeprefix("a")):
        if each in _OPERATIONS:
            return _OPERATIONS[each]
    return name


def _provider(given: Any) -> str | None:
    name = allowed.code(given)
    return None if name is None else _PROVIDERS.get(name, name)


def _between(began: Any, ended: Any) -> float | None:
    """Return how many seconds lie between two times; None if that makes no sense."""
    first, last = allowed.number(began), allowed.number(ended)
    if first is None or last is None or last < first:
        return None
    return last - first
