"""``lists``: how long the server takes for each page of a list of a million."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ascwebhooks.web.app import create_app
from tests import longlists
from tests.bench.stack import Bench

OPENINGS = 40


class Page(NamedTuple):
    """How long a page took: the median, and what one in twenty takes longer than."""

    name: str
    p50_ms: float
    p95_ms: float


def measure(bench: Bench, say: Callable[[str], None]) -> list[Page]:
    """Return how long pages take, of deliveries of all kinds and of dead ones alone."""
    pages: list[Page] = []
    for what, fill, wanted in (
        ("mixed", longlists.mixed, longlists.pages_of_mixed),
        ("dead", longlists.dead, longlists.pages_of_dead),
    ):
        say(f"lists: making {longlists.COUNT:,} deliveries, {what}")
        with bench.idle() as product:
            full = fill(product.services, product.engine)
            app = create_app(product.services, product.settings)
            get = longlists.opener(product.services, app)
            for path in wanted(full):
                say(f"lists: {path}")
                pages.append(_opened(f"{what} {full.named(path)}", get, path))
    return pages


def _opened(name: str, get: Callable[[str], str], path: str) -> Page:
    get(path)  # the first of a kind compiles templates
    took = []
    for _ in range(OPENINGS):
        began = time.perf_counter()
        get(path)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return Page(name, percentile(took, 50), percentile(took, 95))


def percentile(ordered: Sequence[float], share: int) -> float:
    """Return the smallest value that ``share`` per cent do not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
