"""Rules and incidents in words that a person understands at night."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from ascwebhooks.domain.incidents import Ended, NoData, Phase
from ascwebhooks.domain.rules import Measure, Rule, RuleKind, Severity
from ascwebhooks.services.rules import Origin
from ascwebhooks.web.admin import charts, words
from ascwebhooks.web.admin.outcomes import Look


class Words(NamedTuple):
    """A kind of rule: what it is called, what it watches, and what to do about it."""

    name: str
    watches: str
    advice: str


KINDS: dict[str, Words] = {
    RuleKind.ERROR_RATE: Words(
        "Error rate",
        "The share of requests that fail.",
        "Look at the status codes: 401 and 403 are keys, 429 is a quota, 5xx is the"
        " provider. Route around it until it is over.",
    ),
    RuleKind.OUTAGE: Words(
        "Outage",
        "That nearly everything at a provider fails.",
        "Look at the provider's status page, and send requests to another one.",
    ),
    RuleKind.LATENCY: Words(
        "Latency",
        "How long answers, or their first tokens, take.",
        "Look whether one deployment or region is slow, and take it out.",
    ),
    RuleKind.RATE_LIMIT: Words(
        "Rate limits",
        "How often a provider answers that the limit is reached.",
        "Raise the quota, spread the load, or slow the caller down.",
    ),
    RuleKind.POLICY_SPIKE: Words(
        "Policy violations",
        "How many violations of a policy there are.",
        "Look who causes them: one team, one application, or a policy that is new.",
    ),
    RuleKind.FALLBACK: Words(
        "Fallback",
        "That a request was answered by another model than was asked for.",
        "Look why the first model failed; answers cost and read differently now.",
    ),
    RuleKind.FALLBACK_EXHAUSTED: Words(
        "No fallback left",
        "That all models in line failed, and the caller got an error.",
        "Callers see errors now. Add a model from another provider to the line.",
    ),
    RuleKind.APPROVED_MODELS: Words(
        "Approved models",
        "That a model is used that is not in the list.",
        "Approve the model in the rule, or have the gateway refuse it.",
    ),
    RuleKind.ALLOWED_REGIONS: Words(
        "Allowed regions",
        "That a provider's region is used that is not in the list.",
        "Data may have left where it has to stay: have the gateway refuse the region.",
    ),
}
SEVERITIES: dict[str, Look] = {
    Severity.INFO: Look("Info", "info", "info-circle"),
    Severity.WARNING: Look("Warning", "warning", "exclamation-triangle"),
    Severity.CRITICAL: Look("Critical", "danger", "exclamation-octagon"),
}
PHASES: dict[str, Look] = {
    Phase.PENDING: Look("Pending", "neutral", "hourglass-split"),
    Phase.OPEN: Look("Open", "danger", "exclamation-octagon"),
    Phase.RESOLVED: Look("Resolved", "success", "check-circle"),
}
ENDED: dict[str, str] = {
    Ended.RECOVERED: "It went below the line that resolves it.",
    Ended.QUIET: "It was not seen again for a while.",
    Ended.NO_DATA: "There was no traffic any more to see it in.",
    Ended.RULE_CHANGED: "The rule was changed to look at something else.",
    Ended.RULE_DISABLED: "The rule was turned off.",
    Ended.RULE_DELETED: "The rule was deleted.",
}
ORIGINS: dict[str, tuple[str, str]] = {
    Origin.OWN: ("Own", "info"),
    Origin.DEFAULT: ("Default", "neutral"),
    Origin.CHANGED_DEFAULT: ("Default, changed", "warning"),
}
NO_DATA: dict[str, str] = {
    NoData.RESOLVE: "Resolve the incident",
    NoData.KEEP: "Keep it open",
    NoData.ALERT: "Open one: silence is the trouble",
}
MEASURES: dict[str, str] = {
    Measure.DURATION: "Whole answers",
    Measure.TIME_TO_FIRST_TOKEN: "First tokens",
}
SUBJECTS = {
    "provider": "Provider",
    "model": "Model",
    "region": "Region",
    "deployment": "Deployment",
    "policy": "Policy",
    "team": "Team",
    "from_model": "Asked for",
    "to_model": "Answered by",
    "requested_region": "Region",
}
_FACTS = {
    "total": "Requests in the window",
    "errors": "Failed",
    "error_rate": "Share that failed",
    "value_ms": "Measured",
    "by_status": "By status",
    "to_model": "Answered by",
    "request_id": "Request",
    "error.type": "Error",
    "key_id": "Key",
    "org_id": "Organisation",
    "team_id": "Team",
    "user_id": "User",
}


def sentence(rule: Rule) -> str:
    """Return in a sentence when a rule opens an incident."""
    spec, each = rule.spec, _each(rule.spec.group_by)
    within = words.span(rule.window)
    held = f" for {_seconds(spec.for_s)}" if spec.for_s else ""
    least = f" (of {spec.min_requests:,} or more)" if spec.min_requests else ""
    at = spec.threshold or 0
    match rule.kind:
        case RuleKind.ERROR_RATE | RuleKind.OUTAGE:
            said = f"{_percent(at)} of the requests{least} fail within {within}"
        case RuleKind.LATENCY:
            what = "first tokens" if _is_first(rule) else "answers"
            slow = _percent(1 - (spec.quantile or 0.95))
            took = charts.duration(at)
            said = f"{slow} of {what}{least} take {took} or longer within {within}"
        case RuleKind.RATE_LIMIT:
            said = f"{at:,.0f} requests hit a rate limit within {within}"
        case RuleKind.POLICY_SPIKE:
            said = f"there are {at:,.0f} violations within {within}"
        case RuleKind.FALLBACK:
            said = "another model answers than was asked for"
        case RuleKind.FALLBACK_EXHAUSTED:
            said = "no model in line answers"
        case RuleKind.APPROVED_MODELS:
            said = f"a model is used that is none of {_some(spec.allowed)}"
        case RuleKind.ALLOWED_REGIONS:
            said = f"a region is used that is none of {_some(spec.allowed)}"
    return f"Opens when {said}{held}{each}."


def over(rule: Rule) -> str:
    """Return in a sentence when a rule's incident is over, and is told again."""
    spec, at = rule.spec, rule.spec.resolve_threshold
    if spec.quiet_s:
        ends = f"Resolves when not seen for {_seconds(spec.quiet_s)}"
    elif rule.kind in (RuleKind.ERROR_RATE, RuleKind.OUTAGE):
        ends = f"Resolves below {_percent(at or 0)}"
    elif rule.kind is RuleKind.LATENCY:
        ends = f"Resolves below {charts.duration(at)}"
    else:
        ends = f"Resolves below {at or 0:,.0f}"
    again = (
        f"told again each {_seconds(spec.repeat_s)}" if spec.repeat_s else "told once"
    )
    return f"{ends}; {again} while it is open."


def narrowed(rule: Rule) -> list[tuple[str, str]]:
    """Return what a rule looks at alone: names and patterns."""
    return [
        (SUBJECTS[name], value)
        for name in ("provider", "model", "region", "deployment", "policy")
        if (value := getattr(rule.spec, name)) is not None
    ]


def about(subject: Mapping[str, str]) -> str:
    """Return what an incident is about."""
    named = [value for _, value in parts(subject)]
    return (" → " if "to_model" in subject else " / ").join(named) or "All together"


def parts(subject: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what an incident is about: names that people read, and values."""
    order = list(SUBJECTS)
    known = sorted(subject.items(), key=lambda each: _place(each[0], order))
    return [(SUBJECTS.get(name, name), value) for name, value in known if value]


def facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a rule saw, by names that people read."""
    return [
        (_FACTS.get(name, name.replace("_", " ").capitalize()), _value(name, value))
        for name, value in found.items()
        if value is not None and value != {}
    ]


def summary(found: Mapping[str, Any]) -> str:
    """Return what a rule saw in a few words; nothing if that is in no number."""
    if "error_rate" in found:
        share = charts.percent(found["error_rate"])
        return f"{share} of {found.get('total', 0):,} failed"
    if "value_ms" in found:
        return charts.duration(found["value_ms"])
    if "errors" in found:
        return f"{found['errors']:,} of {found.get('total', 0):,}"
    return f"{found['total']:,}" if "total" in found else ""


def lasted(since: Any, until: Any) -> str:
    """Return how long something lasted, in words."""
    return words.span(until - since)


def _value(name: str, value: Any) -> str:
    if name == "error_rate":
        return charts.percent(value)
    if name.endswith("_ms"):
        return charts.duration(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{each}: {count}" for each, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _each(groups: tuple[str, ...] | None) -> str:
    if groups is None:
        return ""
    return f", for each {' and '.join(groups)}" if groups else ", all taken together"


def _some(allowed: tuple[str, ...] | None) -> str:
    listed = allowed or ()
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def _place(name: str, order: list[str]) -> int:
    return order.index(name) if name in order else len(order)


def _percent(share: float) -> str:
    return f"{round(share * 100, 6):g}\u00a0%"


def _seconds(seconds: int | None) -> str:
    return words.span(timedelta(seconds=seconds or 0))


def _is_first(rule: Rule) -> bool:
    return rule.spec.measure is Measure.TIME_TO_FIRST_TOKEN
