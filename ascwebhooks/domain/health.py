"""How an endpoint has been doing, and what follows for where it is served."""

from __future__ import annotations

from collections.abc import Iterable

from ascwebhooks.domain.deliveries import ErrorClass, Outcome

#: After so many failures in a row an endpoint is served by the slow process.
SLOW_AFTER_FAILURES = 3
#: An answer that took this long makes its endpoint a slow one.
SLOW_ANSWER_MS = 2_000.0
_HANGING = frozenset({ErrorClass.TIMEOUT, ErrorClass.CONNECT_TIMEOUT})


def failures_in_a_row(before: int, outcomes: Iterable[Outcome]) -> int:
    """Return how many failures there are in a row, counted as they are recorded."""
    count = before
    for outcome in outcomes:
        count = 0 if outcome.error is None else count + 1
    return count


def is_slow(failures: int, outcomes: Iterable[Outcome]) -> bool:
    """Return whether an endpoint belongs with the slow ones.

    An endpoint that hangs is one at once: each of its requests holds a place for
    as long as the timeout allows.
    """
    return failures >= SLOW_AFTER_FAILURES or any(
        outcome.error in _HANGING or outcome.timings.total_ms >= SLOW_ANSWER_MS
        for outcome in outcomes
    )
