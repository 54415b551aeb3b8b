"""Turns: serving the mailboxes whose leases this process holds.

A Celery task brings endpoints (``Turns.take``): it takes their leases, claims
what is due and hands it to the libcurl loop, all in its own thread.  From there
on two threads do the rest for all mailboxes of the process: the recorder writes
what came of the attempts, the desk claims more, renews leases and gives them
back.  So a task never waits for a receiver, and batches grow with the load.

No transaction is open while a request is out, and each mailbox is given back
alone, as soon as it is empty or has been claiming for ``CLAIMING_S``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event, Lock
from uuid import UUID

import redis
import structlog

from ascwebhooks import vital
from ascwebhooks.errors import Unavailable
from ascwebhooks.outbound.loop import Sender
from ascwebhooks.services.claiming import Claiming
from ascwebhooks.services.disabling import Disabling
from ascwebhooks.services.leases import Leases
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.recorder import Recorder
from ascwebhooks.services.recording import Recorded, Recording
from ascwebhooks.services.rings import ENDPOINTS_A_MESSAGE, Rings
from ascwebhooks.services.targets import Targets
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.services.visits import Job, Visit
from ascwebhooks.storage.doors import Doors
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: A lease is renewed when a quarter of it has passed: every 15 s of 60.
RENEWALS_A_LEASE = 4
#: So many mailboxes at once; a task that brings more waits.
MAX_VISITS = 4_000
#: The loop has plenty to send while so much waits in a lane.
PLENTY = 350
#: How often the terms of what is held are looked at: for so long may go out what was
#: claimed before an endpoint was changed, paused or deleted.
TERMS_S = 0.25
#: What is out having ended or been aborted, so long to record it and to give back all
#: leases; with the database away nothing more can be done.
SETTLE_S = 8.0
_IDLE_S = 1.0


class Turns:
    """The mailboxes of one process."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        *,
        sender: Sender,
        targets: Targets,
        recording: Recording,
        rings: Rings,
        doors: Doors,
        disable: Callable[[str, UUID, str], None],
        region: str,
        slow: bool,
        lease: timedelta,
        retention: timedelta,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            sender: The libcurl loop of the process.
            targets: Reads endpoints and bodies.
            recording: Writes attempts.
            rings: Rings what is found due after a lease was given back.
            doors: Opened at the beginning of a turn.
            disable: Disables an endpoint that answered 410.
            region: Only this region's endpoints are leased.
            slow: Whether this process serves the slow ones.
            lease: For how long a lease is taken.
            retention: How long deliveries are kept.
            metrics: Counts what is claimed and recorded.
            tracing: Makes a span of each attempt, if at all.
        """
        self._uow = uow
        self._sender = sender
        self._targets = targets
        self._recorder = Recorder(
            recording,
            after=self._recorded,
            plenty=self._plenty,
            hold=sender.hold,
            metrics=metrics,
        )
        self._claiming = Claiming(
            uow,
            targets,
            self._recorder.finished,
            retention=retention,
            in_hand=lambda: sum(len(visit.jobs) for visit in self._all()),
            metrics=metrics,
            tracing=tracing,
        )
        self._wake = Event()
        self._leases = Leases(
            uow,
            targets,
            rings,
            region=region,
            lease=lease,
            wake=self._wake.set,
        )
        self._doors = doors
        self._disabling = Disabling(disable, self._close_endpoint)
        self._slow = slow
        self._lease = lease
        self._visits: dict[UUID, Visit] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._renewed_at = self._looked_at = time.monotonic()
        self._desk = vital.thread(self._run, "desk")

    def start(self) -> None:
        """Start the loop, the recorder and the desk."""
        self._sender.start()
        self._recorder.start()
        self._disabling.start()
        self._desk.start()

    def stop(self, timeout_s: float, settle_s: float = SETTLE_S) -> None:
        """Take back what is not sent yet, wait for the rest, give back all leases.

        Returns after ``timeout_s + settle_s`` at the latest: whoever stops this
        process kills it some time later, and then nothing would be recorded.

        Args:
            timeout_s: How long to wait for requests that are out.
            settle_s: How long to wait, after that, for what came of them to be
                recorded; the database may be away.
        """
        last = time.monotonic() + timeout_s + settle_s
        self._stopping.set()
        for visit in self._all():
            self._take_back(visit)
        self._wake.set()
        self._desk.join(timeout_s)
        self._sender.stop(0.5)
        for wait in (self._desk.join, self._recorder.stop, self._disabling.stop):
            wait(max(0.0, last - time.monotonic()))

    def take(self, endpoint_ids: Sequence[UUID]) -> None:
        """Serve these mailboxes; doing so twice, or never, is harmless.

        Returns as soon as what is due is on its way.  Mailboxes that this process
        serves already are looked at again; those of others are left to them.

        Raises:
            Unavailable: If the database is away.
        """
        # Before anything is looked at: what is committed later rings again.
        self._open_doors(endpoint_ids)
        new = [each for each in endpoint_ids if not self._look_again(each)]
        if self._stopping.is_set() or not new:
            return
        self._wait_for_room()
        with self._uow() as uow:
            visits = self._leases.take(uow, new)
            if not visits:
                return
            jobs = self._claiming.claim(
                uow, [each for each in visits if not each.alone]
            )
            uow.commit()
        with self._lock:
            self._visits |= {visit.target.endpoint_id: visit for visit in visits}
        self._submit(jobs)
        self._wake.set()

    def _look_again(self, endpoint_id: UUID) -> bool:
        with self._lock:
            visit = self._visits.get(endpoint_id)
            if visit is None:
                return False
            visit.emptied = False
        self._wake.set()
        return True

    def _wait_for_room(self) -> None:
        while len(self._visits) >= MAX_VISITS and not self._stopping.wait(0.01):
            pass

    def _open_doors(self, endpoint_ids: Sequence[UUID]) -> None:
        try:
            self._doors.open(endpoint_ids)
        except redis.RedisError as error:
            # They open by themselves, and the sweeper ignores doors.
            log.warning("doors_not_opened", error=repr(error))

    def _submit(self, jobs: Sequence[Job]) -> None:
        by_visit: dict[Visit, list[Job]] = {}
        for job in jobs:
            by_visit.setdefault(job.visit, []).append(job)
        for visit, some in by_visit.items():
            self._sender.submit(visit.lane, some)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set() or self._visits:
            self._wait(pause)
            try:
                self._work()
                pause = 0.0
            except Unavailable as error:
                pause = min(2.0, pause * 2 or 0.1)
                log.warning("desk_waits_for_database", error=str(error.__cause__))
            except Exception:
                pause = min(2.0, pause * 2 or 0.1)
                log.exception("desk_failed")

    def _wait(self, pause: float) -> None:
        if pause:
            time.sleep(pause)
            return
        self._wake.wait(TERMS_S if self._visits else _IDLE_S)
        self._wake.clear()

    def _work(self) -> None:
        # First: whatever else goes wrong here, what this process holds stays its own.
        self._renew()
        self._look_at_terms()
        for visit in self._all():
            if visit.stuck:
                self._close(visit)
        self._claim_more()
        self._give_back()

    def _plenty(self) -> bool:
        return any(visit.lane.queued > PLENTY for visit in self._all())

    def _recorded(self, recorded: Recorded, jobs: Sequence[Job]) -> None:
        """Draw the conclusions of a batch, in the recorder's thread."""
        for visit in {job.visit for job in jobs}:
            endpoint_id = visit.target.endpoint_id
            moving = endpoint_id in recorded.slow and not self._slow
            visit.barred = endpoint_id in recorded.barred
            if endpoint_id in recorded.lost or moving or visit.barred:
                self._close(visit)
        for owner in recorded.gone:
            self._disabling.gone(*owner)
        self._mark(recorded)
        self._wake.set()

    def _mark(self, recorded: Recorded) -> None:
        if not recorded.slow and not recorded.well and not recorded.barred:
            return
        try:
            self._doors.mark(sorted(recorded.slow), sorted(recorded.well))
            self._doors.bar(recorded.barred)
        except redis.RedisError as error:
            log.warning("endpoints_not_marked", error=repr(error))

    def _close_endpoint(self, endpoint_id: UUID) -> None:
        with self._lock:
            visit = self._visits.get(endpoint_id)
        if visit is not None:
            self._close(visit)

    def _close(self, visit: Visit) -> None:
        """Claim no more for this visit; what is not sent yet goes back unused."""
        visit.lost = True
        self._take_back(visit)

    def _take_back(self, visit: Visit) -> None:
        taken = []
        for job in self._sender.drain(visit.lane):
            assert isinstance(job, Job)
            visit.jobs.pop(job.claimed.id, None)
            visit.emptied = False
            taken.append(job)
        if visit.alone and taken:
            self._claiming.unsend(taken)

    def _claim_more(self) -> None:
        now = time.monotonic()
        hungry = [visit for visit in self._all() if visit.hungry(now)]
        if self._stopping.is_set() or not hungry:
            return
        suspicious = [each for each in hungry if each.alone]
        # One at a time, or the innocent would be blamed with the one that kills.
        if suspicious and not any(each.alone and each.jobs for each in self._all()):
            self._submit(self._claiming.claim_alone(suspicious[0]))
        ordinary = [each for each in hungry if not each.alone]
        for at in range(0, len(ordinary), ENDPOINTS_A_MESSAGE):
            jobs: list[Job] = []
            try:
                with self._uow() as uow:
                    jobs = self._claiming.claim(
                        uow, ordinary[at : at + ENDPOINTS_A_MESSAGE]
                    )
            except BaseException:
                self._claiming.forget(jobs)
                raise
            self._submit(jobs)
            for visit in ordinary[at : at + ENDPOINTS_A_MESSAGE]:
                # It may have been closed while its deliveries were being claimed.
                if visit.lost:
                    self._take_back(visit)

    def _give_back(self) -> None:
        now = time.monotonic()
        stopping = self._stopping.is_set()
        with self._lock:
            over = [
                visit
                for visit in self._visits.values()
                if visit.over(now) or (stopping and not visit.jobs)
            ]
            for visit in over:
                del self._visits[visit.target.endpoint_id]
        if not over:
            return
        try:
            self._leases.give_back(over, self._claiming.window())
        except Unavailable:
            with self._lock:
                for visit in over:
                    self._visits.setdefault(visit.target.endpoint_id, visit)
            raise

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed_at < self._lease.total_seconds() / RENEWALS_A_LEASE:
            return
        visits = self._all()
        for visit in self._leases.renew(visits):
            self._close(visit)
        for visit in visits:
            # Its lane may have come to the end of the lease before.
            self._sender.submit(visit.lane, ())
        self._renewed_at = now

    def _look_at_terms(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < TERMS_S:
            return
        for visit in self._leases.outdated([each for each in self._all() if each.jobs]):
            self._close(visit)
        self._looked_at = now

    def _all(self) -> list[Visit]:
        with self._lock:
            return list(self._visits.values())
