"""Notices: from the outbox to operational events, accepted like any other.

Whatever disables an endpoint, rotates a secret or dead-letters a delivery leaves a
notice in its own transaction (``storage.notices``).  Here they become events.  Two
transactions, in this order: the notices are locked, their events are accepted (and
committed), and the notices are deleted.  Killed before the second commit, nothing has
happened; killed after it, the same notices are taken again and make the same events,
which are known by their ids: accepted once, sent once.

A delivery that is dead from birth, because its endpoint was disabled or abroad before
the event came, makes no notice: ``endpoint.disabled`` said that it would be so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from ascwebhooks.domain import events, ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.matching import Chosen, choose
from ascwebhooks.domain.operations import Operation, cloud_event
from ascwebhooks.services.intakes import (
    OPERATIONS,
    Postponed,
    Refused,
    Verdict,
    facts_of,
)
from ascwebhooks.services.routes import Routes, TenantRoutes
from ascwebhooks.storage.notices import Notice
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


#: So many become events in one transaction.
BATCH = 500
#: Beat asks again each second, so no run takes much longer.
_RUN_S = 1.0
#: When to try again with a tenant whose data key does not open here.
_LATER = timedelta(minutes=1)


class Accept(Protocol):
    """What accepts events (``acceptance.Acceptance.accept``)."""

    def __call__(self, raws: Sequence[bytes], *, via: str) -> list[Verdict]:
        """Accept or refuse each event; what is returned is committed."""


class Notices:
    """Makes events of notices; several may do so at once."""

    def __init__(self, uow: Callable[[], UnitOfWork], accept: Accept) -> None:
        """Take the parts."""
        self._uow = uow
        self._accept = accept
        self._routes = Routes()

    def tell(self, run_s: float = _RUN_S) -> int:
        """Make events of the notices there are; return how many notices it were.

        Args:
            run_s: About how long; what is left then is for the next run.

        Raises:
            Unavailable: If the database is away; nothing is lost by it.
        """
        deadline_s = time.monotonic() + run_s
        told, done = 0, BATCH
        while done == BATCH and time.monotonic() < deadline_s:
            done = self.step()
            told += done
        return told

    def step(self) -> int:
        """Make events of one batch; return how many notices were taken."""
        with self._uow() as uow:
            taken = uow.notices.take(BATCH)
            if not taken:
                return 0
            # Held until the commit: no tenant is deleted while its event is accepted.
            routes = self._routes.of(uow, {each.tenant_id for each in taken})
            made = [(each, _event(each)) for each in taken]
            later = self._told([each for each in made if _wanted(*each, routes)])
            uow.notices.postpone(later, _LATER)
            uow.notices.delete(sorted({each.id for each in taken} - set(later)))
            uow.commit()
        return len(taken)

    def _told(self, wanted: Sequence[tuple[Notice, bytes]]) -> list[int]:
        """Have events accepted; return the ids of the notices that have to wait."""
        if not wanted:
            return []
        verdicts = self._accept([raw for _, raw in wanted], via=OPERATIONS)
        later = []
        for (notice, _), verdict in zip(wanted, verdicts, strict=True):
            if isinstance(verdict, Postponed):
                later.append(notice.id)
            elif isinstance(verdict, Refused):
                log.error("notice_refused", code=verdict.code, **_names(notice))
        return later


def _event(notice: Notice) -> bytes:
    return cloud_event(
        notice.type,
        key=notice.key,
        tenant_id=notice.tenant_id,
        at=notice.at,
        named={
            "endpoint_id": notice.endpoint_id,
            "delivery_id": notice.delivery_id,
            "event_id": notice.event_id,
        },
        facts=notice.facts,
    )


def _wanted(notice: Notice, raw: bytes, routes: Mapping[str, TenantRoutes]) -> bool:
    """Return whether an event is to be made of a notice.

    Not if the tenant was deleted meanwhile.  There may be 100,000 dead letters, so
    their events are kept only where somebody gets them who takes part in delivery, or
    a filter failed and says so on the event; those of endpoints are few, and always
    kept.
    """
    route = routes.get(notice.tenant_id)
    if route is None:
        return False
    if notice.type != Operation.DEAD_LETTERED:
        return True
    match = route.matcher.match(notice.type)
    chosen = (
        choose(match, facts_of(events.parse(raw), notice.at))
        if match.asked
        else Chosen(match.endpoints)
    )
    takers = route.takers(notice.type, chosen)
    return bool(takers.endpoints) or "failed" in (takers.not_sent or {})


def _names(notice: Notice) -> dict[str, str]:
    return {
        "type": notice.type,
        "tenant_id": notice.tenant_id,
        "endpoint_id": ids.show(Kind.ENDPOINT, notice.endpoint_id),
    }
