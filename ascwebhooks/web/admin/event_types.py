"""The event types that a form offers: the catalogue's, and those seen lately.

To take the catalogue from elsewhere, change ``_catalogue`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

_DESCRIBED = {
    "request.completed": "A request was answered.",
    "request.failed": "A request failed, for the reason given.",
    "request.blocked": "A request was not let through.",
    "budget.threshold_reached": "Spending crossed a line below the limit.",
    "budget.forecast_exceeded": "As spending goes, the limit will be passed.",
    "budget.exceeded": "Spending passed the limit.",
    "budget.recovered": "A raised limit is above what was spent.",
    "budget.reset": "A new period began.",
    "budget.changed": "The limit or the period was changed.",
    "provider.error_rate_high": "Too many requests to a provider fail.",
    "provider.error_rate_resolved": "They do no longer.",
    "provider.outage_started": "A provider answers nothing.",
    "provider.outage_resolved": "It answers again.",
    "latency.slo_breached": "Answers are slower than agreed.",
    "latency.slo_resolved": "They are in time again.",
    "route.fallback_triggered": "A request went to another model.",
    "route.fallback_exhausted": "No other model could answer either.",
    "rate_limit.exceeded": "A provider or the gateway refused for the rate.",
    "policy.violation_blocked": "A policy stopped a request.",
    "policy.violation_flagged": "A policy let a request pass and noted it.",
    "policy.content_redacted": "A policy took something out.",
    "policy.guardrail_failed": "A guardrail itself failed.",
    "residency.violation_blocked": "A region was not allowed.",
    "model.access_denied": "A key may not use a model.",
    "key.rotated": "A gateway's key was replaced.",
    "key.blocked": "A gateway's key was blocked.",
    "key.expiring": "A gateway's key ends soon.",
    "key.expired": "A gateway's key has ended.",
    "key.auth_failure_spike": "Many requests with a key that is not accepted.",
}


class Known(NamedTuple):
    """A type, what it tells, an example of its ``data``, and whether it came lately."""

    type: str
    description: str
    example: str
    is_recent: bool


class Group(NamedTuple):
    """The types that begin alike, and the glob that takes them all."""

    name: str
    glob: str
    types: Sequence[Known]


def groups(recent: Iterable[str]) -> list[Group]:
    """Return the types to choose from, in groups.

    Args:
        recent: Those of the tenant's last events.
    """
    seen = set(recent)
    described = _catalogue()
    found: dict[str, list[Known]] = {}
    for name in [*described, *sorted(seen - set(described))]:
        description, example = described.get(name, ("A type of your own.", ""))
        group = found.setdefault(name.partition(".")[0], [])
        group.append(Known(name, description, example, name in seen))
    return [Group(name, f"{name}.*", types) for name, types in found.items()]


def split(
    event_types: Iterable[str], offered: Iterable[Group]
) -> tuple[list[str], list[str]]:
    """Return which of a subscription's types are offered, and which are not."""
    known = {each.type for group in offered for each in group.types}
    known |= {group.glob for group in offered} | {"*"}
    wanted = list(event_types)
    return [x for x in wanted if x in known], [x for x in wanted if x not in known]


def _catalogue() -> dict[str, tuple[str, str]]:
    """Return the description and an example of ``data`` of each type."""
    return {name: (description, "") for name, description in _DESCRIBED.items()}
