"""Counting: what a replay is about, and which of it will wait or be skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Kind, Window
from ascwebhooks.domain.replays import Plan
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Replay
from ascwebhooks.storage.replays import Place
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: Counting a million takes about a second; what takes longer is counted by walking.
COUNT_WITHIN = timedelta(seconds=3)
_DAY = timedelta(days=1)
#: An id's millisecond is never later than when its delivery ended, but for this.
_SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class CountedEndpoint:
    """Where some of what is replayed goes, and whether it will be taken there.

    ``is_skipped``: the endpoint is disabled or deleted, or its region not allowed.
    ``is_held``: its breaker is open, or its receiver asked for a pause.
    """

    endpoint_id: UUID
    deliveries: int
    state: str
    is_skipped: bool
    is_held: bool


@dataclass(frozen=True)
class Counted:
    """What a replay is about, as things stood at its cut-off.

    Args:
        total: How many deliveries; at least so many, unless it is exact.
        is_exact: Whether counting came to its end in time.
        count: How many of them can be reopened.
        notes: What is to be known of the others, and of those that will wait.
        endpoints: Where they go, most first.
    """

    total: int
    is_exact: bool
    count: int
    notes: tuple[str, ...]
    endpoints: tuple[CountedEndpoint, ...] = ()


class Counting:
    """Counts what replays are about."""

    def __init__(self, retention: timedelta, within: timedelta = COUNT_WITHIN) -> None:
        """Take how long deliveries are kept, and how long counting may take."""
        self._retention = retention
        self._within = within

    def count(
        self,
        uow: UnitOfWork,
        tenant_id: str,
        deliveries: Sequence[UUID] | None,
        wanted: DeliveryFilters | None,
        now: datetime,
    ) -> Counted:
        """Return what a replay created ``now`` would be about.

        Args:
            uow: The transaction it is created in.
            tenant_id: Whose.
            deliveries: Which, or None.
            wanted: Or what they have in common.
            now: The cut-off.

        Raises:
            NotFound: If the tenant has no such delivery.
            Conflict: If retention has removed one.
        """
        if wanted is not None:
            return self._count_filter(uow, tenant_id, wanted, now)
        return self._count_ids(uow, tenant_id, sorted(set(deliveries or ())), now)

    def _count_filter(
        self, uow: UnitOfWork, tenant_id: str, wanted: DeliveryFilters, now: datetime
    ) -> Counted:
        """Count a day after the other: of those that took too long nothing is known."""
        counts: Counter[UUID] = Counter()
        is_exact = True
        deadline = now + self._within
        for window in days_of(bounds_of(wanted, now, self._retention)):
            found = uow.replays.count(
                tenant_id, wanted, now, window, deadline - uow.now()
            )
            is_exact = is_exact and found is not None
            counts.update(found or {})
        return _counted(uow, tenant_id, counts, is_exact=is_exact)

    def _count_ids(
        self, uow: UnitOfWork, tenant_id: str, asked: list[UUID], now: datetime
    ) -> Counted:
        found = uow.replays.by_ids(tenant_id, asked)
        missing = sorted(set(asked) - {each.id for each in found})
        if missing:
            self._refuse(missing, now)
        ended = [each for each in found if each.completed_at is not None]
        counts = Counter(each.endpoint_id for each in ended)
        counted = _counted(uow, tenant_id, counts, is_exact=True)
        pending = len(found) - len(ended)
        notes = [f"{_many(pending)} pending already and skipped."] if pending else []
        return Counted(
            len(asked),
            True,
            counted.count,
            (*notes, *counted.notes),
            counted.endpoints,
        )

    def _refuse(self, missing: list[UUID], now: datetime) -> None:
        kept_since = (now - self._retention).date()
        gone = [each for each in missing if ids.day(each) < kept_since]
        shown = ids.show(Kind.DELIVERY, (gone or missing)[0])
        if gone:
            raise Conflict(
                f"{len(gone)} of these deliveries were removed by retention after"
                f" {self._retention.days} days, {shown} among them; nothing was"
                " replayed."
            )
        raise NotFound(f"there is no delivery {shown}; nothing was replayed.")


def plan_of(replay: Replay) -> Plan:
    """Return what a replay was asked for."""
    return msgspec.convert(replay.criteria, Plan)


def window_of(replay: Replay, plan: Plan, retention: timedelta) -> Window:
    """Return the bounds of what a replay by filter is about."""
    return bounds_of(plan.filter or {}, replay.cutoff, retention)


def bounds_of(
    wanted: DeliveryFilters, cutoff: datetime, retention: timedelta
) -> Window:
    """Return the bounds of the ids that a filter can be about."""
    low = max(
        cutoff - retention - _DAY, wanted.get("since") or cutoff - retention - _DAY
    )
    high = min(cutoff + _SLACK, wanted.get("until") or cutoff + _SLACK)
    return Window(ids.lowest(low), ids.lowest(high))


def days_of(window: Window) -> list[Window]:
    """Return a window cut at each midnight, where partitions are."""
    found, low = [], window.low
    while low < window.high:
        start = ids.moment(low).replace(hour=0, minute=0, second=0, microsecond=0)
        high = min(window.high, ids.lowest(start + _DAY))
        found.append(Window(low, high))
        low = high
    return found


def _counted(
    uow: UnitOfWork, tenant_id: str, counts: Counter[UUID], *, is_exact: bool
) -> Counted:
    allowed = find_tenant(uow, tenant_id).allowed_regions
    open_: Counter[str] = Counter()
    notes: list[str] = []
    found: list[CountedEndpoint] = []
    for place in uow.replays.places(tenant_id, counts, lock=False):
        many = _many(counts[place.endpoint_id])
        shown = ids.show(Kind.ENDPOINT, place.endpoint_id)
        found.append(_counted_endpoint(place, counts[place.endpoint_id], allowed))
        if place.state in (EndpointState.DISABLED, EndpointState.DELETED):
            after = "; resume it and replay again" if place.state == "disabled" else ""
            notes.append(f"{many} skipped: {shown} is {place.state}{after}.")
        elif place.region not in allowed:
            notes.append(
                f"{many} skipped: {shown} is in {place.region!r}, which is no"
                " longer allowed."
            )
        else:
            open_[place.state] += counts[place.endpoint_id]
            if place.state == EndpointState.PAUSED:
                notes.append(f"{many} made pending, to wait: {shown} is paused.")
            elif place.is_held:
                notes.append(
                    f"{many} made pending, to wait: {shown} has its breaker open, or"
                    " asked for a pause."
                )
    if not is_exact:
        notes.append("Counting took too long: there are more, found while it runs.")
    found.sort(key=lambda each: -each.deliveries)
    return Counted(counts.total(), is_exact, open_.total(), tuple(notes), tuple(found))


def _counted_endpoint(
    place: Place, deliveries: int, allowed: Sequence[str]
) -> CountedEndpoint:
    ended = place.state in (EndpointState.DISABLED, EndpointState.DELETED)
    skipped = ended or place.region not in allowed
    return CountedEndpoint(
        place.endpoint_id, deliveries, place.state, skipped, place.is_held
    )


def _many(count: int) -> str:
    return "1 delivery is" if count == 1 else f"{count} deliveries are"
