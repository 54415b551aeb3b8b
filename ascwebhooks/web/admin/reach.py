"""Who gets events of a type: the answer in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain.deliveries import EndpointState


class Reach(NamedTuple):
    """How many endpoints get a type.

    Args:
        always: Those that take every event of it.
        maybe: Those that take one if a filter says so.
        stopped: How many of both are paused or disabled.
    """

    always: int
    maybe: int
    stopped: int


def reach(subscriptions: Iterable[Any], endpoints: Mapping[UUID, Any]) -> Reach:
    """Return how many endpoints get a type.

    Args:
        subscriptions: All that name it; those that are off take nothing.
        endpoints: By their ids.
    """
    on = [each for each in subscriptions if each.enabled]
    always = {each.endpoint_id for each in on if each.filter is None}
    maybe = {each.endpoint_id for each in on} - always
    stopped = [
        each
        for each in always | maybe
        if each in endpoints and endpoints[each].state != EndpointState.ACTIVE
    ]
    return Reach(len(always), len(maybe), len(stopped))
