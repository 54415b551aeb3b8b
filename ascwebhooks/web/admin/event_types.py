"""The event types that a form offers: the catalogue's, and those seen lately."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ascwebhooks.domain.event_types import CATALOGUE


class Known(NamedTuple):
    """A type, what it tells, an example of its ``data``, and whether it came lately."""

    type: str
    description: str
    example: str
    is_recent: bool


class Group(NamedTuple):
    """The types that begin alike, and the glob that takes them all."""

    name: str
    glob: str
    types: Sequence[Known]


def groups(recent: Iterable[str]) -> list[Group]:
    """Return the types to choose from, in groups.

    Args:
        recent: Those of the tenant's last events.
    """
    seen = set(recent)
    found: dict[str, list[Known]] = {}
    for name in [*CATALOGUE, *sorted(seen - set(CATALOGUE))]:
        group = found.setdefault(name.partition(".")[0], [])
        group.append(_known(name, name in seen))
    return [Group(name, f"{name}.*", types) for name, types in found.items()]


def split(
    event_types: Iterable[str], offered: Iterable[Group]
) -> tuple[list[str], list[str]]:
    """Return which of a subscription's types are offered, and which are not."""
    known = {each.type for group in offered for each in group.types}
    known |= {group.glob for group in offered} | {"*"}
    wanted = list(event_types)
    return [x for x in wanted if x in known], [x for x in wanted if x not in known]


def _known(name: str, is_recent: bool) -> Known:
    if name not in CATALOGUE:
        return Known(name, "A type of your own.", "", is_recent)
    described = CATALOGUE[name]
    example = json.dumps(described.example, indent=2, ensure_ascii=False)
    return Known(name, described.description, example, is_recent)
