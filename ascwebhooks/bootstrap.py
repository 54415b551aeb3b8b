"""The composition root: from settings to services, and from services to processes."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property, partial
from importlib import resources
from urllib.parse import urlsplit
from uuid import uuid4

from kombu.exceptions import OperationalError
from sqlalchemy import Engine

from ascwebhooks import logs
from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.main import run
from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.encryption import KeyRing
from ascwebhooks.domain.mappings import Mapping
from ascwebhooks.errors import SettingsInvalid, TargetRejected, Unavailable
from ascwebhooks.outbound.identity_provider import IdentityProvider
from ascwebhooks.outbound.loop import Sender
from ascwebhooks.services import acting, gateways
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.audit import Audit
from ascwebhooks.services.batches import Writing
from ascwebhooks.services.budget_plans import BudgetPlans
from ascwebhooks.services.budget_turns import BudgetTurns
from ascwebhooks.services.budgets import Budgets
from ascwebhooks.services.charging import Charging
from ascwebhooks.services.container import Services
from ascwebhooks.services.dead_letters import DeadLetters
from ascwebhooks.services.deliveries import Deliveries
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.duties import Duties
from ascwebhooks.services.endpoint_states import EndpointStates
from ascwebhooks.services.endpoints import Endpoints
from ascwebhooks.services.events import Events
from ascwebhooks.services.gateways import Gateways
from ascwebhooks.services.gauges import Gauges
from ascwebhooks.services.health import Health
from ascwebhooks.services.idempotency import Idempotency
from ascwebhooks.services.incidents import Incidents
from ascwebhooks.services.ingestion import Ingestion
from ascwebhooks.services.keys import Keys
from ascwebhooks.services.maintenance import Maintenance
from ascwebhooks.services.making import Making
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.notices import Notices
from ascwebhooks.services.observers import RuleObserver, UsageObserver
from ascwebhooks.services.onboarding import Onboarding
from ascwebhooks.services.overviews import Overviews
from ascwebhooks.services.own_passwords import OwnPasswords
from ascwebhooks.services.people import People
from ascwebhooks.services.portals import Portals
from ascwebhooks.services.previews import Previews
from ascwebhooks.services.recording import Recording
from ascwebhooks.services.rejected_events import RejectedEvents
from ascwebhooks.services.replay_results import ReplayResults
from ascwebhooks.services.replays import Replays
from ascwebhooks.services.residency import Residency
from ascwebhooks.services.rings import Rings
from ascwebhooks.services.rules import Rules
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.secrets import Secrets
from ascwebhooks.services.sessions import Sessions
from ascwebhooks.services.sign_on import SingleSignOn
from ascwebhooks.services.signatures import Signatures
from ascwebhooks.services.statistics import Statistics
from ascwebhooks.services.subscriptions import Subscriptions
from ascwebhooks.services.targets import Targets
from ascwebhooks.services.tenants import Tenants
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.services.turns import Turns
from ascwebhooks.services.usage import Usage
from ascwebhooks.services.walking import Walking
from ascwebhooks.settings import Settings
from ascwebhooks.settings import read as settings_of
from ascwebhooks.storage import migrate
from ascwebhooks.storage.doors import Doors, Urgency
from ascwebhooks.storage.engine import make_engine, make_redis
from ascwebhooks.storage.idempotency import Promise
from ascwebhooks.storage.streams import Stream
from ascwebhooks.storage.unit_of_work import UnitOfWork, make_sessions
from ascwebhooks.tasks.app import (
    App,
    deliver_queue,
    make_celery,
    notices_bell,
    publisher,
    walkers_bell,
)
from ascwebhooks.tasks.beat import run_beat
from ascwebhooks.tasks.exposition import serve_metrics
from ascwebhooks.tasks.worker import run_worker
from ascwebhooks.web.app import create_app
from ascwebhooks.web.server import serve

_INSPECT_S = 1.0


class Parts:
    """The parts of one process, each made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        """Check what nothing works without.

        Raises:
            SettingsInvalid: If a database, a broker or a key ring is missing, or a
                mapping is wrong.
        """
        self.settings = settings
        self.mappings = _mappings(settings)
        settings.require_database_url()
        settings.require_redis_url()
        self.ring = KeyRing(settings.require_encryption_keys())
        self.retention = timedelta(days=settings.retention_days)

    @cached_property
    def engine(self) -> Engine:
        """The pool of connections."""
        return make_engine(
            self.settings.require_database_url(),
            pool_size=self.settings.deliver_threads + 4,
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

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of browsers."""
        return Sessions(
            self.uow,
            os.urandom,
            idle=timedelta(seconds=self.settings.session_idle_s),
            longest=timedelta(seconds=self.settings.session_max_s),
        )

    def single_sign_on(self) -> SingleSignOn | None:
        """Return single sign-on, if a provider is set."""
        settings = self.settings
        if settings.oidc_issuer is None:
            return None
        provider = IdentityProvider(
            settings.oidc_issuer,
            settings.oidc_client_id or "",
            settings.oidc_client_secret,
            scopes=settings.oidc_scopes,
            ca_file=settings.ca_file,
        )
        return SingleSignOn(
            self.uow,
            os.urandom,
            provider=provider,
            name=settings.oidc_name or urlsplit(settings.oidc_issuer).netloc,
            ring=self.ring,
            sessions=self.sessions,
            groups_claim=settings.oidc_groups_claim,
            roles=settings.oidc_roles,
        )

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

    def services(self) -> Services:
        """Return the services."""
        settings, uow = self.settings, self.uow
        sealing = Sealing(self.aside, self.ring, os.urandom)
        client = make_redis(settings.require_redis_url())
        doors = Doors(client)
        rings = Rings(
            doors,
            publisher(self.celery),
            lambda region, slow: client.llen(deliver_queue(region, slow=slow)),
        )
        targets = Targets(sealing)
        secrets = Secrets(uow, sealing, os.urandom)
        ring_all = partial(rings.ring, urgency=Urgency.WHATEVER)
        residency = Residency(ring=ring_all, retention=self.retention)
        states = EndpointStates(uow, sealing, ring=ring_all, retention=self.retention)
        making = Making(secrets, entropy=os.urandom, allow_http=settings.allow_http)
        deliveries = Deliveries(uow, sealing, targets, rings.ring)
        endpoints = Endpoints(
            uow,
            sealing,
            secrets,
            making,
            entropy=os.urandom,
            check_target=self.check_target,
            allow_http=settings.allow_http,
            retention=self.retention,
        )
        metrics, tracing = Metrics(), _tracing(settings)
        defaults = settings.default_rules
        writing = Writing(
            sealing,
            os.urandom,
            Triggers(
                [
                    Charging(),
                    UsageObserver(),
                    RuleObserver(os.urandom, defaults=defaults),
                ]
            ),
            keep_signals=settings.keep_signals == "all",
        )
        statistics = Statistics(uow)
        gauges = Gauges(uow, self.stream(), retention=self.retention)
        acceptance = Acceptance(
            uow,
            writing,
            ring=rings.ring,
            metrics=metrics,
            tracing=tracing,
        )
        deriving = Deriving(writing, ring=rings.ring, metrics=metrics)
        budgets = Budgets(uow, deriving, os.urandom)

        def make_turns(region: str, slow: bool) -> Turns:
            return Turns(
                uow,
                sender=Sender(
                    self.policy,
                    max_transfers=settings.max_transfers,
                    ca_file=settings.ca_file,
                ),
                targets=targets,
                recording=Recording(
                    uow, sealing, entropy=os.urandom, spread=random.random
                ),
                rings=rings,
                doors=doors,
                disable=states.disable,
                region=region,
                slow=slow,
                lease=timedelta(seconds=settings.lease_s),
                retention=self.retention,
                metrics=metrics,
                tracing=tracing,
            )

        people = People(uow, os.urandom)
        return Services(
            acceptance=acceptance,
            audit=Audit(uow),
            budget_turns=BudgetTurns(uow, deriving),
            budget_plans=BudgetPlans(budgets),
            budgets=budgets,
            dead_letters=DeadLetters(uow, self.retention),
            deliveries=deliveries,
            endpoint_states=states,
            endpoints=endpoints,
            events=Events(uow, sealing, acceptance, retention=self.retention),
            gateways=Gateways(acceptance, self.mappings),
            gauges=gauges,
            health=Health(
                uow,
                self.engine,
                client,
                self.stream(),
                sealing,
                workers=self.workers,
                retention=self.retention,
            ),
            incidents=Incidents(
                uow,
                deriving.derive,
                os.urandom,
                defaults=defaults,
            ),
            idempotency=Idempotency(self.aside, sealing, self.promise, os.urandom),
            keys=Keys(uow, os.urandom),
            notices=Notices(uow, acceptance.accept),
            overviews=Overviews(uow, statistics, gauges, self.retention),
            own_passwords=OwnPasswords(uow, people),
            people=people,
            portals=Portals(
                uow,
                os.urandom,
                self.sessions,
                lasts=timedelta(seconds=settings.portal_session_s),
            ),
            previews=Previews(uow, sealing),
            subscriptions=Subscriptions(uow, os.urandom),
            maintenance=Maintenance(
                uow,
                self.engine,
                rings,
                retention=self.retention,
                dedupe=timedelta(days=settings.dedupe_days),
                days_ahead=settings.partitions_ahead_days,
            ),
            metrics=metrics,
            onboarding=Onboarding(uow, sealing, making, self.check_target),
            rejected_events=RejectedEvents(uow, sealing, acceptance),
            replay_results=ReplayResults(uow, self.retention),
            replays=Replays(
                uow,
                entropy=os.urandom,
                wake=walkers_bell(self.celery),
                retention=self.retention,
            ),
            rings=rings,
            rules=Rules(uow, os.urandom, defaults=defaults),
            secrets=secrets,
            sessions=self.sessions,
            signatures=Signatures(uow, sealing, deliveries),
            single_sign_on=self.single_sign_on(),
            statistics=statistics,
            tenants=Tenants(
                uow, end_endpoint=states.end, follow_regions=residency.follow
            ),
            usage=Usage(uow, incidents_kept=self.retention),
            walking=Walking(uow, ring=rings.ring, retention=self.retention),
            make_ingestion=lambda: Ingestion(
                self.stream(), acceptance, settings.ingest_batch
            ),
            make_turns=make_turns,
            close=partial(_close, rings, self.engine, tracing),
        )


def build(settings: Settings) -> Services:
    """Return the services for these settings.

    Raises:
        SettingsInvalid: If a setting they need is missing.
    """
    return Parts(settings).services()


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


def _mappings(settings: Settings) -> dict[str, Mapping]:
    own = resources.files("ascwebhooks.domain").joinpath("otel.yaml").read_text()
    return gateways.load(settings.mappings_dir, own)


def _close(rings: Rings, engine: Engine, tracing: Tracing | None) -> None:
    rings.close(2.0)
    if tracing is not None:
        tracing.close()
    engine.dispose()


def main() -> None:
    """Run the command line (the console script ``ascwebhooks``)."""
    tools = Tools(
        read_settings=lambda: _configured(settings_of(os.environ)),
        build=build,
        migrate=_migrate,
        run_worker=_run_worker,
        run_beat=_run_beat,
        run_web=_run_web,
        environ=os.environ,
    )
    sys.exit(run(tools))


def _configured(settings: Settings) -> Settings:
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _migrate(settings: Settings) -> str:
    return migrate.upgrade(
        settings.require_database_url(), days_ahead=settings.partitions_ahead_days
    )


def _run_worker(settings: Settings, duties: Duties, name: str | None) -> int:
    parts = Parts(settings)
    unique = name or f"{duties.kind}-{os.getpid()}@{socket.gethostname()}"
    services = parts.services()
    if settings.metrics_bind is not None:
        serve_metrics(settings.metrics_bind, services.metrics)
    return run_worker(parts.celery, services, duties, unique)


def _run_beat(settings: Settings) -> None:
    run_beat(make_celery(settings.require_redis_url()))


def _run_web(settings: Settings) -> None:
    # Made in each worker process, after the fork: connections and threads do not
    # survive one.
    serve(lambda: create_app(build(settings), settings), settings.bind)
