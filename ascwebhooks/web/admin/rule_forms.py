"""The form of a rule: the fields that its kind takes, in units people think in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate

from ascwebhooks.domain import rules
from ascwebhooks.domain.incidents import NoData
from ascwebhooks.domain.rules import (
    MAX_NAME_CHARACTERS,
    MAX_PATTERN_CHARACTERS,
    PARAMETERS,
    POLICY_GROUPS,
    USAGE_GROUPS,
    Measure,
    Rule,
    RuleKind,
    Severity,
)
from ascwebhooks.services.rules import Held
from ascwebhooks.web.admin.forms import Line, Words

SHARES = frozenset({RuleKind.ERROR_RATE, RuleKind.OUTAGE})
_MINUTES = ("window_s", "repeat_s", "quiet_s")
_MOST = 1_000_000_000
#: The version of a default that nobody has changed.
_UNCHANGED = "default"


class Minutes(fields.Integer):
    """Whole minutes in the form, seconds within."""

    def __init__(self, high: int) -> None:
        super().__init__(load_default=None)
        self._high = high

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, *args, **kwargs)
        if not 1 <= found <= self._high:
            raise ValidationError(f"From 1 to {self._high:,} minutes.")
        return found * 60


def _pattern() -> Line:
    return Line(load_default=None, validate=validate.Length(1, MAX_PATTERN_CHARACTERS))


class RuleFields(Schema):
    """What can be said of a rule; thresholds of shares are in percent."""

    name = Line(required=True, validate=validate.Length(1, MAX_NAME_CHARACTERS))
    severity = fields.Enum(Severity, by_value=True, required=True)
    enabled = fields.Boolean(load_default=False)
    provider = _pattern()
    model = _pattern()
    region = _pattern()
    deployment = _pattern()
    policy = _pattern()
    group_by = fields.List(fields.String(), load_default=list)
    window_s = Minutes(60)
    min_requests = fields.Integer(load_default=None, validate=validate.Range(1, _MOST))
    threshold = fields.Float(load_default=None)
    resolve_threshold = fields.Float(load_default=None)
    for_s = fields.Integer(load_default=None, validate=validate.Range(0, 86_400))
    repeat_s = Minutes(43_200)
    no_data = fields.Enum(NoData, by_value=True, load_default=None)
    measure = fields.Enum(Measure, by_value=True, load_default=None)
    quantile = fields.Float(load_default=None, validate=validate.Range(1, 100))
    allowed = Words(load_default=None)
    quiet_s = Minutes(43_200)


class NewRule(RuleFields):
    """A rule to create."""

    kind = fields.Enum(RuleKind, by_value=True, required=True)


class ChangedRule(RuleFields):
    """A form that was opened on a rule as it was at ``seen``."""

    seen = fields.String(required=True)


def wanted(kind: RuleKind, read: dict[str, Any]) -> dict[str, Any]:
    """Return what the service is asked for, by what the form says."""
    found = {
        name: value
        for name, value in read.items()
        if name not in PARAMETERS or rules.takes(kind, name)
    }
    if kind in SHARES:
        for name in ("threshold", "resolve_threshold"):
            found[name] = _part(found[name])
    if "quantile" in found:
        found["quantile"] = _part(found["quantile"])
    return found


def initial(kind: RuleKind, name: str) -> dict[str, Any]:
    """Return what the form of a new rule shows at first: its kind's own."""
    listed = {"allowed": ["*"]} if rules.takes(kind, "allowed") else {}
    rule = Rule(UUID(int=0), name, kind, rules.complete(kind, listed))
    return {**values(rule), "allowed": "", "kind": kind.value}


def values(rule: Rule) -> dict[str, Any]:
    """Return what the form of a rule shows, in the form's units."""
    spec = rule.spec
    found: dict[str, Any] = {name: getattr(spec, name) for name in PARAMETERS}
    for name in _MINUTES:
        if found[name] is not None:
            found[name] = _number(found[name] / 60)
    for name in ("threshold", "resolve_threshold"):
        if found[name] is not None:
            found[name] = _number(found[name] * (100 if rule.kind in SHARES else 1))
    if spec.quantile is not None:
        found["quantile"] = _number(spec.quantile * 100)
    # A field shows nothing for what counts as nothing.
    found["for_s"] = "" if spec.for_s is None else str(spec.for_s)
    return {
        **found,
        "group_by": list(spec.group_by or ()),
        "allowed": "\n".join(spec.allowed or ()),
        "name": rule.name,
        "severity": rule.severity.value,
        "enabled": "1" if rule.enabled else "",
    }


def groups(kind: RuleKind) -> tuple[str, ...]:
    """Return what a kind of rule can be told apart by."""
    return POLICY_GROUPS if kind is RuleKind.POLICY_SPIKE else USAGE_GROUPS


def version(held: Held) -> str:
    """Return what changes whenever somebody changes a rule."""
    return _UNCHANGED if held.updated_at is None else held.updated_at.isoformat()


def _part(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 9)


def _number(value: float) -> str:
    return f"{round(value, 9):.10g}"
