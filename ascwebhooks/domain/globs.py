"""Globs over names that gateways give: ``*`` is any run of characters."""

from __future__ import annotations

import re
from functools import lru_cache

from ascwebhooks.domain.matching import glob


@lru_cache(maxsize=4_096)
def _pattern(text: str) -> re.Pattern[str]:
    return glob(text) if "*" in text else re.compile(re.escape(text) + r"\Z")


def fits(text: str | None, pattern: str | None) -> bool:
    """Return whether a name fits a glob; anything fits None."""
    if pattern is None:
        return True
    return _pattern(pattern).match(text or "") is not None
