"""The sender: one thread that sends every request of a process.

A transfer costs about 30 µs of one core, so one thread is enough; what it calls
(``Job.prepare`` and ``Job.done``) must be quick.
"""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

import certifi
import structlog

from ascwebhooks import vital
from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.deliveries import ErrorClass, Outcome, Timings
from ascwebhooks.outbound.engine import Completion, Engine
from ascwebhooks.outbound.lanes import Lane
from ascwebhooks.outbound.requests import (
    Job,
    MalformedRequestError,
    Request,
    wire_headers,
)
from ascwebhooks.outbound.resolver import Answer, GetAddrInfo, Resolver
from ascwebhooks.outbound.transfers import Attempt, Transfer

__all__ = ["Job", "Lane", "Request", "Sender"]

log = structlog.get_logger(__name__)

LOOP_FAILED = "outbound_loop_failed"
DONE_FAILED = "outbound_done_failed"
PREPARE_FAILED = "outbound_prepare_failed"
TRANSFERS_ABORTED = "outbound_transfers_aborted"

#: How many jobs are started before the sockets are looked at again.
STARTS_PER_TURN = 128


class Sender:
    """Send the jobs of many lanes, fairly, from one thread.

    ``submit`` and ``drain`` may be called from any thread.  Lanes that have work
    take turns, one request each, so that none starves another when
    ``max_transfers`` binds.

    Args:
        policy: Which addresses may be connected to.
        max_transfers: How many requests are out at once at most.
        ca_file: PEM file of trusted authorities; certifi's if None.
        resolver_threads: How many names are resolved at once.
        getaddrinfo: ``socket.getaddrinfo`` or a stand-in.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        max_transfers: int = 1000,
        ca_file: str | None = None,
        resolver_threads: int = 64,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
    ) -> None:
        self._policy = policy
        self._max_transfers = max_transfers
        self._ca_file = ca_file or certifi.where()
        self._engine = Engine(max_transfers)
        self._resolver: Resolver[Attempt] = Resolver(
            policy, self._wake, threads=resolver_threads, getaddrinfo=getaddrinfo
        )
        self._thread = vital.thread(self._run, "outbound")
        self._stop_at: float | None = None
        self._rung = False
        self._again = False
        self._bell_lock = threading.Lock()
        self._closed = False
        self._held = False
        # Lanes with new work come in through the first and take turns in the second.
        self._inbox: deque[Lane] = deque()
        self._lanes: deque[Lane] = deque()
        # Lanes whose pace holds them, by when they may go on.
        self._paced: list[tuple[float, int, Lane]] = []
        # Attempts that know their address and wait for a free transfer.
        self._placed: deque[tuple[Attempt, str | None]] = deque()
        # Attempts that are not with libcurl yet, by deadline; some have left.
        self._deadlines: list[tuple[float, int, Attempt]] = []
        self._serial = 0
        self._waiting = 0
        self._running = 0
        self._idle: list[Transfer] = []

    def start(self) -> None:
        """Start the thread; it ends with ``stop`` or with the process."""
        _allow_open_files(3 * self._max_transfers + 512)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Start nothing more, give what is out ``timeout_s``, then abort it.

        What is aborted is done with ``ErrorClass.INTERNAL``: it may have
        arrived.  What was not started stays in its lane; ``drain`` returns it.
        """
        self._stop_at = time.monotonic() + timeout_s
        if self._thread.is_alive():
            self._wake()
            self._thread.join(timeout_s + 5)
        if not self._thread.is_alive():
            self._close()

    def submit(self, lane: Lane, jobs: Iterable[Job]) -> None:
        """Add ``jobs`` to the end of ``lane``; returns at once."""
        lane.put(jobs)
        self._inbox.append(lane)
        self._wake()

    def hold(self, held: bool) -> None:
        """Start nothing while what came of requests cannot be recorded, or go on."""
        if self._held != held:
            self._held = held
            self._wake()

    def drain(self, lane: Lane) -> list[Job]:
        """Take back those of ``lane``'s jobs that were not started, in order."""
        return lane.take_all()

    def _wake(self) -> None:
        # The loop clears the flag before it looks, so no ring is lost.
        if not self._rung:
            self._rung = True
            with self._bell_lock:
                if not self._closed:
                    self._engine.wake()

    def _close(self) -> None:
        with self._bell_lock:
            if self._closed:
                return
            self._closed = True
        self._resolver.close()
        self._engine.close()
        for transfer in self._idle:
            transfer.curl.close()

    # Everything below runs in the loop's thread.

    def _run(self) -> None:
        while not self._over():
            try:
                self._turn()
            except BaseException:  # nothing may end this thread
                log.exception(LOOP_FAILED)
                self._again = True
                time.sleep(0.01)
        self._abort()

    def _turn(self) -> None:
        timeout_s, self._again = self._timeout_s(), False
        completions = self._engine.turn(timeout_s)
        self._rung = False
        self._complete(completions)
        while self._inbox:
            self._schedule(self._inbox.popleft())
        for attempt, answer in self._resolver.finished():
            self._answered(attempt, answer)
        self._expire()
        self._resume()
        self._start()
        self._complete(self._engine.flush())

    def _timeout_s(self) -> float:
        """Return how long to wait for events; negative: until there is one."""
        free = self._running < self._max_transfers
        work = self._placed or (
            self._lanes and self._stop_at is None and not self._held
        )
        if self._again or self._inbox or (free and work):
            return 0.0
        ends = [each for each in (self._stop_at,) if each is not None]
        ends += [heap[0][0] for heap in (self._deadlines, self._paced) if heap]
        return max(0.0, min(ends) - time.monotonic()) if ends else -1.0

    def _over(self) -> bool:
        if self._stop_at is None:
            return False
        idle = self._running == 0 and self._waiting == 0
        return idle or time.monotonic() >= self._stop_at

    def _schedule(self, lane: Lane) -> None:
        if not lane.scheduled and lane.queued:
            lane.scheduled = True
            self._lanes.append(lane)

    def _start(self) -> None:
        """Start what may be started, one job of each lane in turn."""
        while self._placed and self._running < self._max_transfers:
            attempt, pin = self._placed.popleft()
            if attempt.waiting:
                attempt.waiting = False
                self._waiting -= 1
                self._begin(attempt, pin)
        if self._stop_at is not None or self._held:
            return
        lanes = self._lanes
        now = time.monotonic()
        for _ in range(STARTS_PER_TURN):
            if not lanes or self._running >= self._max_transfers:
                return
            lane = lanes.popleft()
            job = lane.take(now)
            if job is None:
                self._rest(lane, now)
                continue
            lanes.append(lane)
            self._launch(lane, job)

    def _rest(self, lane: Lane, now: float) -> None:
        """Take a lane out of the round until it has a reason to come back.

        One that is paced stays marked as scheduled: it comes back at its time.
        """
        lane.scheduled = lane.paced(now)
        if lane.scheduled:
            self._serial += 1
            heappush(self._paced, (lane.next_at, self._serial, lane))

    def _resume(self) -> None:
        now = time.monotonic()
        while self._paced and self._paced[0][0] <= now:
            lane = heappop(self._paced)[2]
            lane.scheduled = False
            self._schedule(lane)

    def _launch(self, lane: Lane, job: Job) -> None:
        started = time.monotonic()
        try:
            request = job.prepare()
            lines, to = wire_headers(request), request.to
            deadline = started + to.timeout.total_seconds()
            attempt = Attempt(job, lane, request, lines, started, deadline)
            answer = self._resolver.lookup(to.host, to.port, to.pool, attempt)
        except MalformedRequestError as error:
            outcome = _unsent(ErrorClass.INVALID_REQUEST, str(error), started)
            self._done(lane, job, outcome)
        except BaseException as error:  # the job's fault alone
            log.exception(PREPARE_FAILED)
            self._done(lane, job, _unsent(ErrorClass.INTERNAL, repr(error), started))
        else:
            if answer is None:
                self._wait(attempt)
            else:
                self._place(attempt, answer)

    def _wait(self, attempt: Attempt) -> None:
        attempt.waiting = True
        self._waiting += 1
        self._serial += 1
        heappush(self._deadlines, (attempt.deadline, self._serial, attempt))

    def _answered(self, attempt: Attempt, answer: Answer) -> None:
        if not attempt.waiting:
            return
        attempt.waiting = False
        self._waiting -= 1
        attempt.dns_s = time.monotonic() - attempt.started
        self._place(attempt, answer)

    def _place(self, attempt: Attempt, answer: Answer) -> None:
        if answer.error is not None:
            self._fail(attempt, answer.error, answer.detail)
        elif self._running < self._max_transfers:
            self._begin(attempt, answer.pin)
        else:
            attempt.placed = True
            self._wait(attempt)
            self._placed.append((attempt, answer.pin))

    def _begin(self, attempt: Attempt, pin: str | None) -> None:
        transfer: Transfer | None = None
        try:
            if self._idle:
                transfer = self._idle.pop()
            else:
                transfer = Transfer(self._policy, self._ca_file)
            transfer.begin(attempt, pin, time.monotonic())
            self._engine.add(transfer)
        except BaseException as error:  # nothing else may suffer from it
            log.exception(PREPARE_FAILED)
            if transfer is not None:
                transfer.curl.close()
            self._fail(attempt, ErrorClass.INTERNAL, repr(error))
        else:
            self._running += 1

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            attempt = heappop(self._deadlines)[2]
            if not attempt.waiting:
                continue
            attempt.waiting = False
            self._waiting -= 1
            if attempt.placed:
                self._fail(attempt, ErrorClass.TIMEOUT, "no transfer was free in time")
                continue
            to = attempt.request.to
            self._resolver.forget(to.host, to.port, to.pool, attempt)
            self._fail(attempt, ErrorClass.DNS_ERROR, "no address in time")

    def _complete(self, completions: list[Completion]) -> None:
        for transfer, code, why in completions:
            attempt = transfer.attempt
            try:
                outcome = transfer.outcome(code, why)
            except Exception as error:
                log.exception(LOOP_FAILED)
                outcome = Outcome(None, ErrorClass.INTERNAL, repr(error))
            transfer.release()
            self._idle.append(transfer)
            self._running -= 1
            if attempt is not None:
                self._done(attempt.lane, attempt.job, outcome)

    def _fail(self, attempt: Attempt, error: ErrorClass, detail: str | None) -> None:
        outcome = _unsent(error, detail, attempt.started)
        self._done(attempt.lane, attempt.job, outcome)

    def _done(self, lane: Lane, job: Job, outcome: Outcome) -> None:
        lane.finished(outcome)
        self._schedule(lane)
        try:
            job.done(outcome)
        except BaseException:  # the job's fault alone
            log.exception(DONE_FAILED)

    def _abort(self) -> None:
        """Finish what is still out or waiting: the time to stop is over."""
        detail = "the sender was stopped before the answer came"
        count = self._running + self._waiting
        for transfer in self._engine.running():
            attempt = transfer.attempt
            self._engine.remove(transfer)
            transfer.release()
            self._idle.append(transfer)
            self._running -= 1
            if attempt is not None:
                self._fail(attempt, ErrorClass.INTERNAL, detail)
        for _, _, attempt in self._deadlines:
            if attempt.waiting:
                attempt.waiting = False
                self._waiting -= 1
                self._fail(attempt, ErrorClass.INTERNAL, detail)
        if count:
            log.warning(TRANSFERS_ABORTED, count=count)


def _unsent(error: ErrorClass, detail: str | None, started: float) -> Outcome:
    total_ms = (time.monotonic() - started) * 1000
    return Outcome(None, error, detail, timings=Timings(total_ms=total_ms))


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
