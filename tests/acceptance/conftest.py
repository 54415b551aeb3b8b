"""Fixtures of the acceptance tests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest


@pytest.fixture
def outage() -> Callable[[float], None]:
    """How long a part is away: the length is what is tested, not a wait for it."""
    return lambda seconds: bool(threading.Event().wait(seconds))
