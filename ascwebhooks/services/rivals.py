"""Rivals: replays that may be about the same deliveries as the one that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.replays import Selection, may_overlap
from ascwebhooks.errors import Conflict, InvalidInput
from ascwebhooks.services.replay_counts import Counted, plan_of
from ascwebhooks.storage.models import Replay
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: Whose end is longer ago has nothing to do with what is dead now.
_LATELY = timedelta(hours=1)
_MOST = 50


def rivals_of(
    uow: UnitOfWork, tenant_id: str, chosen: Selection, now: datetime
) -> list[Replay]:
    """Return the replays of late that may be about the same, the newest first."""
    return [
        each
        for each in uow.replays.lately(tenant_id, now - _LATELY, _MOST)
        if may_overlap(chosen, Selection(each.delivery_ids, plan_of(each).filter))
    ]


def refuse_taken(rivals: Sequence[Replay], counted: Counted) -> None:
    """Raise if there is nothing left to replay, or a rival is at it.

    Raises:
        Conflict: If another replay has taken these, or is about to.
        InvalidInput: If there is nothing that could be sent.
    """
    under_way = [each for each in rivals if each.finished_at is None]
    if under_way:
        raise Conflict(
            f"{_named(under_way[0])} is {under_way[0].state} and may be about the same"
            " deliveries. Nothing was created."
        )
    if counted.count or not counted.is_exact:
        return
    if counted.total:
        raise InvalidInput(
            "none of these can be sent now: see what is said of their endpoints."
        )
    if rivals:
        raise Conflict(
            f"{_named(rivals[0])} has taken these already. Nothing was created."
        )
    raise InvalidInput("no dead letter matches any more. Nothing was created.")


def _named(replay: Replay) -> str:
    by = f" by {replay.created_by}" if replay.created_by else ""
    return f"replay {ids.show(Kind.REPLAY, replay.id)}{by}"
