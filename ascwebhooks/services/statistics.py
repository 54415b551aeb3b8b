"""Statistics: how deliveries have been going, of an endpoint, a tenant, or all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from ascwebhooks.domain.statistics import Grain, Series, Span, Tally, series
from ascwebhooks.services.described import find_endpoint
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.rollups import ALL_ENDPOINTS, PLATFORM
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: What may still be written to: transactions are short.
UNSETTLED = timedelta(minutes=3)
#: What the spans of the pages reach back for: minutes for a day, hours for a month.
MINUTES_KEPT = timedelta(hours=26)
HOURS_KEPT = timedelta(days=32)


class Statistics:
    """Reads roll-ups, and sums them up."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        """Take what opens a transaction."""
        self._uow = uow

    def platform(self, span: Span) -> Series:
        """Return how it has been going with all tenants together."""
        with self._uow() as uow:
            return self._series(uow, PLATFORM, [ALL_ENDPOINTS], span)[ALL_ENDPOINTS]

    def tenant(self, tenant_id: str, span: Span) -> Series:
        """Return how it has been going with a tenant.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return self._series(uow, tenant_id, [ALL_ENDPOINTS], span)[ALL_ENDPOINTS]

    def endpoint(self, tenant_id: str, endpoint_id: UUID, span: Span) -> Series:
        """Return how it has been going with an endpoint.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            find_endpoint(uow, tenant_id, endpoint_id)
            return self._series(uow, tenant_id, [endpoint_id], span)[endpoint_id]

    def endpoints(
        self, tenant_id: str, endpoint_ids: Sequence[UUID], span: Span
    ) -> dict[UUID, Series]:
        """Return how it has been going with each of a tenant's endpoints."""
        with self._uow() as uow:
            return self._series(uow, tenant_id, endpoint_ids, span)

    def sum_up(self) -> None:
        """Sum up what was recorded lately; doing so again does no harm."""
        with self._uow() as uow:
            now = uow.now()
            uow.rollups.sum_minutes(Grain.MINUTE.floor(now - UNSETTLED))
            uow.commit()

    def sum_up_hours(self) -> None:
        """Make the hours that have just ended or are under way, and forget old ones."""
        with self._uow() as uow:
            now = uow.now()
            uow.rollups.sum_minutes(Grain.MINUTE.floor(now - 3 * UNSETTLED))
            uow.rollups.sum_hours(Grain.HOUR.floor(now - 3 * UNSETTLED))
            uow.rollups.forget(Grain.MINUTE, now, MINUTES_KEPT)
            uow.rollups.forget(Grain.HOUR, now, HOURS_KEPT)
            uow.commit()

    def _series(
        self, uow: UnitOfWork, tenant_id: str, endpoint_ids: Sequence[UUID], span: Span
    ) -> dict[UUID, Series]:
        now = uow.now()
        found: dict[UUID, dict[datetime, Tally]] = defaultdict(dict)
        for grain, since, until in _parts(span, now):
            rows = uow.rollups.read(tenant_id, endpoint_ids, grain, since, until)
            for endpoint_id, at, tally in rows:
                found[endpoint_id][at] = tally
        return {each: series(found[each], span, now) for each in endpoint_ids}


def settled_hour(now: datetime) -> datetime:
    """Return until when hours are summed up for good; what is later is minutes."""
    return Grain.HOUR.floor(now - timedelta(minutes=10))


def _parts(span: Span, now: datetime) -> list[tuple[Grain, datetime, datetime]]:
    """Return what a span is read from: settled hours, then minutes."""
    begins, ends = span.begins(now), now + timedelta(minutes=1)
    if span.grain is Grain.MINUTE:
        return [(Grain.MINUTE, begins, ends)]
    settled = settled_hour(now)
    return [(Grain.HOUR, begins, settled), (Grain.MINUTE, settled, ends)]
