"""What LiteLLM's guardrails did to a call, and never what they found in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ascwebhooks.integrations import allowed
from ascwebhooks.integrations.allowed import mapping, sequence

_STAGES = frozenset({"pre_call", "during_call", "post_call"})
# The second of each pair is what older guardrails still write.
_INTERVENED = ("guardrail_intervened", "blocked")
_SILENT = ("guardrail_failed_to_respond", "failure")
_FLAGGED = "guardrail_flagged"


class Told(NamedTuple):
    """The type of an event, and its fields about the guardrail."""

    type: str
    data: dict[str, Any]


def blocked(guardrail: Mapping[str, Any]) -> bool:
    """Return whether a guardrail ended the call."""
    return guardrail.get("guardrail_status") in _INTERVENED


def broken(name: str) -> dict[str, Any]:
    """Return the entry that a guardrail would have, had it said that it broke."""
    return {"guardrail_name": name, "guardrail_status": _SILENT[0]}


def beside(guardrail: Mapping[str, Any]) -> Told | None:
    """Return what a guardrail did that did not end the call; None if nothing.

    No cost is told with it: the call's own event has that.
    """
    status = guardrail.get("guardrail_status")
    if status in _SILENT:
        return Told("policy.guardrail_failed", described(guardrail, "flag"))
    if status == _FLAGGED:
        return Told("policy.violation_flagged", described(guardrail, "flag"))
    masked = _counts(guardrail.get("masked_entity_count"))
    if masked and status == "success":
        redacted = described(guardrail, "redact") | {"redactions": masked}
        return Told("policy.content_redacted", redacted)
    return None


def described(guardrail: Mapping[str, Any], action: str) -> dict[str, Any]:
    """Return an event's fields about a guardrail and what it did."""
    name = allowed.identifier(guardrail.get("guardrail_name")) or "unknown"
    data: dict[str, Any] = {"policy_id": name, "guardrail_name": name}
    mode = guardrail.get("guardrail_mode")
    if isinstance(mode, str) and mode in _STAGES:
        data["stage"] = mode
    data["action"] = action
    categories = _categories(guardrail)
    if categories:
        data["categories"] = categories
    return data


def _categories(guardrail: Mapping[str, Any]) -> list[str]:
    """Return the names of the patterns that matched; never what matched them."""
    found = [mapping(each) for each in sequence(guardrail.get("guardrail_response"))]
    return allowed.tags([each.get("pattern_name") for each in found])


def _counts(masked: Any) -> dict[str, int]:
    """Return how many of each kind were masked."""
    counted = {
        name: allowed.count(value)
        for name, value in mapping(masked).items()
        if allowed.code(name) is not None
    }
    return {name: value for name, value in counted.items() if value}
