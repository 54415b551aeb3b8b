"""The Celery application: every option says what breaks without it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

import structlog
from celery import Celery, Task, shared_task
from kombu import Queue

from ascwebhooks.services.container import Services
from ascwebhooks.services.turns import Turns
from ascwebhooks.tasks.consumer import QuickConsumer

log = structlog.get_logger()

P = ParamSpec("P")

MAINTENANCE_QUEUE = "maintenance"
#: Nobody takes from the maintenance queue while so much waits in it: a second brings
#: fewer than ten, and all of it is asked for again.
CROWDED = 500
#: A ring that nobody took in this time is worth nothing: the sweeper rang again.
RING_EXPIRES_S = 30
_WALK = "ascwebhooks.tasks.maintenance.walk_replays"
_TELL = "ascwebhooks.tasks.maintenance.tell_notices"
#: Dead letters may be recorded twenty times a second; beat finds what is not rung for.
_TELL_GRAIN_S = 0.2


def deliver_queue(region: str, *, slow: bool) -> str:
    """Return the queue on which a region's endpoints are rung."""
    return f"deliver.{region}.slow" if slow else f"deliver.{region}"


class App(Celery):
    """The application, with what its worker process serves its tasks with."""

    services: Services
    turns: Turns

    def is_crowded(self) -> bool:
        """Return whether so much waits for maintenance that nobody can be there.

        A message that has expired is thrown away by whoever takes it, and by nobody
        else: asked for each second and never done, it would fill the broker.

        Raises:
            OperationalError: If the broker is away.
        """
        with self.connection_or_acquire() as connection:
            length: int = connection.default_channel.client.llen(MAINTENANCE_QUEUE)
        return length >= CROWDED


class ServiceTask(Task):  # type: ignore[type-arg]
    """A task that finds the services of its process at the application."""

    @property
    def services(self) -> Services:
        """The services, as bootstrap made them."""
        return cast(App, self.app).services

    @property
    def turns(self) -> Turns:
        """The mailboxes that this process serves."""
        return cast(App, self.app).turns


def task() -> Callable[[Callable[Concatenate[ServiceTask, P], None]], Any]:
    """Declare a task with the options every task here must have.

    Celery takes an option it does not know in silence (``ignore_results=True``
    does nothing), so tasks never pass options to it themselves.  Messages are
    acknowledged early: PostgreSQL knows what is owed, and the sweeper rings
    again for whatever a lost message would have served.  There is no time
    limit: in a thread pool Celery cannot enforce one, libcurl's deadlines do.
    """
    return shared_task(
        bind=True,
        base=ServiceTask,
        acks_late=False,
        ignore_result=True,
    )


def make_celery(redis_url: str) -> App:
    """Return the application, without services yet."""
    app = App("ascwebhooks", broker=redis_url, set_as_current=True)
    app.conf.update(
        # Ids only, and nothing that could be unpickled.
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # A queue that nobody declared would be made on a typing error.
        task_create_missing_queues=True,
        task_default_queue=MAINTENANCE_QUEUE,
        # Without it an idle second worker gets nothing while the first hoards.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        # Our logs are structlog's.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # No events, no remote results: nothing here reads them.
        worker_send_task_events=False,
        task_send_sent_event=False,
        # A frozen broker would block a publish for ever without the timeouts.
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "visibility_timeout": 60,
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A ring is not worth waiting for: what fails is swept up.
        task_publish_retry=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_consumer=f"{QuickConsumer.__module__}:{QuickConsumer.__name__}",
        worker_enable_remote_control=True,
        timezone="UTC",
        beat_scheduler="ascwebhooks.tasks.beat:Ticks",
        beat_max_loop_interval=1,
        beat_schedule=_schedule(),
    )
    return app


def _schedule() -> dict[str, dict[str, Any]]:
    """Return what beat sends; late is worthless, so each expires before the next."""
    every = {
        "ring_retries": 1.0,
        "walk_replays": 1.0,
        "tell_notices": 1.0,
        "turn_budgets": 5.0,
        "evaluate_rules": 5.0,
        "sweep": 10.0,
        "end_the_rest": 10.0,
        "sum_up": 10.0,
        "sum_up_hours": 60.0,
        # A minute has one sample: the first that comes through takes it.
        "sample_gauges": 20.0,
        "keep_gauge_samples": 60.0,
        "keep_usage": 60.0,
        "disable_failing": 60.0,
        "keep_partitions": 600.0,
        "forget": 3600.0,
    }
    return {
        name: {
            "task": f"ascwebhooks.tasks.maintenance.{name}",
            "schedule": seconds,
            "options": {"queue": MAINTENANCE_QUEUE, "expires": max(2.0, seconds)},
        }
        for name, seconds in every.items()
    }


def queues_of(
    *, region: str, deliver: bool, slow: bool, maintenance: bool
) -> list[Queue]:
    """Return the queues a worker consumes."""
    names = []
    if deliver:
        names.append(deliver_queue(region, slow=slow))
    if maintenance:
        names.append(MAINTENANCE_QUEUE)
    return [Queue(name) for name in names]


def publisher(app: Celery) -> Callable[[Sequence[UUID], str, bool], None]:
    """Return what rings: ids only, on the region's queue."""

    def publish(endpoint_ids: Sequence[UUID], region: str, slow: bool) -> None:
        app.send_task(
            "ascwebhooks.tasks.deliveries.turn",
            args=[[each.hex for each in endpoint_ids]],
            queue=deliver_queue(region, slow=slow),
            expires=RING_EXPIRES_S,
            retry=False,
            ignore_result=True,
        )

    return publish


def walkers_bell(app: App) -> Callable[[], None]:
    """Return what asks for a walker of replays, and returns at once."""
    return _bell(app, _WALK)


def notices_bell(app: App) -> Callable[[], None]:
    """Return what asks for notices to be told, now and then, and returns at once."""
    ring, rung = _bell(app, _TELL), [-math.inf]

    def now_and_then() -> None:
        now = time.monotonic()
        if now - rung[0] >= _TELL_GRAIN_S:
            rung[0] = now
            ring()

    return now_and_then


def _bell(app: App, name: str) -> Callable[[], None]:
    """Return what asks for maintenance that beat asks for each second too.

    In a thread: a broker that is frozen blocks a publish for seconds, and losing
    this one is harmless.
    """

    def publish() -> None:
        try:
            if app.is_crowded():
                return
            app.send_task(
                name, queue=MAINTENANCE_QUEUE, expires=RING_EXPIRES_S, retry=False
            )
        except Exception as error:  # noqa: BLE001 - a thread's edge
            log.warning("maintenance_not_rung", task=name, error=repr(error))

    return lambda: Thread(target=publish, name="bell", daemon=True).start()
