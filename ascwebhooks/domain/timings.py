"""Where an attempt's time went: from cumulative times to one part after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

#: The parts, and up to where each is counted (``domain.deliveries.Timings``).
_ENDS = (
    ("dns", "dns_ms"),
    ("connect", "connect_ms"),
    ("tls", "tls_ms"),
    ("wait", "first_byte_ms"),
    ("read", "total_ms"),
)


class Part(NamedTuple):
    """A part of an attempt.

    Args:
        name: ``dns``, ``connect``, ``tls``, ``wait`` or ``read``.
        start_ms: When it began, since the attempt did.
        ms: How long it took.
    """

    name: str
    start_ms: float
    ms: float


def parts(timings: Any, *, secure: bool = True) -> list[Part]:
    """Return the parts of an attempt, as far as it got.

    What ended in one of them spent the rest of its time there.

    Args:
        timings: Has ``dns_ms`` and so on, each cumulative.
        secure: Whether there was to be TLS.
    """
    ends = [
        (name, getattr(timings, attribute))
        for name, attribute in _ENDS
        if secure or name != "tls"
    ]
    # What is missing before something that was reached was not needed: an address
    # instead of a name, a connection that was kept.
    reached = max((at for at, (_, end) in enumerate(ends[:-1]) if end), default=-1)
    known = [(name, end) for name, end in ends[: reached + 1] if end is not None]
    found: list[Part] = []
    at = 0.0
    for name, end in [*known, (ends[reached + 1][0], timings.total_ms)]:
        until = min(end, timings.total_ms)
        if until > at:
            found.append(Part(name, at, until - at))
            at = until
    return found
