"""Endpoints coming and going: paused, resumed, disabled, deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, EndpointState
from ascwebhooks.errors import Conflict
from ascwebhooks.services.described import Described, describe, find_endpoint, names
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: So many pending deliveries are dead-lettered in one transaction.
END_BATCH = 5_000
_REASONS = {
    EndpointState.DISABLED: DeadReason.ENDPOINT_DISABLED,
    EndpointState.DELETED: DeadReason.ENDPOINT_DELETED,
}


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
            uow.commit()
        log.info("endpoint_deleted", **names(endpoint))

    def disable(self, tenant_id: str, endpoint_id: UUID, reason: str) -> None:
        """Disable an endpoint for a reason; what is pending there is dead-lettered.

        Disabling what is disabled or deleted already does nothing.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = uow.endpoints.find(tenant_id, endpoint_id)
            if endpoint is None or endpoint.state == EndpointState.DISABLED:
                return
            endpoint.disabled_reason = reason
            self.end(
                uow,
                tenant_id,
                endpoint_id,
                EndpointState.DISABLED,
                DeadReason.ENDPOINT_DISABLED,
            )
            uow.commit()
        log.warning("endpoint_disabled", reason=reason, **names(endpoint))

    def end(
        self,
        uow: UnitOfWork,
        tenant_id: str,
        endpoint_id: UUID,
        state: EndpointState,
        reason: DeadReason,
    ) -> None:
        """Take an endpoint out of delivery within a transaction of the caller's.

        The caller has locked the tenant (``change_subscriptions``), so no event
        is matched meanwhile; the mailbox is locked before the deliveries, as in
        recording.  Of many pending deliveries the first are ended here, the rest
        by ``end_the_rest``: nobody waits for the tenant's row meanwhile.
        """
        endpoint = find_endpoint(uow, tenant_id, endpoint_id)
        uow.mailboxes.lock([endpoint_id])
        uow.mailboxes.set_state(endpoint_id, state)
        window = ids.window(uow.now(), self._retention)
        uow.deliveries.end_pending(tenant_id, endpoint_id, reason, window, END_BATCH)
        endpoint.state = state
        if state is EndpointState.DELETED:
            endpoint.deleted_at = uow.now()

    def end_the_rest(self) -> int:
        """Dead-letter what is still pending at endpoints that take no part any more.

        Batch by batch, each a transaction of its own; return how many it were.
        """
        ended = 0
        with self._uow() as uow:
            window = ids.window(uow.now(), self._retention)
            left = uow.mailboxes.ended(window)
        for each in left:
            reason = _REASONS[EndpointState(each.state)]
            done = END_BATCH
            while done == END_BATCH:
                with self._uow() as uow:
                    uow.mailboxes.lock([each.endpoint_id])
                    done = uow.deliveries.end_pending(
                        each.tenant_id, each.endpoint_id, reason, window, END_BATCH
                    )
                    uow.commit()
                ended += done
        if ended:
            log.info("deliveries_of_ended_endpoints_ended", deliveries=ended)
        return ended

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
            uow.mailboxes.set_state(endpoint_id, EndpointState.PAUSED)
            uow.commit()
            log.info("endpoint_paused", **names(endpoint))
            return describe(uow, self._sealing, tenant_id, [endpoint])[0]

    def resume(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Resume a paused endpoint, or enable a disabled one.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            endpoint.state = EndpointState.ACTIVE
            endpoint.disabled_reason = None
            uow.mailboxes.set_state(endpoint_id, EndpointState.ACTIVE)
            uow.mailboxes.forget_failures(endpoint_id)
            uow.after_commit(lambda: self._ring([Due(endpoint_id, endpoint.region)]))
            uow.commit()
            log.info("endpoint_resumed", **names(endpoint))
            return describe(uow, self._sealing, tenant_id, [endpoint])[0]
