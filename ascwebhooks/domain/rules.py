"""Rules: what opens an incident, and what is asked of a rule before it is kept.

A rule's kind says what it looks at, and which parameters it takes; what is left out
is the kind's own.  ``DEFAULTS`` hold for every tenant that does not say otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from ascwebhooks.domain.globs import fits
from ascwebhooks.domain.incidents import NoData, Terms
from ascwebhooks.errors import InvalidInput


class RuleKind(StrEnum):
    """What a rule looks at."""

    ERROR_RATE = "error_rate"
    OUTAGE = "outage"
    LATENCY = "latency"
    RATE_LIMIT = "rate_limit"
    POLICY_SPIKE = "policy_spike"
    FALLBACK = "fallback"
    FALLBACK_EXHAUSTED = "fallback_exhausted"
    APPROVED_MODELS = "approved_models"
    ALLOWED_REGIONS = "allowed_regions"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Measure(StrEnum):
    """What a latency rule measures."""

    DURATION = "duration"
    TIME_TO_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - no secret


#: What usage can be told apart by, and what violations can.
USAGE_GROUPS = ("provider", "model", "region", "deployment")
POLICY_GROUPS = ("policy", "team")
MAX_WINDOW_S = 3_600
MAX_PATTERNS = 200
MAX_PATTERN_CHARACTERS = 200
MAX_NAME_CHARACTERS = 200
#: A tenant has at most so many rules of its own, and a rule so many incidents at once.
MAX_RULES = 100
MAX_INCIDENTS = 100
_DAY_S = 86_400
_MAX_COUNT = 1_000_000_000

#: Kinds that are noticed on signals, rather than measured in windows.
OF_SIGNALS = frozenset(
    {
        RuleKind.FALLBACK,
        RuleKind.FALLBACK_EXHAUSTED,
        RuleKind.APPROVED_MODELS,
        RuleKind.ALLOWED_REGIONS,
    }
)
_LISTED = frozenset({RuleKind.APPROVED_MODELS, RuleKind.ALLOWED_REGIONS})
_SHARES = frozenset({RuleKind.ERROR_RATE, RuleKind.OUTAGE})


@dataclass(frozen=True, slots=True)
class Spec:
    """A rule's parameters; None where its kind does not take one.

    ``provider`` to ``policy`` are globs that narrow what it looks at.  ``threshold``
    and ``resolve_threshold`` are shares (0 to 1), milliseconds or counts, as the kind
    has it.  ``allowed`` lists globs of models or of regions.
    """

    provider: str | None = None
    model: str | None = None
    region: str | None = None
    deployment: str | None = None
    policy: str | None = None
    group_by: tuple[str, ...] | None = None
    window_s: int | None = None
    min_requests: int | None = None
    threshold: float | None = None
    resolve_threshold: float | None = None
    for_s: int | None = None
    repeat_s: int | None = None
    no_data: NoData | None = None
    measure: Measure | None = None
    quantile: float | None = None
    allowed: tuple[str, ...] | None = None
    quiet_s: int | None = None


PARAMETERS = tuple(each.name for each in fields(Spec))
#: A change of these leaves an incident what it is.
_ASIDE = frozenset({"repeat_s", "quiet_s"})
_GLOBS = ("provider", "model", "region", "deployment")
_OPTIONAL = (*_GLOBS, "policy", "repeat_s")

_WINDOW = Spec(
    group_by=("provider", "model"),
    window_s=300,
    min_requests=20,
    for_s=0,
    repeat_s=3_600,
    no_data=NoData.RESOLVE,
)
_NOTICED = Spec(repeat_s=3_600, quiet_s=900)
#: What a kind takes, by what it has of its own where nothing is given.
_OWN: dict[RuleKind, Spec] = {
    RuleKind.ERROR_RATE: replace(_WINDOW, threshold=0.25),
    RuleKind.OUTAGE: replace(
        _WINDOW, group_by=("provider",), window_s=60, min_requests=10, threshold=0.9
    ),
    RuleKind.LATENCY: replace(
        _WINDOW, threshold=10_000.0, measure=Measure.DURATION, quantile=0.95
    ),
    RuleKind.RATE_LIMIT: replace(_WINDOW, window_s=60, min_requests=1, threshold=10.0),
    RuleKind.POLICY_SPIKE: replace(
        _WINDOW, group_by=POLICY_GROUPS, min_requests=1, threshold=20.0
    ),
    RuleKind.FALLBACK: _NOTICED,
    # A request may still be answered by the next one in line.
    RuleKind.FALLBACK_EXHAUSTED: replace(_NOTICED, for_s=10),
    RuleKind.APPROVED_MODELS: replace(_NOTICED, allowed=(), repeat_s=_DAY_S),
    RuleKind.ALLOWED_REGIONS: replace(_NOTICED, allowed=(), repeat_s=_DAY_S),
}
#: What a resolve threshold is of the threshold, where none is given.
_RESOLVES_AT = {RuleKind.LATENCY: 0.8}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a tenant's, or one that holds by default."""

    id: UUID
    name: str
    kind: RuleKind
    spec: Spec
    severity: Severity = Severity.WARNING
    enabled: bool = True

    @property
    def revision(self) -> str:
        """Return what changes with what the rule looks at."""
        kept = {k: v for k, v in asdict(self.spec).items() if k not in _ASIDE}
        encoded = msgspec.json.encode([self.kind, kept], order="sorted")
        return hashlib.sha256(encoded).hexdigest()[:16]

    @property
    def terms(self) -> Terms:
        """Return when its incidents open and resolve."""
        spec, none = self.spec, Terms()
        return Terms(
            threshold=_or(spec.threshold, none.threshold),
            resolve_threshold=_or(spec.resolve_threshold, none.resolve_threshold),
            minimum=spec.min_requests or 1,
            for_=timedelta(seconds=spec.for_s or 0),
            repeat=timedelta(seconds=spec.repeat_s) if spec.repeat_s else None,
            no_data=spec.no_data or NoData.RESOLVE,
            quiet=timedelta(seconds=spec.quiet_s or 0),
        )

    @property
    def window(self) -> timedelta:
        """Return how far it looks back."""
        return timedelta(seconds=self.spec.window_s or 0)


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def complete(kind: RuleKind, given: Mapping[str, Any]) -> Spec:
    """Return a rule's parameters, its kind's own where none is given.

    Raises:
        InvalidInput: If one is out of its bounds, or its kind does not take it.
    """
    own = _OWN[kind]
    for name, value in given.items():
        if value is not None and not takes(kind, name):
            _refuse(name, f"a rule of kind {kind} does not take it.")
    said = {name: value for name, value in given.items() if value is not None}
    # No repeating is something that one may want.
    if "repeat_s" in given:
        said["repeat_s"] = given["repeat_s"]
    spec = replace(own, **_read(said))
    if spec.threshold is not None and spec.resolve_threshold is None:
        share = _RESOLVES_AT.get(kind, 0.5)
        spec = replace(spec, resolve_threshold=spec.threshold * share)
    _check(kind, spec)
    return spec


def _read(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by their types."""
    for name, value in said.items():
        if name in ("group_by", "allowed") and isinstance(value, list | tuple):
            said = {**said, name: list(dict.fromkeys(map(str, value)))}
    for name in said:
        try:
            msgspec.convert({name: said[name]}, Spec)
        except msgspec.ValidationError as error:
            _refuse(name, f"{error}.")
    whole = msgspec.convert(said, Spec)
    return {name: getattr(whole, name) for name in said}


def takes(kind: RuleKind, name: str) -> bool:
    """Return whether rules of a kind have a parameter."""
    if name == "policy":
        return kind is RuleKind.POLICY_SPIKE
    if name in _GLOBS:
        return kind is not RuleKind.POLICY_SPIKE
    if name == "resolve_threshold":
        return kind not in OF_SIGNALS
    return getattr(_OWN[kind], name) is not None


def _refuse(name: str, why: str) -> None:
    raise InvalidInput(f"{name}: {why}", field=name)


def _check(kind: RuleKind, spec: Spec) -> None:
    _between("window_s", spec.window_s, 60, MAX_WINDOW_S)
    if spec.window_s is not None and spec.window_s % 60:
        _refuse("window_s", "it is a number of whole minutes.")
    _between("min_requests", spec.min_requests, 1, _MAX_COUNT)
    _between("for_s", spec.for_s, 0, _DAY_S)
    _between("repeat_s", spec.repeat_s, 60, 30 * _DAY_S)
    _between("quiet_s", spec.quiet_s, 60, 30 * _DAY_S)
    _between("quantile", spec.quantile, 0.01, 1)
    most = 1 if kind in _SHARES else _MAX_COUNT
    _between("threshold", spec.threshold, 0.001, most)
    _between("resolve_threshold", spec.resolve_threshold, 0, most)
    if (spec.resolve_threshold or 0) > (spec.threshold or 0):
        _refuse("resolve_threshold", "it is no higher than the threshold.")
    _check_groups(kind, spec.group_by)
    _check_patterns(kind, spec)


def _between(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        _refuse(name, f"it is from {low} to {high}.")


def _check_groups(kind: RuleKind, groups: tuple[str, ...] | None) -> None:
    known = POLICY_GROUPS if kind is RuleKind.POLICY_SPIKE else USAGE_GROUPS
    for each in groups or ():
        if each not in known:
            _refuse("group_by", f"{each[:64]!r} is none of {', '.join(known)}.")


def _check_patterns(kind: RuleKind, spec: Spec) -> None:
    if kind in _LISTED and not spec.allowed:
        _refuse("allowed", "name at least one; '*' stands for any characters.")
    if len(spec.allowed or ()) > MAX_PATTERNS:
        _refuse("allowed", f"at most {MAX_PATTERNS}.")
    given = {name: getattr(spec, name) for name in (*_GLOBS, "policy")}
    listed = [("allowed", each) for each in spec.allowed or ()]
    for name, text in (*given.items(), *listed):
        if text is not None and not 0 < len(text) <= MAX_PATTERN_CHARACTERS:
            _refuse(name, f"a pattern has 1 to {MAX_PATTERN_CHARACTERS} characters.")


def plain(spec: Spec) -> dict[str, Any]:
    """Return parameters as JSON has them."""
    kept = {k: v for k, v in asdict(spec).items() if v is not None}
    found: dict[str, Any] = msgspec.to_builtins(kept)
    return found


def from_plain(kept: Mapping[str, Any]) -> Spec:
    """Return parameters from what ``plain`` returned, of whatever version of ours."""
    known = {name: kept[name] for name in PARAMETERS if name in kept}
    return msgspec.convert(known, Spec)


def narrows_to(spec: Spec, names: tuple[str, str, str, str]) -> bool:
    """Return whether a rule looks at this provider, model, region and deployment."""
    wanted = (spec.provider, spec.model, spec.region, spec.deployment)
    return all(map(fits, names, wanted))
