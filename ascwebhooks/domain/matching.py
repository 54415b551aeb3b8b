"""Which endpoints want an event: exact types and globs.

``*`` stands for any run of characters, dots among them: ``budget.*`` takes
``budget.exceeded`` and ``budget.team.exceeded``; ``*`` takes everything.  A filter is
asked only where the type fits and nothing else of that endpoint's took the event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.filters import Broken, Facts, Filter
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput

_PATTERN = re.compile(r"[!-~]{1,128}\Z")
_MEMO_LIMIT = 1_000
MAX_EVENT_TYPES = 100


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one endpoint wants; ``id`` names it where its filter says no."""

    endpoint_id: UUID
    event_types: tuple[str, ...]
    id: UUID | None = None
    filter: Filter | Broken | None = None


class Asked(NamedTuple):
    """A subscription that takes an event if its filter does."""

    endpoint_id: UUID
    subscription_id: UUID
    filter: Filter | Broken


class Match(NamedTuple):
    """Who takes a type: in any case, and if a filter says so; in order of endpoint."""

    endpoints: tuple[UUID, ...]
    asked: tuple[Asked, ...] = ()


class Chosen(NamedTuple):
    """Which endpoints get an event, and ``event.not_sent``."""

    endpoints: tuple[UUID, ...]
    not_sent: dict[str, Any] | None = None


_NOBODY = Match(())
#: Of so many endpoints an event says that they were out of service when it came; an
#: explanation of the others can only say what may be.
MOST_OUT_OF_SERVICE = 100


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with an event type or glob, or None."""
    if _PATTERN.match(pattern):
        return None
    return "an event type is 1 to 128 visible ASCII characters; '*' stands for any."


def check_event_types(event_types: Sequence[str]) -> None:
    """Raise InvalidInput unless these can be subscribed to."""
    if len(event_types) > MAX_EVENT_TYPES:
        raise InvalidInput(
            f"event_types has {len(event_types)} entries; at most {MAX_EVENT_TYPES}.",
            field="event_types",
        )
    for each in event_types:
        problem = pattern_problem(each)
        if problem:
            raise InvalidInput(f"event_types: {each!r}: {problem}", field="event_types")


def glob(pattern: str) -> re.Pattern[str]:
    """Return what a pattern stands for; ``*`` is any run of characters."""
    # Each inner part is atomic: the first place it fits is the best one, and a
    # tenant's "*a*a*a*b" cannot make the matcher backtrack for ever.
    first, *inner, last = map(re.escape, re.split(r"\*+", pattern))
    middle = "".join(f"(?>.*?{part})" for part in inner)
    return re.compile(rf"(?s:{first}{middle}.*{last})\Z")


class Matcher:
    """The subscriptions of one tenant, prepared.

    Types are open, so the memo of answers is bounded: past the limit it starts
    anew.
    """

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        """Prepare the subscriptions; their order does not matter."""
        self._exact: dict[str, list[Subscription]] = {}
        self._globs: list[tuple[re.Pattern[str], Subscription]] = []
        self._memo: dict[str, Match] = {}
        for subscription in subscriptions:
            for pattern in subscription.event_types:
                self._add(pattern, subscription)

    def _add(self, pattern: str, subscription: Subscription) -> None:
        if "*" not in pattern:
            self._exact.setdefault(pattern, []).append(subscription)
            return
        self._globs.append((glob(pattern), subscription))

    def match(self, event_type: str) -> Match:
        """Return who wants this type, each endpoint once, in order of id."""
        found = self._memo.get(event_type)
        if found is None:
            found = self._find(event_type)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[event_type] = found
        return found

    def _find(self, event_type: str) -> Match:
        fitting = [
            *self._exact.get(event_type, ()),
            *(each for regex, each in self._globs if regex.match(event_type)),
        ]
        if not fitting:
            return _NOBODY
        sure = {each.endpoint_id for each in fitting if each.filter is None}
        asked = {
            Asked(each.endpoint_id, each.id, each.filter)
            for each in fitting
            if each.filter and each.id and each.endpoint_id not in sure
        }
        return Match(
            tuple(sorted(sure)), tuple(sorted(asked, key=lambda each: each[:2]))
        )


def choose(match: Match, facts: Facts) -> Chosen:
    """Return which endpoints get an event whose type matched.

    Args:
        match: With filters to ask; without, ``match.endpoints`` is the answer.
        facts: The event, as filters see it.
    """
    taken: list[UUID] = []
    filtered: list[str] = []
    failed: dict[str, str] = {}
    for endpoint_id, group in groupby(match.asked, key=lambda each: each.endpoint_id):
        refusals = _refusals(group, facts)
        if refusals is None:
            taken.append(endpoint_id)
            continue
        for name, error in refusals.items():
            if error is None:
                filtered.append(name)
            else:
                failed[name] = error
    every = {"filtered": filtered, "failed": failed}
    not_sent = {name: each for name, each in every.items() if each}
    return Chosen(tuple(sorted((*match.endpoints, *taken))), not_sent or None)


def without(
    chosen: Chosen, out: Mapping[UUID, str], most: int = MOST_OUT_OF_SERVICE
) -> Chosen:
    """Return who gets an event of those chosen: not who is out of service.

    Args:
        chosen: Who would get it.
        out: Why a delivery to an endpoint would be dead from birth, where it would.
        most: Of so many the reason is kept on the event.
    """
    kept = tuple(each for each in chosen.endpoints if each not in out)
    if len(kept) == len(chosen.endpoints):
        return chosen
    told = [each for each in chosen.endpoints if each in out][:most]
    reasons = {ids.show(Kind.ENDPOINT, each): out[each] for each in told}
    return Chosen(kept, {**(chosen.not_sent or {}), "out_of_service": reasons})


def _refusals(asked: Iterable[Asked], facts: Facts) -> dict[str, str | None] | None:
    """Return each subscription's error, if any; None if one takes the event."""
    refusals = {}
    for each in asked:
        answer = each.filter.answer(facts)
        if answer.matched:
            return None
        refusals[ids.show(Kind.SUBSCRIPTION, each.subscription_id)] = answer.error
    return refusals
