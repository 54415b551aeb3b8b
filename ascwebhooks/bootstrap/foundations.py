"""What services stand on: the database, the broker, keys and the network."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property, partial
from uuid import uuid4

import redis
from kombu.exceptions import OperationalError
from sqlalchemy import Engine

from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.encryption import KeyRing
from ascwebhooks.errors import SettingsInvalid, TargetRejected, Unavailable
from ascwebhooks.services import acting
from ascwebhooks.services.gauge_samples import GaugeSamples
from ascwebhooks.services.gauges import Gauges
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.rings import Rings
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.statistics import Statistics
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.settings import Settings
from ascwebhooks.storage.doors import Doors, Urgency
from ascwebhooks.storage.engine import make_engine, make_redis
from ascwebhooks.storage.idempotency import Promise
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.streams import Stream
from ascwebhooks.storage.unit_of_work import UnitOfWork, make_sessions
from ascwebhooks.tasks.app import (
    App,
    deliver_queue,
    make_celery,
    notices_bell,
    publisher,
)

_INSPECT_S = 1.0
_KEY_CONNECTIONS = 2


class Foundations:
    """Those of one process, each made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        """Check what nothing works without.

        Raises:
            SettingsInvalid: If a database, a broker or a key ring is missing.
        """
        self.settings = settings
        settings.require_database_url()
        settings.require_redis_url()
        self.ring = KeyRing(settings.require_encryption_keys())
        self.retention = timedelta(days=settings.retention_days)

    @cached_property
    def engine(self) -> Engine:
        """The pool of connections."""
        return make_engine(
            self.settings.require_database_url(),
            # Telling notices accepts events beside its own transaction.
            pool_size=2 * self.settings.deliver_threads + 4,
        )

    @cached_property
    def key_engine(self) -> Engine:
        """A pool for data keys alone.

        Whoever needs a key may hold a connection already: were it to wait for another
        one of the same pool, threads enough would wait for each other.
        """
        return make_engine(
            self.settings.require_database_url(), pool_size=_KEY_CONNECTIONS
        )

    @cached_property
    def celery(self) -> App:
        """The broker's side."""
        return make_celery(self.settings.require_redis_url())

    @cached_property
    def uow(self) -> Callable[[], UnitOfWork]:
        """What opens transactions."""
        return partial(
            UnitOfWork,
            make_sessions(self.engine),
            self.promise.before_commit,
            notices_bell(self.celery),
            acting.current,
        )

    @cached_property
    def aside(self) -> Callable[[], UnitOfWork]:
        """What opens transactions that no request's outcome hangs on."""
        return partial(UnitOfWork, make_sessions(self.engine))

    @cached_property
    def promise(self) -> Promise:
        """Which idempotent request a thread is answering."""
        return Promise()

    @cached_property
    def policy(self) -> AddressPolicy:
        """Which addresses may be reached."""
        return AddressPolicy(self.settings.allowed_networks)

    def stream(self, timeout_s: float = 5.0) -> Stream:
        """Return a reader's view of the stream, under a name of its own."""
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        client = make_redis(self.settings.require_redis_url(), timeout_s=timeout_s)
        return Stream(client, self.settings.stream, self.settings.stream_group, name)

    def check_target(self, host: str) -> bool:
        """Return whether a host resolves now.

        Raises:
            TargetRejected: If it resolves to an address that may not be reached.
        """
        addresses = _addresses(host)
        for address in addresses:
            if self.policy.reason(address) is not None:
                raise TargetRejected(
                    f"{host} is on a network that deliveries may not reach; an"
                    " operator can allow it in ASCWEBHOOKS_ALLOWED_NETWORKS.",
                    field="url",
                )
        return bool(addresses)

    def workers(self) -> dict[str, list[str]]:
        """Ask the workers for the queues they consume.

        Raises:
            Unavailable: If the broker is away.
        """
        try:
            inspect = self.celery.control.inspect(timeout=_INSPECT_S)
            answers = inspect.active_queues() or {}
        except OperationalError as error:
            raise Unavailable("the broker is away; nobody could be asked.") from error
        return {
            name: [queue["name"] for queue in queues]
            for name, queues in answers.items()
        }

    @cached_property
    def sealing(self) -> Sealing:
        """What seals and opens."""
        return Sealing(
            partial(UnitOfWork, make_sessions(self.key_engine)), self.ring, os.urandom
        )

    @cached_property
    def broker(self) -> redis.Redis:
        """A client of the broker."""
        return make_redis(self.settings.require_redis_url())

    @cached_property
    def doors(self) -> Doors:
        """What keeps an endpoint from being rung twice."""
        return Doors(self.broker)

    @cached_property
    def rings(self) -> Rings:
        """The bell."""
        return Rings(
            self.doors,
            publisher(self.celery),
            lambda region, slow: self.broker.llen(deliver_queue(region, slow=slow)),
        )

    @cached_property
    def ring_all(self) -> Callable[[Iterable[Due]], None]:
        """The bell for those who are to hear it in any case."""
        return partial(self.rings.ring, urgency=Urgency.WHATEVER)

    @cached_property
    def metrics(self) -> Metrics:
        """What this process counts."""
        return Metrics()

    @cached_property
    def statistics(self) -> Statistics:
        """What was delivered, over time."""
        return Statistics(self.uow)

    @cached_property
    def gauges(self) -> Gauges:
        """How things stand now."""
        return Gauges(self.uow, self.stream(), retention=self.retention)

    @cached_property
    def gauge_samples(self) -> GaugeSamples:
        """How things stood, over time."""
        return GaugeSamples(self.uow, self.stream(), retention=self.retention)

    @cached_property
    def tracing(self) -> Tracing | None:
        """What makes spans, if anybody wants them."""
        return _tracing(self.settings)


def _addresses(host: str) -> set[str]:
    """Return what a host resolves to now; nothing if it does not.

    A name that does not resolve yet is no reason to refuse an endpoint: what is
    connected to is checked at every attempt.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(each[4][0]) for each in found}


def _tracing(settings: Settings) -> Tracing | None:
    if settings.traces_endpoint is None:
        return None
    try:
        # Only here: whoever does not trace need not have it, or wait for it.
        from ascwebhooks.outbound.traces import Traces  # noqa: PLC0415
    except ImportError as error:
        raise SettingsInvalid(
            "ASCWEBHOOKS_TRACES_ENDPOINT (or OTEL_EXPORTER_OTLP_ENDPOINT) is set, but"
            f" {error.name} is missing: pip install 'ascwebhooks[otel]'.",
            setting="ASCWEBHOOKS_TRACES_ENDPOINT",
        ) from error
    return Traces(settings.traces_endpoint)
