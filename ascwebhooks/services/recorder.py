"""The recorder: a thread that writes what came of attempts, batch after batch.

It runs beside the desk, so that one waits for PostgreSQL while the other does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event
from typing import NamedTuple

import structlog

from ascwebhooks import logs, vital
from ascwebhooks.domain.deliveries import Outcome, Status
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.recording import Made, Recorded, Recording
from ascwebhooks.services.visits import Job, names

log = structlog.get_logger()

BATCH_LIMIT = 1_000
#: A moment later there is more to record at the price of one commit.  The long
#: one is for when the loop has plenty to send meanwhile.
_LINGER_S = (0.002, 0.045)
_PAUSE_S = (0.1, 2.0)
_IDLE_S = 1.0


class Result(NamedTuple):
    """A job whose attempt was made."""

    job: Job
    made: Made


class Recorder:
    """Records the attempts of one process; nothing it was handed is lost.

    While the database is away it keeps them and tries again.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        after: Callable[[Recorded, Sequence[Job]], None],
        plenty: Callable[[], bool],
        hold: Callable[[bool], None],
        metrics: Metrics,
    ) -> None:
        """Take the parts.

        Args:
            recording: Writes a batch.
            after: Told of each batch that was written.
            plenty: Whether the loop has enough to send for a while.
            hold: Told to start nothing while nothing can be recorded: all of it would
                be sent again.
            metrics: Counts each batch that was written.
        """
        self._recording = recording
        self._after = after
        self._plenty = plenty
        self._hold = hold
        self._metrics = metrics
        self._results: deque[tuple[Job, Outcome]] = deque()
        #: What is to be recorded next, in the order in which it came.
        self._batches: list[list[Result]] = []
        self._wake = Event()
        self._stopping = Event()
        self._thread = vital.thread(self._run, "recorder")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Record what there is, for ``timeout_s`` at most, and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def finished(self, job: Job, outcome: Outcome) -> None:
        """Take a result from the loop, in its thread."""
        self._results.append((job, outcome))
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        pause = 0.0
        low, high = _PAUSE_S
        while not self._stopping.is_set() or self._results or self._batches:
            self._wait(pause)
            try:
                self._record()
                self._hold(False)
                pause = 0.0
            except Unavailable as error:
                self._hold(True)
                pause = min(high, pause * 2 or low)
                log.warning("recorder_waits_for_database", error=str(error.__cause__))
            except Exception:
                pause = min(high, pause * 2 or low)
                log.exception("recorder_failed")

    def _wait(self, pause: float) -> None:
        if pause:
            time.sleep(pause)
            return
        self._wake.wait(_IDLE_S)
        self._wake.clear()
        if len(self._results) < BATCH_LIMIT // 2 and not self._stopping.is_set():
            time.sleep(_LINGER_S[self._plenty()])

    def _record(self) -> None:
        while self._batches or self._results:
            if not self._batches:
                self._collect()
            batch = self._batches[0]
            try:
                recorded = self._recording.record([each.made for each in batch])
            except Unavailable:
                raise
            except Exception:
                log.exception("attempts_not_recorded", attempts=len(batch))
                self._batches[:1] = _smaller(batch)
                continue
            del self._batches[0]
            self._settle(batch, recorded)

    def _settle(self, batch: Sequence[Result], recorded: Recorded) -> None:
        jobs = [each.job for each in batch]
        for job in jobs:
            job.visit.jobs.pop(job.claimed.id, None)
        made = [each.made for each in batch]
        self._metrics.recorded(made, recorded.statuses)
        self._after(recorded, jobs)
        _log(batch, recorded.statuses)

    def _collect(self) -> None:
        batch: list[Result] = []
        while self._results and len(batch) < BATCH_LIMIT:
            job, outcome = self._results.popleft()
            batch.append(Result(job, job.made(outcome)))
        self._batches.append(batch)


def _smaller(batch: list[Result]) -> list[list[Result]]:
    """Return what to try instead of a batch that something in it made fail.

    Its halves; of one attempt, that it was made and no more; then nothing: its
    delivery will be made again, and no other waits for it.
    """
    if len(batch) > 1:
        half = len(batch) // 2
        return [batch[:half], batch[half:]]
    ((job, made),) = batch
    bare = made.bare()
    if made == bare:
        log.error("attempt_given_up", **names(job))
        job.visit.jobs.pop(job.claimed.id, None)
        return []
    return [[Result(job, bare)]]


def _log(batch: Sequence[Result], statuses: Sequence[Status | None]) -> None:
    logs.info_all(
        "delivery_attempted",
        (
            {
                **names(job),
                "attempt": job.claimed.step + 1,
                "status": status,
                "status_code": attempt.outcome.status_code,
                "error": attempt.outcome.error,
                "total_ms": round(attempt.outcome.timings.total_ms, 1),
            }
            for (job, attempt), status in zip(batch, statuses, strict=True)
        ),
    )
