"""The recorded events that ship with the package."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Sample:
    """One recorded event: its id, its tenant and its bytes."""

    source_id: str
    tenant_id: str
    raw: bytes

    def renamed(self, suffix: str) -> Sample:
        """Return it under another id, its other bytes as they were."""
        name = f"{self.source_id}{suffix}"
        old, new = _member(self.source_id), _member(name)
        return Sample(name, self.tenant_id, self.raw.replace(old, new, 1))


def load() -> list[Sample]:
    """Return all of them, in the order in which they were recorded."""
    text = resources.files("ascwebhooks.embedded").joinpath("sample_events.jsonl")
    return [_sample(line) for line in text.read_bytes().splitlines()]


def tenants(samples: Iterable[Sample]) -> list[str]:
    """Return whose they are, the tenant with the most events first."""
    counts = Counter(each.tenant_id for each in samples)
    return [name for name, _ in counts.most_common()]


def _sample(line: bytes) -> Sample:
    event = json.loads(line)
    return Sample(event["id"], event["tenantid"], line)


def _member(source_id: str) -> bytes:
    return b'"id":' + json.dumps(source_id).encode()
