"""A worker process: Celery's, with the stream's reader and the desk beside it."""

from __future__ import annotations

import gc
import sys
from typing import Any

import structlog
from celery import bootsteps
from celery.apps.worker import Worker

from ascwebhooks import vital
from ascwebhooks.services.container import Services
from ascwebhooks.services.duties import Duties
from ascwebhooks.services.ingestion import Ingestion
from ascwebhooks.services.turns import SETTLE_S, Turns
from ascwebhooks.tasks import deliveries, maintenance  # noqa: F401 - registers them
from ascwebhooks.tasks.app import App, queues_of
from ascwebhooks.tasks.pool import WakingPool

log = structlog.get_logger()

#: The loop, the desk and the recorder share one interpreter lock: with Python's own
#: 5 ms the loop waits for it while sockets are ready.  Lower than 0.5 ms is worse.
_SWITCH_S = 0.001
#: The collector's thresholds: it would go through all that is in flight every 700
#: objects, of which a delivery makes dozens, and hardly any of them are in cycles.
_COLLECT_AFTER = (20_000, 10, 20)

#: A request may be out for 30 s; what is still out then is aborted.
DRAIN_S = 32.0
#: For the batch in hand; what is not settled then, another reader takes over.
_LAST_BATCH_S = 4.0
#: A worker that is told to stop has ended by then, whatever is away; it may be killed
#: after that.  Those who run workers allow it: ``up``, systemd's units, the README.
STOP_S = DRAIN_S + SETTLE_S + _LAST_BATCH_S + 1


class IngestionStep(bootsteps.StartStopStep):
    """Reads the stream in a thread of its own, for as long as the worker runs."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Start the reader."""
        self.ingestion: Ingestion = parent.app.services.make_ingestion()
        self.thread = vital.thread(self.ingestion.run, "ingestion")
        self.thread.start()

    def stop(self, parent: Any) -> None:
        """Let the reader finish its batch and leave the group."""
        self.ingestion.stop()
        self.thread.join(_LAST_BATCH_S)

    terminate = stop


class TurnsStep(bootsteps.StartStopStep):
    """The desk and the libcurl loop of the process."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Start both."""
        turns: Turns = parent.app.turns
        turns.start()

    def stop(self, parent: Any) -> None:
        """Wait for what is out, record it, give back all leases."""
        turns: Turns = parent.app.turns
        turns.stop(DRAIN_S)

    terminate = stop


def run_worker(app: App, services: Services, duties: Duties, name: str) -> int:
    """Run a worker until it is told to stop; return its exit status."""
    app.services = services
    queues = queues_of(
        region=duties.region,
        deliver=duties.deliver,
        slow=duties.slow,
        maintenance=duties.maintenance,
    )
    app.conf.task_queues = queues
    if duties.ingest:
        app.steps["worker"].add(IngestionStep)
    if duties.deliver:
        sys.setswitchinterval(_SWITCH_S)
        app.turns = services.make_turns(duties.region, duties.slow)
        app.steps["worker"].add(TurnsStep)
    worker = Worker(
        app=app,
        hostname=name,
        pool_cls=WakingPool,
        concurrency=duties.threads if queues else 1,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    _spare_the_collector()
    log.info("worker_started", name=name, queues=[each.name for each in queues])
    worker.start()
    services.close()
    return int(worker.exitcode or 0)


def _spare_the_collector() -> None:
    """Have the collector leave alone what a process keeps for as long as it runs.

    Modules, tables' descriptions, validators: two hundred thousand objects, which it
    would go through each time a quarter as many others have come to stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
