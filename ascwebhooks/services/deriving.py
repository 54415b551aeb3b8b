"""Deriving: events that follow from the passing of time, or from what somebody did.

They are written in the caller's transaction, beside the state they follow from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.events import Event
from ascwebhooks.services.acceptance import DERIVED
from ascwebhooks.services.batches import Batch, Writing
from ascwebhooks.services.intakes import Intake
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.routes import Routes
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


@contextmanager
def apart(tenant_id: str) -> Iterator[None]:
    """Let nothing that fails for one tenant alone keep the others waiting.

    Its data key may not open here, or the database may refuse a value of its own.
    Nothing of it is committed then, and it is tried again by the next pass.

    Raises:
        Unavailable: If the database is away, which is not one tenant's matter.
    """
    try:
        yield
    except (CannotOpen, DBAPIError) as error:
        # The database's own words may quote what it was given.
        said = str(error) if isinstance(error, CannotOpen) else type(error).__name__
        log.error("tenant_put_off", tenant_id=tenant_id, error=said)


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
