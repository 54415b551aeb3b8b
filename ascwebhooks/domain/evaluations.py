"""Evaluating: what becomes of a tenant's incidents as time goes by.

Everything that was seen goes in, and decisions come out: nothing is read or written
here, so a decision is the same whoever makes it, however often.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain import exhaustion
from ascwebhooks.domain.incidents import (
    Ended,
    Phase,
    Standing,
    Step,
    advance,
    noticed,
    pass_time,
    resolve,
)
from ascwebhooks.domain.measures import Measured, Seen, Windows, nothing
from ascwebhooks.domain.noticing import Noticed
from ascwebhooks.domain.rules import MAX_INCIDENTS, OF_SIGNALS, Rule, RuleKind


@dataclass(frozen=True, slots=True)
class Live:
    """An incident that is pending or open, as it is kept."""

    id: UUID
    rule_id: UUID
    rule_name: str
    kind: str
    severity: str
    revision: str
    subject: dict[str, str]
    key: str
    facts: dict[str, Any]
    standing: Standing


class Decision(NamedTuple):
    """What becomes of an incident.

    ``live`` is None for a new one, ``rule`` for one whose rule is gone or another.
    """

    live: Live | None
    rule: Rule | None
    subject: dict[str, str]
    key: str
    facts: dict[str, Any]
    step: Step


def evaluate(
    rules: Sequence[Rule], live: Sequence[Live], seen: Seen, now: datetime
) -> list[Decision]:
    """Return what becomes of a tenant's incidents, and which are new.

    Args:
        rules: Those of the tenant, switched off or not.
        live: Its incidents that are not resolved.
        seen: Its minutes, from the longest window's beginning on.
        now: PostgreSQL's clock.
    """
    by_id = {each.id: each for each in rules}
    orphans = {each.id for each in live if _why_over(each, by_id) is not None}
    decisions = [_ended(each, by_id, now) for each in live if each.id in orphans]
    mine = [each for each in live if each.id not in orphans]
    windows = Windows(seen, now)
    for rule in rules:
        if rule.enabled:
            theirs = [each for each in mine if each.rule_id == rule.id]
            if rule.kind in OF_SIGNALS:
                decisions += _aged(rule, theirs, now)
            else:
                decisions += _measured(rule, theirs, windows.measured(rule), now)
    return [each for each in decisions if _matters(each)]


def _why_over(live: Live, rules: dict[UUID, Rule]) -> Ended | None:
    rule = rules.get(live.rule_id)
    if rule is None:
        return Ended.RULE_DELETED
    if not rule.enabled:
        return Ended.RULE_DISABLED
    return None if rule.revision == live.revision else Ended.RULE_CHANGED


def _ended(live: Live, rules: dict[UUID, Rule], now: datetime) -> Decision:
    why = _why_over(live, rules) or Ended.RULE_DELETED
    step = resolve(live.standing, why, now)
    return Decision(live, None, live.subject, live.key, live.facts, step)


def _aged(rule: Rule, live: Iterable[Live], now: datetime) -> Iterator[Decision]:
    for each in live:
        step = pass_time(each.standing, rule.terms, now)
        facts = exhaustion.opened(each.facts) if step.tell else each.facts
        yield Decision(each, rule, each.subject, each.key, facts, step)


def _measured(
    rule: Rule, live: Iterable[Live], found: dict[str, Measured], now: datetime
) -> Iterator[Decision]:
    terms, known = rule.terms, {each.key: each for each in live}
    room = MAX_INCIDENTS - len(known)
    for key, each in known.items():
        group = found.get(key) or Measured(each.subject, nothing(rule), {"total": 0})
        step = advance(each.standing, group.reading, terms, now)
        yield Decision(each, rule, each.subject, key, group.facts, step)
    for key in sorted(found.keys() - known.keys()):
        group = found[key]
        step = advance(None, group.reading, terms, now)
        if step.standing is not None and room > 0:
            room -= 1
            yield Decision(None, rule, group.subject, key, group.facts, step)


def _matters(decision: Decision) -> bool:
    before = decision.live.standing if decision.live else None
    return decision.step.standing != before


#: So much later a signal must be for it to be worth a write that tells nothing.
_SEEN_GRAIN = timedelta(seconds=10)


def take_notice(
    shown: Iterable[Noticed],
    live: Iterable[Live],
    used: Mapping[UUID, int],
    now: datetime,
) -> list[Decision]:
    """Return what signals make of a tenant's incidents.

    Of what signals of one batch say of a subject, the last word counts; of fallbacks
    each does, for each request is another's.

    Args:
        shown: What the signals show (``noticing.notice``), in the order they came.
        live: Their incidents that are not resolved.
        used: How many incidents each of these rules has that are not resolved.
        now: PostgreSQL's clock.
    """
    found = {(each.rule_id, each.key): each for each in live}
    counts = Counter(used)
    groups: dict[tuple[UUID, str], list[Noticed]] = defaultdict(list)
    for each in shown:
        groups[each.rule.id, each.key].append(each)
    made = []
    for name, group in sorted(groups.items()):
        there, rule = found.get(name), group[-1].rule
        if there is None and counts[rule.id] >= MAX_INCIDENTS:
            continue
        if there is not None and there.revision != rule.revision:
            continue  # the next evaluation ends it
        decision = _heard(there, group, now)
        if _is_worth(decision):
            counts[rule.id] += there is None
            made.append(decision)
    return made


def _heard(there: Live | None, group: Sequence[Noticed], now: datetime) -> Decision:
    """Return what signals make of one subject's incident, if there is one."""
    last = group[-1]
    rule, before = last.rule, there.standing if there else None
    kept = there.facts if there else {}
    is_open = before is not None and before.phase is Phase.OPEN
    if rule.kind is RuleKind.FALLBACK_EXHAUSTED and not is_open:
        step, facts = exhaustion.hear(kept, group, rule.terms, now)
    elif before is not None and all(each.over for each in group):
        step, facts = Step(before), kept
    else:
        step = noticed(before, rule.terms, now)
        facts = last.facts if step.tell or before is None else kept
    return Decision(there, rule, last.subject, last.key, facts, step)


def _is_worth(decision: Decision) -> bool:
    """Return whether a decision is to be written: not that it was seen just now."""
    before, after = decision.live, decision.step.standing
    if before is None or after is None or decision.step.tell is not None:
        return before is not None or after is not None
    if after.phase is Phase.PENDING:
        return decision.facts != before.facts
    return after.seen_at - before.standing.seen_at >= _SEEN_GRAIN
