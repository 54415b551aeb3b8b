"""Leases: taking mailboxes, keeping them, and giving them back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from ascwebhooks.domain.health import BREAKER_FAILURES
from ascwebhooks.domain.ids import Window
from ascwebhooks.outbound.lanes import Lane
from ascwebhooks.services.rings import Rings
from ascwebhooks.services.targets import Target, Targets
from ascwebhooks.services.visits import Visit
from ascwebhooks.storage.mailboxes import Due, Leased, Returned
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

CLAIMING_S = 5.0
#: Requests are this much further apart than the rate says: a receiver that pauses for
#: a moment sees those that came meanwhile at once (decision 0008).
SPACING = 1.05
#: After a lease is given back: how far back what fell due is looked for.  Whatever
#: is older was claimable all the while; the sweep is for the rest.
LOOK_BACK = timedelta(seconds=CLAIMING_S + 5)
#: After so many leases in a row that nobody gave back, deliveries go out alone.
SUSPICIOUS_LEASES = 5


class Leases:
    """The leases of one process."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        targets: Targets,
        rings: Rings,
        *,
        region: str,
        lease: timedelta,
        wake: Callable[[], None],
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            targets: Reads endpoints.
            rings: Rings what is found due after a lease was given back.
            region: Only this region's endpoints are leased.
            lease: For how long.
            wake: Called when more should be claimed for a visit.
        """
        self._uow = uow
        self._targets = targets
        self._rings = rings
        self._region = region
        self._lease = lease
        self._wake = wake

    def take(self, uow: UnitOfWork, endpoint_ids: Sequence[UUID]) -> list[Visit]:
        """Take the leases that are to be had, within a transaction of the caller's.

        Those whose secrets do not open are given back: they hinder no other.
        """
        token, began = uuid4(), time.monotonic()
        uow.forgo_durability()
        leased = uow.mailboxes.take(endpoint_ids, token, self._lease, self._region)
        targets = self._targets.of(uow, [each.endpoint_id for each in leased])
        closed = [each for each in leased if each.endpoint_id not in targets]
        if closed:
            uow.mailboxes.release(
                [Returned(each.endpoint_id, token, cleared=False) for each in closed]
            )
        return [
            self._open(targets[each.endpoint_id], token, each, began)
            for each in leased
            if each.endpoint_id in targets
        ]

    def _open(self, target: Target, token: UUID, leased: Leased, began: float) -> Visit:
        failures = leased.consecutive_failures
        probe = leased.breaker_openings > 0 or failures >= BREAKER_FAILURES
        rate, now = target.rate_limit_per_s, time.monotonic()
        return Visit(
            target,
            token,
            leased.epoch,
            Lane(
                target.max_in_flight,
                failures=None if probe else failures,
                interval_s=SPACING / rate if rate else 0.0,
                start_at=now + leased.rate_wait_s if rate else 0.0,
                until=self._until(target, began),
            ),
            now + CLAIMING_S,
            alone=leased.abandoned_leases >= SUSPICIOUS_LEASES,
            probe=probe,
            wake=self._wake,
        )

    def _until(self, target: Target, began: float) -> float:
        """Return until when requests may start under a lease that was asked for then.

        One that is in order has to be over by the end of the lease, or the next holder
        would send what comes after it meanwhile.
        """
        lease_s = self._lease.total_seconds()
        if not target.in_order:
            return began + lease_s
        return began + max(
            lease_s / 2, lease_s - target.destination.timeout.total_seconds()
        )

    def renew(self, visits: Sequence[Visit]) -> list[Visit]:
        """Extend the leases of these visits; return those that are to be closed.

        Their lease was lost, or the terms have changed under which they claimed.
        """
        if not visits:
            return []
        held = sorted((visit.target.endpoint_id, visit.token) for visit in visits)
        began = time.monotonic()
        with self._uow() as uow:
            uow.forgo_durability()
            kept = uow.mailboxes.renew(held, self._lease)
            uow.commit()
        outdated = []
        for visit in visits:
            if visit.target.endpoint_id not in kept:
                log.warning("lease_lost", endpoint_id=visit.target.shown_id)
                outdated.append(visit)
                continue
            visit.lane.until = self._until(visit.target, began)
            if kept[visit.target.endpoint_id] != visit.epoch:
                outdated.append(visit)
        return outdated

    def outdated(self, visits: Sequence[Visit]) -> list[Visit]:
        """Return those of these visits whose terms have changed.

        What comes of their requests would tell, but a receiver may take its time.
        """
        if not visits:
            return []
        with self._uow() as uow:
            terms = uow.mailboxes.terms([each.target.endpoint_id for each in visits])
        return [
            each for each in visits if terms.get(each.target.endpoint_id) != each.epoch
        ]

    def give_back(self, visits: Sequence[Visit], window: Window) -> None:
        """Give leases back, and ring for what is left or has come meanwhile.

        Args:
            visits: Which have nothing in hand any more.
            window: Bounds of the ids of deliveries that are kept.
        """
        now = time.monotonic()
        returned = sorted(
            Returned(
                visit.target.endpoint_id,
                visit.token,
                # One by one, the one that ends processes may not have had its turn.
                visit.emptied or not visit.alone,
                visit.rate_wait_s(now),
            )
            for visit in visits
        )
        with self._uow() as uow:
            uow.forgo_durability()
            uow.mailboxes.release(returned)
            uow.commit()
        # Only now: what was committed after the last claim may have found the
        # lease taken, and its ring may have come to nothing.
        with self._uow() as uow:
            endpoint_ids = [each.endpoint_id for each in returned]
            due = uow.mailboxes.due_among(endpoint_ids, LOOK_BACK, window)
        # A backlog that it did not get through may have been due for long.
        left = [
            Due(visit.target.endpoint_id, self._region)
            for visit in visits
            if not visit.emptied and not visit.barred
        ]
        self._rings.ring([*due, *left])
