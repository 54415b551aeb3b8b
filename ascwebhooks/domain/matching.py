"""Which endpoints want an event: exact types and globs.

``*`` stands for any run of characters, dots among them: ``budget.*`` takes
``budget.exceeded`` and ``budget.team.exceeded``; ``*`` takes everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ascwebhooks.errors import InvalidInput

_PATTERN = re.compile(r"[!-~]{1,128}\Z")
_MEMO_LIMIT = 1_000
MAX_EVENT_TYPES = 100


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one endpoint wants."""

    endpoint_id: UUID
    event_types: tuple[str, ...]


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


def _glob(pattern: str) -> re.Pattern[str]:
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
        self._exact: dict[str, list[UUID]] = {}
        self._globs: list[tuple[re.Pattern[str], UUID]] = []
        self._memo: dict[str, tuple[UUID, ...]] = {}
        for subscription in subscriptions:
            for pattern in subscription.event_types:
                self._add(pattern, subscription.endpoint_id)

    def _add(self, pattern: str, endpoint_id: UUID) -> None:
        if "*" not in pattern:
            self._exact.setdefault(pattern, []).append(endpoint_id)
            return
        self._globs.append((_glob(pattern), endpoint_id))

    def match(self, event_type: str) -> tuple[UUID, ...]:
        """Return the endpoints that want this type, each once, in order of id."""
        found = self._memo.get(event_type)
        if found is None:
            found = self._find(event_type)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[event_type] = found
        return found

    def _find(self, event_type: str) -> tuple[UUID, ...]:
        found = set(self._exact.get(event_type, ()))
        found.update(
            endpoint_id for regex, endpoint_id in self._globs if regex.match(event_type)
        )
        return tuple(sorted(found))
