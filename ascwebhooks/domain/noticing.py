"""Noticing: what a single signal shows to rules that need no window.

A signal that is late says nothing of how things are: it counts as usage, and opens
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from ascwebhooks.domain.globs import fits
from ascwebhooks.domain.measures import subject_key
from ascwebhooks.domain.rules import (
    MAX_PATTERN_CHARACTERS,
    OF_SIGNALS,
    Rule,
    RuleKind,
    narrows_to,
)
from ascwebhooks.domain.signals import Signal

#: What happened longer ago than this before it came is past.
LATE = timedelta(minutes=5)
_COMPLETED, _FAILED = "request.completed", "request.failed"


class Noticed(NamedTuple):
    """What a signal shows: that a rule's condition holds, or that it is over.

    ``subject`` is what an incident is about, ``facts`` how an event tells it, and
    ``trace`` which request it is, if only that one's answer ends it.
    """

    rule: Rule
    subject: dict[str, str]
    over: bool
    facts: dict[str, Any]
    trace: str = ""

    @property
    def key(self) -> str:
        """Return what the subject is known again by."""
        return subject_key(self.subject)


def noticing(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that look at single signals."""
    return [each for each in rules if each.enabled and each.kind in OF_SIGNALS]


def notice(rules: Sequence[Rule], signal: Signal) -> Iterator[Noticed]:
    """Return what a signal shows to rules (``noticing``)."""
    if not rules or signal.arrival - signal.time > LATE:
        return
    if signal.type not in {_COMPLETED, _FAILED}:
        return
    names = (
        signal.provider or "",
        signal.model or "",
        signal.region or "",
        signal.deployment_id or "",
    )
    for rule in rules:
        shown = _LOOKS[rule.kind](rule, signal)
        if shown is not None and narrows_to(rule.spec, names):
            yield shown


def _fallback(rule: Rule, signal: Signal) -> Noticed | None:
    if signal.fallback_from is None:
        return None
    subject = {"from_model": signal.fallback_from, "to_model": signal.model or ""}
    return Noticed(rule, subject, over=False, facts=_of_request(signal))


def _exhausted(rule: Rule, signal: Signal) -> Noticed | None:
    if signal.fallback_from is None:
        return None
    over = signal.type == _COMPLETED
    facts = {
        **_of_request(signal),
        "to_model": signal.model,
        "error.type": signal.error_type,
    }
    subject = {"from_model": signal.fallback_from}
    return Noticed(rule, subject, over=over, facts=facts, trace=signal.trace_id or "")


def _unapproved(rule: Rule, signal: Signal) -> Noticed | None:
    if signal.type != _COMPLETED or signal.model is None:
        return None
    if _approved(rule.spec.allowed or (), signal.model):
        return None
    facts = {
        **_of_request(signal),
        "key_id": signal.scope.key_id,
        "action": "flag",
        "reason": "the model is not one of those that are approved",
    }
    subject = {"model": signal.model, **_team(signal)}
    return Noticed(rule, subject, over=False, facts=facts)


def _abroad(rule: Rule, signal: Signal) -> Noticed | None:
    allowed = rule.spec.allowed or ()
    if signal.region is None or _any_fits(allowed, signal.region):
        return None
    facts = {
        **_of_request(signal),
        "model": signal.model,
        "allowed_regions": list(allowed),
        "action": "flag",
    }
    subject = {"requested_region": signal.region, **_team(signal)}
    return Noticed(rule, subject, over=False, facts=facts)


_LOOKS = {
    RuleKind.FALLBACK: _fallback,
    RuleKind.FALLBACK_EXHAUSTED: _exhausted,
    RuleKind.APPROVED_MODELS: _unapproved,
    RuleKind.ALLOWED_REGIONS: _abroad,
}


def _team(signal: Signal) -> dict[str, str]:
    """Return whose it is: what is told of one team must not keep another's unsaid."""
    team_id = signal.scope.team_id
    return {"team": team_id[:MAX_PATTERN_CHARACTERS]} if team_id else {}


def _of_request(signal: Signal) -> dict[str, Any]:
    scope = {name: value for name, value in signal.scope._asdict().items() if value}
    return {
        "request_id": signal.request_id,
        "provider": signal.provider,
        "region": signal.region,
        "deployment_id": signal.deployment_id,
        "scope": {**scope, "tags": list(signal.scope.tags)},
    }


def _approved(allowed: tuple[str, ...], model: str) -> bool:
    """Return whether a model is listed, by its name with the provider's or without."""
    return _any_fits(allowed, model) or _any_fits(allowed, model.partition("/")[2])


@lru_cache(maxsize=16_384)
def _any_fits(patterns: tuple[str, ...], text: str) -> bool:
    return any(fits(text, each) for each in patterns)
