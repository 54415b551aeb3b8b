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
    found: list[Part] = []
    at = 0.0
    for name, attribute in _ENDS:
        if name == "tls" and not secure:
            continue
        end = getattr(timings, attribute)
        is_last = end is None
        end = timings.total_ms if is_last else min(end, timings.total_ms)
        found.append(Part(name, at, max(0.0, end - at)))
        at = max(at, end)
        if is_last:
            break
    return [each for each in found if each.ms > 0]
