"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.servers import Server, serving


@pytest.fixture
def server(empty_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Server]:
    """The product's web server with nothing in its database, and no worker."""
    with serving(empty_database_url, redis_url, tmp_path) as served:
        yield served
