"""Endpoints coming and going: paused, resumed, disabled, deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import health, ids, operations
from ascwebhooks.domain.deliveries import (
    DEAD_IN,
    END_BATCH,
    DeadReason,
    EndpointState,
    ErrorClass,
    MailboxState,
    mailbox_state,
)
from ascwebhooks.domain.health import DisabledReason
from ascwebhooks.domain.ids import Kind, Window
from ascwebhooks.domain.operations import Operation
from ascwebhooks.errors import Conflict
from ascwebhooks.services import endings
from ascwebhooks.services.described import Described, describe, find_endpoint, names
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.mailboxes import Due, Ended, Health
from ascwebhooks.storage.models import Endpoint
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


class EndpointStates:
    """Use cases that change whether an endpoint takes part in delivery."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        *,
        ring: Callable[[list[Due]], None],
        retention: timedelta,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            sealing: Opens what an endpoint is described with.
            ring: Rings endpoints after they were resumed.
            retention: How long deliveries are kept.
        """
        self._uow = uow
        self._sealing = sealing
        self._ring = ring
        self._retention = retention

    def delete(
        self,
        tenant_id: str,
        endpoint_id: UUID,
        check: Callable[[Described], None] | None = None,
    ) -> None:
        """Delete an endpoint; what is pending there is dead-lettered.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            if check is not None:
                check(describe(uow, self._sealing, tenant_id, [endpoint])[0])
            self.end(
                uow,
                tenant_id,
                endpoint_id,
                EndpointState.DELETED,
                DeadReason.ENDPOINT_DELETED,
            )
            uow.audit.record(
                "endpoint.deleted", Kind.ENDPOINT, endpoint_id, tenant_id=tenant_id
            )
            uow.commit()
        log.info("endpoint_deleted", **names(endpoint))

    def disable(self, tenant_id: str, endpoint_id: UUID, reason: str) -> None:
        """Disable an endpoint for a reason; what is pending there is dead-lettered.

        Disabling what is disabled or deleted already does nothing, and so does
        disabling as ``failing`` what has had a success by now.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            reason: ``gone``: it answered 410; ``failing``: see ``health.is_failing``.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = uow.endpoints.find(tenant_id, endpoint_id)
            if endpoint is None or endpoint.state == EndpointState.DISABLED:
                return
            box = uow.mailboxes.lock([endpoint_id])[0]
            if reason == DisabledReason.FAILING and not _is_failing(box):
                return
            endpoint.disabled_reason = reason
            self._note_disabled(uow, endpoint, box)
            self.end(
                uow,
                tenant_id,
                endpoint_id,
                EndpointState.DISABLED,
                DeadReason.ENDPOINT_DISABLED,
            )
            uow.audit.record(
                "endpoint.disabled",
                Kind.ENDPOINT,
                endpoint_id,
                tenant_id=tenant_id,
                reason=reason,
            )
            uow.commit()
        log.warning("endpoint_disabled", reason=reason, **names(endpoint))

    def disable_failing(self) -> int:
        """Disable the endpoints that have failed for days; return how many it were.

        Each in a transaction of its own, where it is looked at once more.
        """
        with self._uow() as uow:
            found = uow.endpoints.failing(
                health.FAILING_FAILURES, health.FAILING_FOR, health.FAILED_LATELY
            )
        for tenant_id, endpoint_id in found:
            self.disable(tenant_id, endpoint_id, DisabledReason.FAILING)
        return len(found)

    def _note_disabled(self, uow: UnitOfWork, endpoint: Endpoint, box: Health) -> None:
        last: tuple[int | None, str | None] = (410, ErrorClass.HTTP_STATUS)
        if endpoint.disabled_reason != DisabledReason.GONE:
            window = ids.window(box.seen_at, self._retention)
            last = uow.deliveries.last_failure(endpoint.tenant_id, endpoint.id, window)
        facts = operations.disabled(
            endpoint.disabled_reason,
            failures=box.consecutive_failures,
            since=box.failing_since,
            last_status=last[0],
            last_error=last[1],
        )
        uow.notices.add(Operation.DISABLED, endpoint.tenant_id, endpoint.id, facts)

    def end(
        self,
        uow: UnitOfWork,
        tenant_id: str,
        endpoint_id: UUID,
        state: EndpointState,
        reason: DeadReason,
        *,
        room: int = END_BATCH,
    ) -> int:
        """Take an endpoint out of delivery within a transaction of the caller's.

        No more than ``room`` pending deliveries are ended here; return how many.

        The caller has locked the tenant (``change_subscriptions``), so no event
        is matched meanwhile; the mailbox is locked before the deliveries, as in
        recording.  Of many pending deliveries the first are ended here, the rest
        by ``end_the_rest``: nobody waits for the tenant's row meanwhile.
        """
        endpoint = find_endpoint(uow, tenant_id, endpoint_id)
        endpoint.state = state
        if state is EndpointState.DELETED:
            endpoint.deleted_at = uow.now()
        # Now: whether anybody is told of the dead letters depends on it.
        uow.flush()
        uow.mailboxes.lock([endpoint_id])
        uow.mailboxes.set_state(endpoint_id, state)
        window = ids.window(uow.now(), self._retention)
        ended = uow.deliveries.end_pending(tenant_id, endpoint_id, reason, window, room)
        endings.note(uow, ended)
        return len(ended)

    def end_the_rest(self) -> int:
        """Dead-letter what is still pending at endpoints that take no part any more.

        Batch by batch, each a transaction of its own; return how many it were.
        """
        ended = 0
        with self._uow() as uow:
            window = ids.window(uow.now(), self._retention)
            left = uow.mailboxes.ended(window)
        for each in left:
            done = END_BATCH
            while done == END_BATCH:
                done = self._end_more(each, window)
                ended += done
        if ended:
            log.info("deliveries_of_ended_endpoints_ended", deliveries=ended)
        return ended

    def _end_more(self, left: Ended, window: Window) -> int:
        with self._uow() as uow:
            # Under the lock: it may have been resumed, or its region allowed again.
            box = uow.mailboxes.lock([left.endpoint_id])[0]
            reason = DEAD_IN[MailboxState(box.state)]
            if reason is None:
                return 0
            ended = uow.deliveries.end_pending(
                left.tenant_id, left.endpoint_id, reason, window, END_BATCH
            )
            endings.note(uow, ended)
            uow.commit()
        return len(ended)

    def pause(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Pause an endpoint: its deliveries wait.

        Raises:
            NotFound: If the tenant has no such endpoint.
            Conflict: If it is disabled.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            if endpoint.state == EndpointState.DISABLED:
                raise Conflict("the endpoint is disabled; resume enables it.")
            endpoint.state = EndpointState.PAUSED
            uow.mailboxes.set_state(endpoint_id, _place(uow, endpoint))
            uow.audit.record(
                "endpoint.paused", Kind.ENDPOINT, endpoint_id, tenant_id=tenant_id
            )
            uow.commit()
            log.info("endpoint_paused", **names(endpoint))
            return describe(uow, self._sealing, tenant_id, [endpoint])[0]

    def resume(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Resume a paused endpoint, or enable a disabled one.

        Where its tenant does not allow its region, it is served once that changes.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            if endpoint.state == EndpointState.DISABLED:
                facts = operations.enabled(endpoint.disabled_reason)
                uow.notices.add(Operation.ENABLED, tenant_id, endpoint_id, facts)
            endpoint.state = EndpointState.ACTIVE
            endpoint.disabled_reason = None
            place = _place(uow, endpoint)
            uow.mailboxes.set_state(endpoint_id, place)
            uow.mailboxes.forget_failures(endpoint_id)
            uow.mailboxes.supersede(endpoint_id)
            if place is MailboxState.ACTIVE:
                due = [Due(endpoint_id, endpoint.region)]
                uow.after_commit(lambda: self._ring(due))
            uow.audit.record(
                "endpoint.resumed", Kind.ENDPOINT, endpoint_id, tenant_id=tenant_id
            )
            uow.commit()
            log.info("endpoint_resumed", **names(endpoint))
            return describe(uow, self._sealing, tenant_id, [endpoint])[0]


def _place(uow: UnitOfWork, endpoint: Endpoint) -> MailboxState:
    """Return whether an endpoint is served, by its state and its tenant's regions."""
    tenant = find_tenant(uow, endpoint.tenant_id)
    return mailbox_state(
        EndpointState(endpoint.state), endpoint.region, tenant.allowed_regions
    )


def _is_failing(box: Health) -> bool:
    return health.is_failing(
        box.consecutive_failures, box.failing_since, box.last_failure_at, box.seen_at
    )
