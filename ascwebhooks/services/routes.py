"""Where each tenant's events go: its subscriptions, prepared and remembered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from ascwebhooks.domain import filters
from ascwebhooks.domain.deliveries import (
    DEAD_IN,
    DeadReason,
    EndpointState,
    MailboxState,
    Ordering,
    mailbox_state,
)
from ascwebhooks.domain.matching import Chosen, Matcher, Subscription, without
from ascwebhooks.domain.operations import Operation
from ascwebhooks.storage.unit_of_work import UnitOfWork

_REMEMBERED_TENANTS = 10_000


class Route(NamedTuple):
    """What accepting needs to know of an endpoint.

    ``dead_reason``: why a delivery to it is dead from the start, or None.
    ``may_ring``: whether ringing it makes sense; a paused one's deliveries wait.
    ``in_order``: whether its deliveries have places in an order.
    """

    region: str
    dead_reason: DeadReason | None
    may_ring: bool
    in_order: bool


def _route(row: Any) -> Route:
    state = mailbox_state(EndpointState(row.state), row.region, row.allowed_regions)
    return Route(
        row.region,
        DEAD_IN[state],
        may_ring=state is MailboxState.ACTIVE,
        in_order=row.ordering == Ordering.FIFO,
    )


def _prepared(row: Any) -> Subscription:
    """Return a row of ``storage.endpoints.routes`` for matching."""
    return Subscription(
        row.id,
        tuple(row.event_types or ()),
        row.subscription_id,
        None if row.filter is None else filters.stored(row.filter),
    )


@dataclass(frozen=True, slots=True)
class TenantRoutes:
    """A tenant's subscriptions as they were at one version.

    ``strict``: whether it takes nothing but events of the catalogue.
    """

    version: int
    strict: bool
    matcher: Matcher
    endpoints: dict[UUID, Route]

    def takers(self, event_type: str, chosen: Chosen) -> Chosen:
        """Return which of the chosen endpoints get a delivery of an event.

        All of them, dead from the start or not, so that it can be replayed; but not
        of the event of a dead letter.  The endpoints of a tenant that die together
        would leave as many dead letters each as all of them have together.
        """
        if event_type != Operation.DEAD_LETTERED:
            return chosen
        reasons = (
            (each, self.endpoints[each].dead_reason) for each in chosen.endpoints
        )
        return without(chosen, {each: reason for each, reason in reasons if reason})


class Routes:
    """The routes of all tenants, each read again when its version has moved on.

    Used by one thread at a time; a reader that finds an older version than
    another one left behind reads again, which is right in every order.
    """

    def __init__(self) -> None:
        self._known: dict[str, TenantRoutes] = {}

    def of(
        self, uow: UnitOfWork, tenant_ids: Iterable[str], *, in_turn: bool = True
    ) -> dict[str, TenantRoutes]:
        """Return the routes of those of these tenants that exist.

        Their versions are read and held in the caller's transaction, so that they
        are true until its commit; ``in_turn`` as ``TenantRepository.versions`` says.
        """
        wanted = sorted(set(tenant_ids))
        versions = uow.tenants.versions(wanted, in_turn=in_turn)
        found = {
            row.id: known
            for row in versions
            if (known := self._known.get(row.id))
            and known.version == row.subscriptions_version
        }
        stale = {row.id: row for row in versions if row.id not in found}
        if stale:
            found |= self._read(uow, stale)
        return found

    def _read(
        self, uow: UnitOfWork, versions: dict[str, Any]
    ) -> dict[str, TenantRoutes]:
        wanted: dict[str, list[Subscription]] = defaultdict(list)
        endpoints: dict[str, dict[UUID, Route]] = defaultdict(dict)
        for row in uow.endpoints.routes(list(versions)):
            endpoints[row.tenant_id][row.id] = _route(row)
            wanted[row.tenant_id].append(_prepared(row))
        fresh = {
            each: TenantRoutes(
                row.subscriptions_version,
                row.strict,
                Matcher(wanted[each]),
                endpoints[each],
            )
            for each, row in versions.items()
        }
        if len(self._known) > _REMEMBERED_TENANTS:
            self._known = {}
        self._known = {**self._known, **fresh}
        return fresh
