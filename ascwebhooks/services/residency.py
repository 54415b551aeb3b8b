"""Residency: no endpoint is served in a region that its tenant does not allow.

Its mailbox is ``abroad`` then, whatever the endpoint's own state: nobody rings or
leases it, whoever holds its lease finds out with the next result and takes back what
is not sent yet, and what is matched later is dead from birth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import (
    END_BATCH,
    DeadReason,
    MailboxState,
    mailbox_state,
)
from ascwebhooks.services import endings
from ascwebhooks.storage.deliveries import EndedDelivery
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import Tenant
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


class Residency:
    """What follows when a tenant's allowed regions change."""

    def __init__(
        self, *, ring: Callable[[list[Due]], None], retention: timedelta
    ) -> None:
        """Take what rings endpoints that are served again, and how long rows last."""
        self._ring = ring
        self._retention = retention

    def follow(self, uow: UnitOfWork, tenant: Tenant) -> None:
        """Stop serving a tenant's endpoints, or begin again, as its regions say now.

        Within a transaction of the caller's, which has locked the tenant
        (``change_subscriptions``).  What is pending abroad becomes a dead
        letter: the first of them here, the rest by ``EndpointStates.end_the_rest``.
        """
        changes = [
            (each, mailbox_state(each.own_state, each.region, tenant.allowed_regions))
            for each in uow.endpoints.astray(tenant.id, tenant.allowed_regions)
        ]
        for each, state in changes:
            uow.mailboxes.set_state(each.endpoint_id, state)
        abroad = [
            each.endpoint_id for each, state in changes if state is MailboxState.ABROAD
        ]
        self._end(uow, tenant.id, abroad)
        home = [
            Due(each.endpoint_id, each.region)
            for each, state in changes
            if state is MailboxState.ACTIVE
        ]
        uow.after_commit(lambda: self._ring(home))
        if changes:
            log.info(
                "regions_changed",
                tenant_id=tenant.id,
                abroad=len(abroad),
                home=len(changes) - len(abroad),
            )

    def _end(self, uow: UnitOfWork, tenant_id: str, abroad: Sequence[UUID]) -> None:
        """Dead-letter what is pending at these, no more than a batch in all."""
        window = ids.window(uow.now(), self._retention)
        room = END_BATCH
        ended: list[EndedDelivery] = []
        for endpoint_id in abroad:
            ended += uow.deliveries.end_pending(
                tenant_id, endpoint_id, DeadReason.RESIDENCY, window, room - len(ended)
            )
            if len(ended) >= room:
                break
        endings.note(uow, ended)
