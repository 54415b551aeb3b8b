"""Measures: what a rule sees in a window of usage or violations, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from ascwebhooks.domain import usage
from ascwebhooks.domain.globs import fits
from ascwebhooks.domain.incidents import NOTHING, NoData, Reading
from ascwebhooks.domain.rules import (
    POLICY_GROUPS,
    USAGE_GROUPS,
    Measure,
    Rule,
    RuleKind,
    narrows_to,
)
from ascwebhooks.domain.usage import Tally, window_begins
from ascwebhooks.domain.violations import ViolationKey

Names = tuple[str, str, str, str]
_Group = TypeVar("_Group", bound=tuple[str, ...])
_encode = msgspec.json.Encoder(order="sorted").encode
_COUNTED = frozenset({RuleKind.RATE_LIMIT, RuleKind.POLICY_SPIKE})


class Seen(NamedTuple):
    """A tenant's recent minutes; of usage, all currencies of one together."""

    usage: Mapping[datetime, Mapping[Names, Tally]]
    violations: Mapping[ViolationKey, int]


class Measured(NamedTuple):
    """A group, what its window shows, and how an event tells it."""

    subject: dict[str, str]
    reading: Reading
    facts: dict[str, Any]


def subject_key(subject: Mapping[str, str]) -> str:
    """Return what a group is known again by."""
    return _encode(subject).decode()


def nothing(rule: Rule) -> Reading:
    """Return what the window of a group shows in which nothing happened."""
    return Reading(0, 0.0) if rule.kind in _COUNTED else NOTHING


class Windows:
    """The windows of a tenant that end at one time, each summed up once."""

    def __init__(self, seen: Seen, now: datetime) -> None:
        """Take what was seen, from the longest window's beginning on."""
        self._seen = seen
        self._now = now
        self._sums: dict[datetime, dict[Names, Tally]] = {}
        self._grouped: dict[object, dict[tuple[str, ...], Tally]] = {}

    def measured(self, rule: Rule) -> dict[str, Measured]:
        """Return what a rule sees, by ``subject_key``; a group of nobody is none."""
        if rule.kind is RuleKind.POLICY_SPIKE:
            return self._violations(rule)
        wanted, found = rule.spec.group_by or (), {}
        for values, tally in self._groups(rule).items():
            if any(values) or not wanted:
                subject = dict(zip(wanted, values, strict=True))
                found[subject_key(subject)] = Measured(subject, *_read(rule, tally))
        return found

    def _groups(self, rule: Rule) -> dict[tuple[str, ...], Tally]:
        """Return what a rule's window comes to by group, for others like it too."""
        spec = rule.spec
        silent = spec.no_data is NoData.ALERT
        narrow = (spec.provider, spec.model, spec.region, spec.deployment)
        alike = (spec.window_s, spec.group_by, narrow, silent)
        if alike in self._grouped:
            return self._grouped[alike]
        places = [USAGE_GROUPS.index(each) for each in spec.group_by or ()]
        rows = self._usage(rule).items()
        found = _summed(
            (tuple([names[place] for place in places]), tally)
            for names, tally in ((*self._silent(), *rows) if silent else rows)
            if narrows_to(spec, names)
        )
        return self._grouped.setdefault(alike, found)

    def _silent(self) -> list[tuple[Names, Tally]]:
        """Return what was heard of lately, for a rule that tells of silence."""
        minutes = self._seen.usage.values()
        return [(names, Tally()) for minute in minutes for names in minute]

    def _usage(self, rule: Rule) -> dict[Names, Tally]:
        begins = window_begins(self._now, rule.window)
        if begins not in self._sums:
            rows = (
                (names, tally)
                for at, minute in self._seen.usage.items()
                if begins <= at <= self._now
                for names, tally in minute.items()
            )
            self._sums[begins] = _summed(rows)
        return self._sums[begins]

    def _violations(self, rule: Rule) -> dict[str, Measured]:
        begins = window_begins(self._now, rule.window)
        wanted = rule.spec.group_by or ()
        places = [2 + POLICY_GROUPS.index(each) for each in wanted]
        groups: dict[tuple[str, ...], int] = {}
        for key, count in self._seen.violations.items():
            if begins <= key.at <= self._now and fits(key.policy, rule.spec.policy):
                values = tuple(str(key[place]) for place in places)
                groups[values] = groups.get(values, 0) + count
        found = {}
        for values, count in groups.items():
            subject = dict(zip(wanted, values, strict=True))
            reading = Reading(count, float(count))
            found[subject_key(subject)] = Measured(subject, reading, {"total": count})
        return found


def _summed(rows: Iterable[tuple[_Group, Tally]]) -> dict[_Group, Tally]:
    found: dict[_Group, Tally] = {}
    for group, tally in rows:
        if group in found:
            found[group].add(tally)
        else:
            found[group] = Tally(tally.counts, tally.spend)
    return found


def _read(rule: Rule, tally: Tally) -> tuple[Reading, dict[str, Any]]:
    match rule.kind:
        case RuleKind.LATENCY:
            return _latency(rule, tally)
        case RuleKind.RATE_LIMIT:
            count = tally.of("rate_limited")
            total = max(tally.requests, count)
            return Reading(total, float(count)), {"total": total, "errors": count}
        case _:
            return _errors(tally)


def _errors(tally: Tally) -> tuple[Reading, dict[str, Any]]:
    total, errors = tally.answered, tally.faults
    if not total:
        return NOTHING, {"total": 0}
    facts = {
        "total": total,
        "errors": errors,
        "error_rate": round(errors / total, 6),
        "by_status": tally.by_status,
    }
    return Reading(total, errors / total), facts


def _latency(rule: Rule, tally: Tally) -> tuple[Reading, dict[str, Any]]:
    first = rule.spec.measure is Measure.TIME_TO_FIRST_TOKEN
    buckets = tally.first_tokens if first else tally.durations
    value = usage.quantile_ms(buckets, rule.spec.quantile or 0.95)
    if value is None:
        return NOTHING, {"total": 0}
    return Reading(sum(buckets), value), {
        "total": sum(buckets),
        "value_ms": round(value, 1),
    }
