"""Dead letters: what there is, by endpoint and reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack
from uuid import UUID

from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.delivery_filters import DeliveryFilters
from ascwebhooks.domain.ids import Window
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.replay_counts import bounds_of, days_of
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.dead_letters import DeadLetters as Row
from ascwebhooks.storage.models import Endpoint
from ascwebhooks.storage.unit_of_work import UnitOfWork

#: Grouping a million takes one to two seconds; of what takes longer, the last days.
GROUP_WITHIN = timedelta(seconds=2)
#: At a glance: so many of the newest, and no longer than nobody notices.
GLANCE = 20_000
GLANCE_WITHIN = timedelta(milliseconds=120)


@dataclass(frozen=True)
class Group:
    """Dead letters of one endpoint that died of the same reason.

    ``first`` and ``last``: when the first and the last of them died.  The status
    code and the error are those of the last one.
    """

    endpoint_id: UUID
    dead_reason: str | None
    deliveries: int
    first: datetime | None
    last: datetime | None
    last_status_code: int | None
    last_error: str | None
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class Groups:
    """A tenant's dead letters by endpoint and reason, most first.

    ``is_exact``: whether all were looked at; else they are those of the last days,
    or, if that is not None, the ``newest`` so many.
    """

    items: Sequence[Group]
    is_exact: bool
    newest: int | None = None

    @property
    def total(self) -> int:
        """How many dead letters; at least so many, unless it is exact."""
        return sum(each.deliveries for each in self.items)


class DeadLetters:
    """Reads dead letters."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        retention: timedelta,
        within: timedelta = GROUP_WITHIN,
        glance: int = GLANCE,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            retention: How long deliveries are kept.
            within: How long grouping may take.
            glance: How many are looked at in a glance.
        """
        self._uow = uow
        self._retention = retention
        self._within = within
        self._glance = glance

    def groups(self, tenant_id: str, **wanted: Unpack[DeliveryFilters]) -> Groups:
        """Return a tenant's dead letters by endpoint and reason, most first.

        Args:
            tenant_id: Whose.
            wanted: What narrows them (``DeliveryFilters``).

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If since is not before until.
        """
        _check(wanted)
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            rows, is_exact = self._rows(uow, tenant_id, wanted)
            return Groups(_named(uow, tenant_id, _merged(rows)), is_exact)

    def glance(self, tenant_id: str, **wanted: Unpack[DeliveryFilters]) -> Groups:
        """Return groups of the newest, at once; all of them, if they are not many.

        See ``groups``.
        """
        _check(wanted)
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            window = bounds_of(wanted, uow.now(), self._retention)
            rows = uow.dead_letters.groups(
                tenant_id, wanted, window, GLANCE_WITHIN, newest=self._glance
            )
            seen = sum(each.deliveries for each in rows or ())
            is_exact = rows is not None and seen < self._glance
            return Groups(
                _named(uow, tenant_id, _merged(rows or ())),
                is_exact,
                None if is_exact else seen,
            )

    def endpoints(
        self, tenant_id: str, endpoint_ids: Collection[UUID]
    ) -> dict[UUID, Endpoint]:
        """Return a tenant's endpoints of these ids, deleted ones too."""
        with self._uow() as uow:
            found = uow.endpoints.named(tenant_id, sorted(endpoint_ids))
        return {each.id: each for each in found}

    def _rows(
        self, uow: UnitOfWork, tenant_id: str, wanted: DeliveryFilters
    ) -> tuple[list[Row], bool]:
        """Group all at once, or the last days in what time is left."""
        now = uow.now()
        whole = bounds_of(wanted, now, self._retention)
        rows = uow.dead_letters.groups(tenant_id, wanted, whole, self._within / 2)
        if rows is not None:
            return rows, True
        found: list[Row] = []
        for day in reversed(days_of(whole)):
            left = now + self._within - uow.now()
            part = self._day(uow, tenant_id, wanted, day, left)
            if part is None:
                return found, False
            found += part
        return found, True

    @staticmethod
    def _day(
        uow: UnitOfWork,
        tenant_id: str,
        wanted: DeliveryFilters,
        day: Window,
        left: timedelta,
    ) -> list[Row] | None:
        if left <= timedelta(0):
            return None
        return uow.dead_letters.groups(tenant_id, wanted, day, left)


def _check(wanted: DeliveryFilters) -> None:
    wanted["status"] = Status.DEAD_LETTERED
    since, until = wanted.get("since"), wanted.get("until")
    if since and until and since >= until:
        raise InvalidInput("since is not before until.", field="since")


def _named(uow: UnitOfWork, tenant_id: str, groups: Sequence[Group]) -> list[Group]:
    """Return groups with their endpoints."""
    owners = sorted({each.endpoint_id for each in groups})
    named = {each.id: each for each in uow.endpoints.named(tenant_id, owners)}
    return [replace(each, endpoint=named.get(each.endpoint_id)) for each in groups]


def _merged(rows: Iterable[Row]) -> list[Group]:
    """Return groups by endpoint and reason, most first."""
    by_reason: dict[tuple[UUID, str], list[Row]] = {}
    for row in rows:
        key = row.endpoint_id, row.dead_reason or ""
        by_reason.setdefault(key, []).append(row)
    groups = [_group(each) for each in by_reason.values()]
    return sorted(groups, key=lambda each: (-each.deliveries, each.endpoint_id))


def _group(rows: Sequence[Row]) -> Group:
    times = [each for row in rows for each in (row.first, row.last) if each]
    newest = max(rows, key=lambda row: row.last.timestamp() if row.last else 0.0)
    return Group(
        endpoint_id=newest.endpoint_id,
        dead_reason=newest.dead_reason,
        deliveries=sum(row.deliveries for row in rows),
        first=min(times, default=None),
        last=max(times, default=None),
        last_status_code=newest.status_code,
        last_error=newest.error,
    )
