"""Usage: what signals came to, minute by minute, of what was used.

A minute is kept by what answered: provider, model, region and deployment, and by the
currency of what it cost.  Tallies add up: a window is the sum of its minutes, an hour
too.  Names are a caller's to choose, so a tenant has only so many in a minute; the
rest are counted under ``OTHER``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add
from typing import NamedTuple

from ascwebhooks.domain.budgets import EXACT
from ascwebhooks.domain.signals import CHARGED, Signal
from ascwebhooks.domain.statistics import Grain

#: Upper bounds of the buckets of durations, in milliseconds; the last one is open.
#: Answers of models take long, so these lie further up than those of deliveries.
BOUNDS_MS = (
    *(100, 200, 350, 500, 750, 1_000, 1_500, 2_000),
    *(3_000, 5_000, 8_000, 12_000, 20_000, 30_000, 60_000),
)
BUCKETS = len(BOUNDS_MS) + 1
_MOST_MS = 120_000.0

#: The statuses of failures that are counted each for itself.
_STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529)
#: As incidents show them: ``none`` got no answer at all.
STATUSES = ("none", *map(str, _STATUSES), "other")
#: With these, the request itself was at fault, whoever it was sent to.
_CALLERS_FAULT = frozenset({"400", "404", "413", "422"})

_NUMBERS = (
    *("completed", "failed", "blocked", "denials", "fallbacks", "rate_limited"),
    *("unpriced", "input_tokens", "output_tokens"),
)
#: All that is counted, by the names of its columns.
COUNTS = (
    *_NUMBERS,
    *(f"status_{each}" for each in STATUSES),
    *(f"ms_{n}" for n in range(BUCKETS)),
    *(f"first_ms_{n}" for n in range(BUCKETS)),
)
_AT = {name: place for place, name in enumerate(COUNTS)}
_STATUS_AT = len(_NUMBERS)
_MS_AT = _STATUS_AT + len(STATUSES)
_FIRST_AT = _MS_AT + BUCKETS
_FAULTS_AT = [
    _STATUS_AT + place
    for place, name in enumerate(STATUSES)
    if name not in _CALLERS_FAULT
]

#: So many keys a tenant may have in a minute, and so many of them without a success:
#: whoever asks for models that there are not shall not push out those that there are.
MOST_KEYS = 200
MOST_KEYS_WITHOUT_SUCCESS = 100
#: What there is no room for is told apart by this many currencies, and then not at
#: all: sums of several would mean nothing, so it is counted without what it cost.
MOST_CURRENCIES = 20
OTHER = "other"
_MOST_CHARACTERS = 128


class Key(NamedTuple):
    """What a tally is about; what is not known is an empty text."""

    tenant_id: str
    at: datetime
    provider: str
    model: str
    region: str
    deployment: str
    currency: str

    @property
    def names(self) -> tuple[str, str, str, str]:
        """Return what was used."""
        return self[2:6]


@dataclass(slots=True)
class Tally:
    """Signals by what they came to; ``counts`` are those of ``COUNTS``."""

    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    spend: Decimal = Decimal(0)

    def add(self, other: Tally) -> None:
        """Add another one."""
        self.counts = list(map(add, self.counts, other.counts))
        self.spend = EXACT.add(self.spend, other.spend)

    def of(self, name: str) -> int:
        """Return one count."""
        return self.counts[_AT[name]]

    @property
    def answered(self) -> int:
        """How many requests got as far as a provider."""
        return self.of("completed") + self.of("failed")

    @property
    def requests(self) -> int:
        """How many requests there were, those that were not let through too."""
        return self.answered + self.of("blocked")

    @property
    def faults(self) -> int:
        """How many failures were not the caller's fault."""
        return sum(self.counts[place] for place in _FAULTS_AT)

    @property
    def by_status(self) -> dict[str, int]:
        """Return the failures by status."""
        found = self.counts[_STATUS_AT:_MS_AT]
        return {name: n for name, n in zip(STATUSES, found, strict=True) if n}

    @property
    def durations(self) -> list[int]:
        """Return how long those took that were answered, by bucket."""
        return self.counts[_MS_AT:_FIRST_AT]

    @property
    def first_tokens(self) -> list[int]:
        """Return how long their first token took, by bucket."""
        return self.counts[_FIRST_AT:]


def quantile_ms(buckets: list[int], share: float) -> float | None:
    """Return how long that share of them took at most, evenly spread in a bucket.

    Args:
        buckets: How many, by bucket.
        share: Above 0, up to 1.

    Returns:
        Milliseconds; None if there are none.
    """
    rank = share * sum(buckets)
    if not rank:
        return None
    below, low = 0, 0.0
    for count, high in zip(buckets, (*BOUNDS_MS, _MOST_MS), strict=True):
        if count and below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below, low = below + count, float(high)
    return low


def key_of(signal: Signal) -> Key:
    """Return what a signal is counted under."""
    return Key(
        signal.tenant_id,
        Grain.MINUTE.floor(signal.time),
        _name(signal.provider),
        _name(signal.model),
        _name(signal.region),
        _name(signal.deployment_id),
        "" if _cost(signal) is None else signal.currency or "",
    )


def _cost(signal: Signal) -> Decimal | None:
    """Return what is spent with a signal: what budgets are charged with."""
    return signal.cost if signal.type in CHARGED else None


def _name(text: str | None) -> str:
    return (text or "")[:_MOST_CHARACTERS]


def tallies(signals: Iterable[Signal]) -> dict[Key, Tally]:
    """Return what signals come to."""
    found: dict[Key, Tally] = {}
    for signal in signals:
        key = key_of(signal)
        tally = found.get(key)
        if tally is None:
            tally = found[key] = Tally()
        _count(signal, tally)
    return found


def _count(signal: Signal, tally: Tally) -> None:
    counts = tally.counts
    cost = _cost(signal)
    if cost is not None:
        tally.spend = EXACT.add(tally.spend, cost)
    if signal.type in CHARGED:
        counts[_AT["input_tokens"]] += signal.input_tokens
        counts[_AT["output_tokens"]] += signal.output_tokens
    if signal.http_status == 429:
        counts[_AT["rate_limited"]] += 1
    match signal.type:
        case "request.completed":
            counts[_AT["completed"]] += 1
            counts[_AT["fallbacks"]] += signal.fallback_from is not None
            counts[_AT["unpriced"]] += signal.cost is None
            _time(counts, _MS_AT, signal.duration_ms)
            first_s = signal.first_token_s
            _time(counts, _FIRST_AT, None if first_s is None else first_s * 1000)
        case "request.failed":
            counts[_AT["failed"]] += 1
            counts[_STATUS_AT + _status(signal.http_status)] += 1
        case "request.blocked":
            counts[_AT["blocked"]] += 1
        case _:
            counts[_AT["denials"]] += 1


def _time(counts: list[int], at: int, ms: float | None) -> None:
    if ms is not None:
        counts[at + bisect_left(BOUNDS_MS, ms)] += 1


def _status(status: int | None) -> int:
    """Return the place of a status among those of failures."""
    if status is None:
        return 0
    try:
        return 1 + _STATUSES.index(status)
    except ValueError:
        return len(STATUSES) - 1


Minute = tuple[str, datetime]


def bounded(
    found: Mapping[Key, Tally], known: Mapping[Minute, Collection[Key]]
) -> dict[Key, Tally]:
    """Return tallies with the names that are too many for a minute put together.

    Args:
        found: Tallies of signals.
        known: What there is already, by tenant and minute.

    Returns:
        The same, in the order of their keys; those that succeeded come first to
        what room there is.
    """
    there = {minute: set(keys) for minute, keys in known.items()}
    made: dict[Key, Tally] = {}
    for key in sorted(found, key=lambda each: (not found[each].of("completed"), each)):
        tally = found[key]
        mine = there.setdefault((key.tenant_id, key.at), set())
        kept = _admitted(key, mine, succeeded=tally.of("completed") > 0)
        if kept.currency != key.currency:
            tally.spend = Decimal(0)
        mine.add(kept)
        made.setdefault(kept, Tally()).add(tally)
    return dict(sorted(made.items()))


def _admitted(key: Key, there: Collection[Key], *, succeeded: bool) -> Key:
    """Return what a key is counted under, by what there is in its minute."""
    room = MOST_KEYS if succeeded else MOST_KEYS_WITHOUT_SUCCESS
    if key in there or len(there) < room:
        return key
    other = key._replace(provider=OTHER, model=OTHER, region=OTHER, deployment=OTHER)
    if other in there or len(there) < MOST_KEYS + MOST_CURRENCIES:
        return other
    return other._replace(currency="")


def window_begins(now: datetime, window: timedelta) -> datetime:
    """Return the first minute of a window that ends now.

    It is never shorter than asked for, and at most a minute longer.
    """
    return Grain.MINUTE.floor(now - window)
