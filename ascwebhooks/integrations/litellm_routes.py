"""Events of LiteLLM's router: a call that went on to another model, or to none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ascwebhooks.integrations import allowed
from ascwebhooks.integrations.allowed import mapping
from ascwebhooks.integrations.litellm_terms import Event, Terms, Who, cloud_event, who

_ATTEMPTS = "attempted_fallbacks"  # how many other models LiteLLM went to so far


def whose(kwargs: Mapping[str, Any]) -> Who:
    """Return whom a call of the router's is attributed to, as far as it says."""
    metadata = metadata_of(kwargs)
    return who(metadata, end_user=kwargs.get("user"), tags=metadata.get("tags"))


def metadata_of(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what LiteLLM keeps beside a call, wherever this call has it.

    Where it has its own place for that, ``metadata`` is the client's and may say
    anything.
    """
    inner = mapping(kwargs.get("litellm_params"))
    for name in ("litellm_metadata", "metadata"):
        for holder in (kwargs, inner):
            if found := mapping(holder.get(name)):
                return found
    return {}


class Way(NamedTuple):
    """How a call went on to another model.

    Args:
        call_id: LiteLLM's own, the same for all models it went to.
        from_model: What was asked for.
        to_model: Where it went last.
        attempts: How many others it went to, the last one among them.
        error_type: Why it could not stay.
    """

    call_id: str
    from_model: str
    to_model: str | None
    attempts: int
    error_type: str | None


def way(from_model: Any, kwargs: Mapping[str, Any], error: object) -> Way | None:
    """Return how a call went on; None if LiteLLM does not say enough to tell."""
    call_id = allowed.identifier(kwargs.get("litellm_call_id"))
    asked = allowed.model(from_model)
    if call_id is None or asked is None:
        return None
    return Way(
        call_id,
        asked,
        allowed.model(kwargs.get("model")),
        allowed.count(metadata_of(kwargs).get(_ATTEMPTS)) or 1,
        allowed.code(type(error).__name__),
    )


def before(kwargs: Mapping[str, Any], known: Way | None) -> dict[str, Any]:
    """Return which model was asked before the one that answered, if one was."""
    metadata = metadata_of(kwargs)
    asked = allowed.model(metadata.get("original_model_group"))
    attempts = allowed.count(metadata.get(_ATTEMPTS))
    if asked and attempts:
        return {"fallback_from": asked, "attempt": attempts + 1}
    if known is not None:
        return {"fallback_from": known.from_model, "attempt": known.attempts + 1}
    return {}


def triggered(terms: Terms, about: Who, way: Way) -> Event:
    """Return the event that another model answered."""
    hop = allowed.pseudonym(f"{way.from_model}>{way.to_model}")
    return _event(
        terms,
        about,
        "route.fallback_triggered",
        f"{way.call_id}:fallback:{hop}",
        _told(about, way),
    )


def exhausted(terms: Terms, about: Who, way: Way) -> Event:
    """Return the event that no other model could answer either."""
    return _event(
        terms,
        about,
        "route.fallback_exhausted",
        f"{way.call_id}:fallback:exhausted",
        _told(about, way),
    )


def failed(
    terms: Terms,
    about: Who,
    *,
    call_id: str,
    model: Any,
    route: Any,
    error: BaseException,
    guardrail: str | None,
) -> Event:
    """Return the event of a call that failed before LiteLLM kept a record of it."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    data: dict[str, Any] = {
        "request_id": call_id,
        "scope": about.scope(),
        "gen_ai.request.model": allowed.model(model) or "unknown",
        "error.type": allowed.code(type(error).__name__),
        "http_status": allowed.http_status(status),
        "normalized_error": "UNCLASSIFIED",
    }
    if (path := allowed.route(route)) is not None:
        data["route"] = path
    kind = "request.failed"
    if guardrail is not None:
        kind = "policy.violation_blocked"
        data |= {"policy_id": guardrail, "guardrail_name": guardrail, "action": "block"}
    return _event(terms, about, kind, f"{call_id}:failure", data)


def _told(about: Who, way: Way) -> dict[str, Any]:
    return {
        "from_model": way.from_model,
        "to_model": way.to_model,
        "scope": about.scope(),
        "attempts": way.attempts,
        "error.type": way.error_type,
        "request_id": way.call_id,
    }


def _event(
    terms: Terms, about: Who, type: str, event_id: str, data: dict[str, Any]
) -> Event:
    return cloud_event(terms, about, id=event_id, type=type, time=None, data=data)
