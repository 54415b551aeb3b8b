"""Claiming: what is due for the mailboxes in hand becomes jobs for the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, Outcome
from ascwebhooks.domain.events import MAX_DATA_BYTES
from ascwebhooks.domain.ids import Window
from ascwebhooks.services import endings
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.targets import Targets
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.services.visits import Job, Visit, names
from ascwebhooks.storage.claims import Claimed
from ascwebhooks.storage.deliveries import EndedDelivery
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: For all mailboxes of a claim together (config/decisions/0006 has the figures).
CLAIM_LIMIT = 1000
#: What a process may hold of bodies in memory, roughly.
AHEAD_BYTES = 64 * 1024 * 1024


class Claiming:
    """Claims for visits; a claim writes nothing."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        targets: Targets,
        finished: Callable[[Job, Outcome], None],
        *,
        retention: timedelta,
        in_hand: Callable[[], int],
        metrics: Metrics,
        tracing: Tracing | None,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            targets: Reads bodies.
            finished: Takes what came of a job, in the loop's thread.
            retention: How long deliveries are kept.
            in_hand: How many deliveries the process holds.
            metrics: Counts what is claimed.
            tracing: Makes a span of each attempt, if at all.
        """
        self._uow = uow
        self._targets = targets
        self._finished = finished
        self._retention = retention
        self._in_hand = in_hand
        self._metrics = metrics
        self._tracing = tracing
        # A body's, as far as is known: at first the largest that there may be.
        self._average_bytes = float(MAX_DATA_BYTES)

    def window(self) -> Window:
        """Return the bounds of the ids that may be kept."""
        return ids.window(datetime.now(UTC), self._retention)

    def claim(self, uow: UnitOfWork, visits: Sequence[Visit]) -> list[Job]:
        """Claim what is due for these visits; it writes nothing."""
        if not visits:
            return []
        room = int(AHEAD_BYTES / self._average_bytes) - self._in_hand()
        share = max(1, min(CLAIM_LIMIT, room) // len(visits))
        by_id = {visit.target.endpoint_id: visit for visit in visits}
        for visit in visits:
            # A ring that comes from here on sets it back.
            visit.emptied = True
        try:
            claimed = self._claimed(uow, visits, share)
        except BaseException:
            for visit in visits:
                visit.emptied = False
            raise
        counts = dict.fromkeys(by_id, 0)
        for each in claimed:
            counts[each.endpoint_id] += 1
        for endpoint_id, count in counts.items():
            visit = by_id[endpoint_id]
            if count >= visit.most(share):
                visit.emptied = False
            if visit.probe and count:
                # The next lease, if there is one, is not a probe's.
                visit.claim_until = 0.0
        return self._jobs(uow, claimed, by_id)

    def _claimed(
        self, uow: UnitOfWork, visits: Sequence[Visit], share: int
    ) -> list[Claimed]:
        window = self.window()
        in_order = [each.target.endpoint_id for each in visits if each.target.in_order]
        others = [each for each in visits if not each.target.in_order]
        found = uow.claims.first(in_order, window) if in_order else []
        if others:
            busy = [job for visit in others for job in list(visit.jobs)]
            limits = {each.target.endpoint_id: each.most(share) for each in others}
            found += uow.claims.claim(limits, busy, window)
        return found

    def _jobs(
        self, uow: UnitOfWork, claimed: Sequence[Claimed], visits: dict[UUID, Visit]
    ) -> list[Job]:
        if not claimed:
            return []
        self._metrics.claimed(len(claimed))
        wanted = [
            (each.event_id, visits[each.endpoint_id].target.format) for each in claimed
        ]
        messages = self._targets.messages(uow, wanted)
        jobs = []
        for each, message in zip(claimed, messages, strict=True):
            visit = visits[each.endpoint_id]
            job = Job(visit, each, message, self._finished, self._tracing)
            visit.jobs[each.id] = job
            jobs.append(job)
        self._learn([each.size_bytes for each in messages if each is not None])
        return jobs

    def _learn(self, sizes: Collection[int]) -> None:
        """Take note of how large bodies are: at once if they grow, else by and by."""
        if sizes:
            size = sum(sizes) / len(sizes)
            settled = 0.5 * self._average_bytes + 0.5 * max(size, 512)
            self._average_bytes = max(size, settled)

    def unsend(self, jobs: Sequence[Job]) -> None:
        """Take back the count of what was to be sent alone, and was not."""
        with self._uow() as uow:
            uow.claims.unmark_alone([job.claimed.id for job in jobs])
            uow.commit()

    def claim_alone(self, visit: Visit) -> list[Job]:
        """Claim one delivery, its counter committed before it is sent alone.

        Leases of this endpoint were abandoned several times in a row: perhaps one
        of its deliveries kills the process.  If so, it is found here.
        """
        jobs: list[Job] = []
        try:
            return self._claim_alone(visit, jobs)
        except BaseException:
            self.forget(jobs)
            raise

    def forget(self, jobs: Sequence[Job]) -> None:
        """Give up jobs that were claimed and not handed on: their transaction failed.

        Or their visit would wait for them, and hold its lease, for ever.
        """
        for job in jobs:
            job.visit.jobs.pop(job.claimed.id, None)
            job.visit.emptied = False

    def _claim_alone(self, visit: Visit, jobs: list[Job]) -> list[Job]:
        with self._uow() as uow:
            jobs += self.claim(uow, [visit])
            ended = []
            for job in jobs:
                if (uow.claims.mark_alone(job.claimed.id) or 0) > 1:
                    uow.claims.end(job.claimed.id, DeadReason.CRASHES_WORKER)
                    ended.append(_ended(job))
                    visit.jobs.pop(job.claimed.id)
                    log.error("delivery_crashes_worker", **names(job))
            endings.note(uow, ended)
            uow.commit()
        return [job for job in jobs if job.claimed.id in visit.jobs]


def _ended(job: Job) -> EndedDelivery:
    return EndedDelivery(job.claimed.id, job.claimed.tenant_id, job.claimed.endpoint_id)
