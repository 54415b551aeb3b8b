"""Lists of a million deliveries open, whatever they are narrowed to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ascwebhooks.web.app import create_app
from tests import longlists
from tests.longlists import Full

#: Ten times what a page may take, for a machine that does other things meanwhile; who
#: scans the million takes longer.  ``make bench ONLY=lists`` holds against 300 ms.
WITHIN_MS = 3_000


@pytest.fixture
def empty_database_url(database_url: str) -> str:
    """A database of the test's own: it is filled to the brim."""
    return database_url


@pytest.mark.parametrize(
    ("fill", "pages"),
    [
        (longlists.mixed, longlists.pages_of_mixed),
        (longlists.dead, longlists.pages_of_dead),
    ],
    ids=["deliveries", "dead letters"],
)
def test_every_page_of_a_million_opens_at_once(
    make_pipeline: Callable[..., Any],
    fill: Callable[..., Full],
    pages: Callable[[Full], dict[str, int]],
    record_property: Callable[[str, object], None],
) -> None:
    """First and deep pages, and each filter, common and rare: the server's time."""
    pipeline = make_pipeline()
    wanted = pages(fill(pipeline.services, pipeline.engine))
    get = longlists.opener(
        pipeline.services, create_app(pipeline.services, pipeline.settings)
    )
    for path in wanted:
        get(path.partition("?")[0])  # the first page of a process compiles templates
    took, wrong = {}, {}
    for path, rows in wanted.items():
        began = time.perf_counter()
        shown = get(path)
        took[path] = (time.perf_counter() - began) * 1000
        # A glance that took too long on a busy machine is counted on by the page.
        if shown.count("data-row") != rows and "data-counting" not in shown:
            wrong[path] = shown.count("data-row")
        record_property(path, round(took[path]))
    if times := os.environ.get("TIMES_FILE"):
        with Path(times).open("a") as file:
            file.writelines(f"{ms:7.1f} ms  {path}\n" for path, ms in took.items())
    assert wrong == {}
    assert {path: ms for path, ms in took.items() if ms > WITHIN_MS} == {}
