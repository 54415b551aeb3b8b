"""Reading results."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CursorResult, Result


def affected(result: Result[Any]) -> int:
    """Return how many rows an UPDATE or DELETE changed."""
    assert isinstance(result, CursorResult)
    return result.rowcount
