"""Deriving: events that follow from the passing of time, or from what somebody did.

They are written in the caller's transaction, beside the state they follow from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from ascwebhooks.domain.events import Event
from ascwebhooks.services.acceptance import DERIVED
from ascwebhooks.services.batches import Batch, Intake, Writing
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.routes import Routes
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.unit_of_work import UnitOfWork


class Deriving:
    """Accepts derived events within another service's transaction."""

    def __init__(
        self,
        writing: Writing,
        *,
        ring: Callable[[set[Due]], None],
        metrics: Metrics | None = None,
    ) -> None:
        """Take the parts; ``ring`` is called after the caller's commit."""
        self._writing = writing
        self._ring = ring
        self._metrics = metrics or Metrics()

    def derive(
        self, uow: UnitOfWork, events: Sequence[Event], now: datetime | None = None
    ) -> None:
        """Write events (``domain.derived``) and the deliveries they cause.

        The caller commits.  Before it locks anything else, it has locked the tenants:
        by ``uow.tenants.versions``, or by ``uow.tenants.change_subscriptions``.
        Events of tenants that are gone are left out.

        Args:
            uow: The caller's transaction.
            events: What follows from what it did.
            now: By PostgreSQL's clock, if the caller has looked: it dates their ids
                (``domain.derived.derived_id``).
        """
        if not events:
            return
        # Not remembered: the caller may have changed what it does not commit.
        routes = Routes().of(uow, {each.tenant_id for each in events})
        batch = Batch(uow, self._writing, Intake((), DERIVED, None, None), routes, now)
        batch.derive([each for each in events if each.tenant_id in routes])
        batch.finish()
        uow.after_commit(lambda: self._ring(batch.rings))
        uow.after_commit(
            lambda: self._metrics.accepted(
                DERIVED, events=batch.derived, duplicates=0, codes={}
            )
        )
