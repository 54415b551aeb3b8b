"""Incidents as events: that one opened, is still open, and resolved.

All of one incident's share its id, and what tells them apart is made of it: the same
cause cannot make an event twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.derived import derived
from ascwebhooks.domain.evaluations import Decision
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.incidents import Standing, Tell
from ascwebhooks.domain.rules import Rule, RuleKind


class Types(NamedTuple):
    """What an incident is told as; not everything is told when it is over."""

    opened: str
    resolved: str | None


TYPES = {
    RuleKind.ERROR_RATE: Types(
        "provider.error_rate_high", "provider.error_rate_resolved"
    ),
    RuleKind.OUTAGE: Types("provider.outage_started", "provider.outage_resolved"),
    RuleKind.LATENCY: Types("latency.slo_breached", "latency.slo_resolved"),
    RuleKind.RATE_LIMIT: Types("rate_limit.exceeded", None),
    RuleKind.POLICY_SPIKE: Types("policy.spike_started", "policy.spike_resolved"),
    RuleKind.FALLBACK: Types("route.fallback_triggered", None),
    RuleKind.FALLBACK_EXHAUSTED: Types("route.fallback_exhausted", None),
    RuleKind.APPROVED_MODELS: Types("model.access_denied", None),
    RuleKind.ALLOWED_REGIONS: Types("residency.violation_blocked", None),
}
_FIELDS = {"deployment": "deployment_id", "policy": "policy_id"}
_TERMS = ("window_s", "threshold", "resolve_threshold", "measure", "quantile")


def incident_event(
    tenant_id: str, incident_id: UUID, decision: Decision
) -> Event | None:
    """Return what is told of an incident after a decision; None if it is nothing."""
    tell, standing = decision.step.tell, decision.step.standing
    if tell is None or standing is None:
        return None
    told_by = decision.rule or decision.live
    assert told_by is not None
    types = TYPES[RuleKind(told_by.kind)]
    type = types.resolved if tell is Tell.RESOLVED else types.opened
    if type is None:
        return None
    # What is not known is left out.
    data = _data(incident_id, decision, standing)
    event = derived(
        type,
        id=event_id(incident_id, tell, standing.repeats),
        tenant_id=tenant_id,
        at=_at(tell, standing),
        subject=_subject(decision.subject),
        data={name: value for name, value in data.items() if value is not None},
    )
    return replace(event, severitytext=str(told_by.severity))


def event_id(incident_id: UUID, tell: Tell, repeats: int = 0) -> str:
    """Return the id (CloudEvents') of what is told of an incident."""
    number = f":{repeats}" if tell is Tell.REPEATED else ""
    return f"incident:{ids.show(Kind.INCIDENT, incident_id)}:{tell}{number}"


def event_ids(incident_id: UUID, repeats: int) -> list[str]:
    """Return the ids (CloudEvents') of all that may have been told of an incident."""
    again = [event_id(incident_id, Tell.REPEATED, n + 1) for n in range(repeats)]
    opened, resolved = (
        event_id(incident_id, each) for each in (Tell.OPENED, Tell.RESOLVED)
    )
    return [opened, *again, resolved]


def subject_fields(subject: Mapping[str, str]) -> dict[str, Any]:
    """Return what an incident is about, by the catalogue's names."""
    fields: dict[str, Any] = {
        _FIELDS.get(name, name): value or None
        for name, value in subject.items()
        if name != "team"
    }
    if "team" in subject:
        fields["scope"] = {"team_id": subject["team"] or None}
    return fields


def _subject(subject: Mapping[str, str]) -> str:
    """Return what an incident is about as an attribute of an event can say it.

    Names come from a gateway's data, in which anything may stand.
    """
    text = "/".join(each or "-" for each in subject.values())
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown[: events.MAX_ATTRIBUTE_CHARACTERS["subject"]]


def _at(tell: Tell, standing: Standing) -> datetime:
    at = standing.resolved_at if tell is Tell.RESOLVED else standing.told_at
    return at or standing.since


def _data(incident_id: UUID, decision: Decision, standing: Standing) -> dict[str, Any]:
    rule, live = decision.rule, decision.live
    data = {
        "incident_id": ids.show(Kind.INCIDENT, incident_id),
        "rule_id": ids.show(Kind.RULE, _rule_id(decision)),
        "rule_name": rule.name if rule else live.rule_name if live else "",
        "severity": str(rule.severity if rule else live.severity if live else ""),
        **subject_fields(decision.subject),
        **(_terms(rule) if rule else {}),
        **decision.facts,
        "opened_at": standing.opened_at,
        "repeat": standing.repeats,
    }
    if standing.resolved_at is None:
        return data
    opened_at = standing.opened_at or standing.since
    lasted = max(0.0, (standing.resolved_at - opened_at).total_seconds())
    return {
        **data,
        "resolved_at": standing.resolved_at,
        "duration_s": round(lasted, 3),
        "reason": str(standing.ended),
    }


def _rule_id(decision: Decision) -> UUID:
    told_by = decision.rule
    if told_by is not None:
        return told_by.id
    assert decision.live is not None
    return decision.live.rule_id


def _terms(rule: Rule) -> dict[str, Any]:
    """Return what a rule asks for."""
    values = {name: getattr(rule.spec, name) for name in _TERMS}
    return {name: value for name, value in values.items() if value is not None}
