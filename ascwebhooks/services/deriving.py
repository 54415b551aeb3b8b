"""Deriving: events that follow from the passing of time, or from what somebody did.

They are written in the caller's transaction, beside the state they follow from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ascwebhooks.domain.events import Event
from ascwebhooks.services.batches import Batch, Intake, Writing
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.routes import Routes
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.unit_of_work import UnitOfWork

VIA = "triggers"


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
        self._routes = Routes()

    def derive(self, uow: UnitOfWork, events: Sequence[Event]) -> None:
        """Write events (``domain.derived``) and the deliveries they cause.

        The caller commits.  Before it locks anything else, it has locked the tenants:
        by ``uow.tenants.versions``, or by ``uow.tenants.change_subscriptions``.
        Events of tenants that are gone are left out.
        """
        if not events:
            return
        routes = self._routes.of(uow, {each.tenant_id for each in events})
        batch = Batch(uow, self._writing, Intake((), VIA, None, None), routes)
        batch.derive([each for each in events if each.tenant_id in routes])
        batch.finish()
        uow.after_commit(lambda: self._ring(batch.rings))
        uow.after_commit(
            lambda: self._metrics.accepted(
                VIA, events=batch.derived, duplicates=0, codes={}
            )
        )
