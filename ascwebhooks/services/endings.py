"""Endings: deliveries that become dead letters without an attempt.

Their endpoint was disabled or deleted, its region is not allowed any more, retention
caught up with them, or they end the worker that sends them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from ascwebhooks.domain.statistics import Grain, Tally
from ascwebhooks.storage.deliveries import EndedDelivery
from ascwebhooks.storage.unit_of_work import UnitOfWork


def note(uow: UnitOfWork, ended: Sequence[EndedDelivery]) -> None:
    """Note for whoever is told of dead letters, and in the roll-ups, what has ended.

    Args:
        uow: The transaction that has just ended them.
        ended: Which.
    """
    uow.notices.dead_lettered([each.id for each in ended])
    count(uow, ((each.tenant_id, each.endpoint_id) for each in ended))


def count(uow: UnitOfWork, owners: Iterable[tuple[str, UUID]]) -> None:
    """Add deliveries that have ended to the roll-ups of the minute.

    The rows stay locked until the commit, so this comes last in a transaction.

    Args:
        uow: The transaction that has ended them.
        owners: For each, whose it was: the tenant and the endpoint.
    """
    tallies = {owner: Tally(ended=n) for owner, n in Counter(owners).items()}
    if tallies:
        uow.rollups.add(Grain.MINUTE.floor(uow.now()), tallies)
