"""Usage: a tenant's timeline, and keeping minutes and hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ascwebhooks.domain.statistics import Grain, Tally
from ascwebhooks.domain.timelines import (
    MOST_STEPS,
    MOST_STEPS_OF_GROUPS,
    Axis,
    Piece,
    Point,
    axis,
    grouped,
    whole,
)
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.rollups import ALL_ENDPOINTS
from ascwebhooks.storage.unit_of_work import UnitOfWork

_MINUTES_KEPT = timedelta(hours=26)
_HOURS_KEPT = timedelta(days=400)
#: Violations are looked at in windows of an hour at most.
_VIOLATIONS_KEPT = timedelta(hours=26)
_MOVED_AT_ONCE = 5_000


@dataclass(frozen=True)
class Timeline:
    """A tenant's usage along an axis."""

    axis: Axis
    group_by: Sequence[str]
    points: Sequence[Point]


class Usage:
    """Use cases of usage."""

    def __init__(
        self, uow: Callable[[], UnitOfWork], *, incidents_kept: timedelta
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            incidents_kept: How long incidents are kept that are resolved.
        """
        self._uow = uow
        self._incidents_kept = incidents_kept

    def timeline(
        self,
        tenant_id: str,
        *,
        since: datetime,
        until: datetime,
        step_s: int,
        group_by: Sequence[str] = (),
    ) -> Timeline:
        """Return a tenant's timeline.

        Args:
            tenant_id: Whose.
            since: From the step on that this lies in.
            until: Up to the step that ends here.
            step_s: How long a step is, in seconds.  What is older than a day is known
                by the hour.
            group_by: Among provider, model, region and deployment.

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If these are not times and steps that can be shown.
        """
        most = MOST_STEPS_OF_GROUPS if group_by else MOST_STEPS
        along = axis(since, until, step_s, most)
        span = (tenant_id, along.begins, along.ends)
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            rows = uow.usage.steps(*span, step_s, group_by)
            pieces = [Piece(*row) for row in rows]
            if group_by:
                return Timeline(along, group_by, grouped(along, pieces))
            alerts = uow.incidents.alerts(*span, step_s)
            sent = self._deliveries(uow, *span)
        return Timeline(along, group_by, whole(along, pieces, alerts, sent))

    def keep(self) -> None:
        """Move old minutes into hours, and forget what is older still."""
        moved = _MOVED_AT_ONCE
        while moved == _MOVED_AT_ONCE:
            with self._uow() as uow:
                before = Grain.MINUTE.floor(uow.now() - _MINUTES_KEPT)
                moved = uow.usage.move(before, _MOVED_AT_ONCE)
                uow.commit()
        with self._uow() as uow:
            now = uow.now()
            uow.usage.forget(now - _HOURS_KEPT)
            uow.violations.forget(now - _VIOLATIONS_KEPT)
            uow.incidents.forget(now, self._incidents_kept)
            uow.commit()

    def _deliveries(
        self, uow: UnitOfWork, tenant_id: str, since: datetime, until: datetime
    ) -> dict[datetime, Tally]:
        """Return what attempts came to: settled hours where there are no minutes."""
        settled = Grain.HOUR.floor(uow.now() - timedelta(hours=24))
        every = [ALL_ENDPOINTS]
        parts = (
            (Grain.HOUR, since, min(until, settled)),
            (Grain.MINUTE, max(since, settled), until),
        )
        return {
            at: tally
            for grain, low, high in parts
            for _, at, tally in uow.rollups.read(tenant_id, every, grain, low, high)
        }
