"""What a worker process does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Duties:
    """What a worker process does."""

    ingest: bool = False
    deliver: bool = False
    slow: bool = False
    maintenance: bool = False
    region: str = "default"
    threads: int = 8

    @property
    def kind(self) -> str:
        """What to call such a worker."""
        names = ("ingest", "deliver", "slow", "maintenance")
        return "-".join(name for name in names if getattr(self, name))
