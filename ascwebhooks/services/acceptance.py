"""Accepting: from a gateway's bytes to an event and the deliveries it causes.

A batch is one transaction.  What is not valid becomes a row too, with the
reason, in that same transaction; nothing is only logged.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from ascwebhooks.domain import derived, events
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.events import Event, Rejected
from ascwebhooks.domain.ids import Kind
from ascwebhooks.services.batches import Batch, Writing
from ascwebhooks.services.intakes import (
    OPERATIONS,
    Accepted,
    Intake,
    Postponed,
    Refusal,
    Resubmitted,
    Verdict,
)
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.resubmission import Resubmission
from ascwebhooks.services.routes import Routes
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.unit_of_work import UnitOfWork, is_bad_data

log = structlog.get_logger()

#: How events came that follow from others (``services.deriving``).
DERIVED = "triggers"
Numbered = tuple[int, Event]


class Acceptance:
    """The one way in, for the stream and for HTTP."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        writing: Writing,
        *,
        ring: Callable[[set[Due]], None],
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Take the parts; ``ring`` is called after each commit."""
        self._uow = uow
        self._writing = writing
        self._ring = ring
        self._metrics = metrics or Metrics()
        self._tracing = tracing
        self._routes = Routes()

    def accept(
        self,
        raws: Sequence[bytes],
        *,
        via: str,
        tenant_id: str | None = None,
        only: UUID | None = None,
        resubmits: Resubmitted | None = None,
        known_bad: Mapping[int, Rejected] | None = None,
    ) -> list[Verdict]:
        """Accept or refuse each event; what is returned is committed.

        Args:
            raws: CloudEvents in JSON, one each.
            via: How they came: ``stream``, ``http``, ``test``, ``resubmit`` or
                ``operations``.
            tenant_id: The only tenant whose events are taken; any if None.
            only: The one endpoint that gets them, instead of those subscribed.
            resubmits: The rejected event that the one event here was; it goes if
                the event is accepted, and stays if not.
            known_bad: What is refused whatever it is, by its position, and why.

        Returns:
            A verdict for each, in the same order.  ``Postponed`` is for those of a
            tenant whose data key does not open here: hand them in again later.

        Raises:
            Unavailable: If the database is away; what was not committed by then
                is accepted when the same call is made again.
            NotFound: If the rejected event was resubmitted or deleted meanwhile.
        """
        intake = Intake(raws, via, tenant_id, only, resubmits)
        parsed: list[Numbered] = []
        refusals: list[Refusal] = []
        for position, raw in enumerate(raws):
            try:
                if known_bad is not None and position in known_bad:
                    raise known_bad[position]
                parsed.append((position, _parse(raw, tenant_id)))
            except Rejected as verdict:
                refusals.append(Refusal(position, verdict.code, verdict.detail))
        verdicts = self._commit(intake, parsed, refusals)
        return [verdicts[position] for position in range(len(raws))]

    def _commit(
        self, intake: Intake, parsed: list[Numbered], refusals: list[Refusal]
    ) -> dict[int, Verdict]:
        """Write one transaction; halve what the database refuses until one is left."""
        try:
            return self._write(intake, parsed, refusals)
        except (DBAPIError, ValueError) as error:
            if not is_bad_data(error) or not parsed:
                raise
            log.warning("batch_refused_by_database", events=len(parsed))
        except CannotOpen as error:
            return self._without_key(intake, parsed, refusals, error)
        if len(parsed) == 1:
            detail = "the database refused a value in this event."
            refusal = Refusal(parsed[0][0], "database_refused", detail)
            return self._commit(intake, [], [*refusals, refusal])
        half = len(parsed) // 2
        first = self._commit(intake, parsed[:half], refusals)
        return first | self._commit(intake, parsed[half:], [])

    def _without_key(
        self,
        intake: Intake,
        parsed: list[Numbered],
        refusals: list[Refusal],
        error: CannotOpen,
    ) -> dict[int, Verdict]:
        """Accept what can be sealed; a tenant whose key does not open waits alone."""
        parts: dict[str, list[Numbered]] = defaultdict(list)
        for each in parsed:
            parts[each[1].tenant_id].append(each)
        if len(parts) + len(refusals) > 1:
            apart = [self._commit(intake, part, []) for part in parts.values()]
            apart += [self._commit(intake, [], [each]) for each in refusals]
            return {at: one for some in apart for at, one in some.items()}
        log.error("events_postponed", events=len(parsed) or 1, error=str(error))
        positions = [at for at, _ in parsed] + [each.position for each in refusals]
        return {position: Postponed(str(error)) for position in positions}

    def _write(
        self, intake: Intake, parsed: list[Numbered], refusals: list[Refusal]
    ) -> dict[int, Verdict]:
        began_ns = time.time_ns()
        with self._uow() as uow:
            tenants = [event.tenant_id for _, event in parsed]
            # Whoever tells of what happened holds them in a transaction of its own.
            in_turn = intake.via != OPERATIONS
            routes = self._routes.of(uow, tenants, in_turn=in_turn)
            kind = Batch if intake.resubmits is None else Resubmission
            batch = kind(uow, self._writing, intake, routes)
            batch.write(parsed, refusals)
            _record(uow, intake, parsed)
            uow.after_commit(lambda: self._ring(batch.rings))
            uow.commit()
        self._tell(batch, intake.via)
        if self._tracing is not None:
            new = _new(parsed, batch.verdicts)
            self._tracing.accepted(new, via=intake.via, began_ns=began_ns)
        return batch.verdicts

    def _tell(self, batch: Batch, via: str) -> None:
        """Log and count a batch that was committed."""
        rejected = len(batch.refusals)
        taken = [each for each in batch.verdicts.values() if isinstance(each, Accepted)]
        duplicates = sum(each.duplicate for each in taken)
        events = len(taken) - duplicates
        log.info(
            "events_accepted",
            via=via,
            events=events,
            kept=len(batch.events) - batch.derived,
            derived=batch.derived,
            deliveries=len(batch.deliveries),
            duplicates=duplicates,
            rejected=rejected,
        )
        codes = Counter(refusal.code for refusal in batch.refusals)
        if codes:
            log.warning("events_rejected", via=via, codes=dict(codes))
        self._metrics.accepted(via, events=events, duplicates=duplicates, codes=codes)
        if batch.derived:
            self._metrics.accepted(
                DERIVED, events=batch.derived, duplicates=0, codes={}
            )


def _record(uow: UnitOfWork, intake: Intake, parsed: Sequence[Numbered]) -> None:
    """Tell the audit log of a test, which somebody asked for by hand."""
    if intake.via != "test" or intake.only is None:
        return
    for _, event in parsed:
        uow.audit.record(
            "endpoint.tested", Kind.ENDPOINT, intake.only, tenant_id=event.tenant_id
        )


def _new(
    parsed: Sequence[Numbered], verdicts: dict[int, Verdict]
) -> list[tuple[UUID, Event]]:
    given = [(verdicts.get(position), event) for position, event in parsed]
    return [
        (verdict.id, event)
        for verdict, event in given
        if isinstance(verdict, Accepted) and not verdict.duplicate
    ]


def _parse(raw: bytes, only_tenant: str | None) -> Event:
    event = events.parse(raw)
    if event.source == derived.SOURCE:
        raise Rejected(
            "reserved_source", f"events of {derived.SOURCE} are made here alone."
        )
    if only_tenant is not None and event.tenant_id != only_tenant:
        raise Rejected(
            "tenant_not_permitted", f"this key is for the tenant {only_tenant!r} alone."
        )
    return event
