"""What ends a run of the benchmark."""

from __future__ import annotations


class BenchFailed(Exception):
    """The benchmark cannot go on, or what it saw was wrong; the text says why."""
