"""Exhaustion: which requests wait for a fallback that answers them.

The fallbacks of one model answer some requests and leave others without.  So what is
kept of an incident that nobody was told of yet is each request that waits, by its
trace, and only its own answer ends that.  Of gateways that tell no traces any answer
counts.  Once it is open, it is over when no fallback has failed for a while: an answer
to one request says nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ascwebhooks.domain.incidents import Phase, Standing, Step, Terms, pass_time
from ascwebhooks.domain.noticing import Noticed

#: So many requests are waited for at once; one that is not answered is enough to tell.
MOST_WAITING = 50
_WAITING = "waiting"


def hear(
    facts: Mapping[str, Any], shown: Iterable[Noticed], terms: Terms, now: datetime
) -> tuple[Step, dict[str, Any]]:
    """Return what signals make of an incident that is not open, and its facts.

    Args:
        facts: Of the incident that is pending; none if there is none.
        shown: Of one subject, in the order they came.
        terms: Of the rule.
        now: PostgreSQL's clock.
    """
    waiting = dict(facts.get(_WAITING, {}))
    for each in shown:
        if each.over:
            waiting.pop(each.trace, None)
        elif len(waiting) < MOST_WAITING:
            met = {"since": now.isoformat(), "facts": each.facts}
            waiting.setdefault(each.trace, met)
    if not waiting:
        return Step(None), {}
    since = min(_since(each) for each in waiting.values())
    step = pass_time(Standing(Phase.PENDING, since, since), terms, now)
    kept = {_WAITING: waiting}
    return step, opened(kept) if step.tell else kept


def opened(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of an incident that opens: of who has waited longest."""
    waiting = facts.get(_WAITING)
    if not waiting:
        return dict(facts)
    found: dict[str, Any] = min(waiting.values(), key=_since)["facts"]
    return found


def _since(met: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(met["since"])
