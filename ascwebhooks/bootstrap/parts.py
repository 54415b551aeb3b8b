"""The services of one process, put together."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property, partial
from urllib.parse import urlsplit

from sqlalchemy import Engine

from ascwebhooks.bootstrap.triggering import Triggering
from ascwebhooks.outbound.identity_provider import IdentityProvider
from ascwebhooks.outbound.loop import Sender
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.audit import Audit
from ascwebhooks.services.budget_plans import BudgetPlans
from ascwebhooks.services.budget_turns import BudgetTurns
from ascwebhooks.services.container import Services
from ascwebhooks.services.dead_letters import DeadLetters
from ascwebhooks.services.deliveries import Deliveries
from ascwebhooks.services.endpoint_states import EndpointStates
from ascwebhooks.services.endpoints import Endpoints
from ascwebhooks.services.events import Events
from ascwebhooks.services.gateways import Gateways
from ascwebhooks.services.health import Health
from ascwebhooks.services.idempotency import Idempotency
from ascwebhooks.services.ingestion import Ingestion
from ascwebhooks.services.keys import Keys
from ascwebhooks.services.maintenance import Maintenance
from ascwebhooks.services.making import Making
from ascwebhooks.services.notices import Notices
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
from ascwebhooks.services.secrets import Secrets
from ascwebhooks.services.sessions import Sessions
from ascwebhooks.services.sign_on import SingleSignOn
from ascwebhooks.services.signatures import Signatures
from ascwebhooks.services.subscriptions import Subscriptions
from ascwebhooks.services.targets import Targets
from ascwebhooks.services.tenants import Tenants
from ascwebhooks.services.tracing import Tracing
from ascwebhooks.services.turns import Turns
from ascwebhooks.services.walking import Walking
from ascwebhooks.tasks.app import walkers_bell


class Parts(Triggering):
    """The parts of one process, each made when it is first asked for."""

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

    @cached_property
    def targets(self) -> Targets:
        """What reads where deliveries go."""
        return Targets(self.sealing, allow_http=self.settings.allow_http)

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets of endpoints."""
        return Secrets(self.uow, self.sealing, os.urandom)

    @cached_property
    def making(self) -> Making:
        """What makes endpoints."""
        return Making(
            self.secrets, entropy=os.urandom, allow_http=self.settings.allow_http
        )

    @cached_property
    def endpoint_states(self) -> EndpointStates:
        """What pauses, disables and deletes endpoints."""
        return EndpointStates(
            self.uow, self.sealing, ring=self.ring_all, retention=self.retention
        )

    @cached_property
    def deliveries(self) -> Deliveries:
        """Deliveries one by one."""
        return Deliveries(self.uow, self.sealing, self.targets, self.rings.ring)

    def overviews(self) -> Overviews:
        """Return what sees everything at a glance."""
        return Overviews(
            self.uow,
            self.statistics,
            self.gauges,
            self.gauge_samples,
            retention=self.retention,
        )

    @cached_property
    def people(self) -> People:
        """Who may log in."""
        return People(self.uow, os.urandom)

    @cached_property
    def acceptance(self) -> Acceptance:
        """What accepts events."""
        return Acceptance(
            self.uow,
            self.writing,
            ring=self.rings.ring,
            metrics=self.metrics,
            tracing=self.tracing,
        )

    def endpoints(self) -> Endpoints:
        """Return what creates and changes endpoints."""
        return Endpoints(
            self.uow,
            self.sealing,
            self.secrets,
            self.making,
            entropy=os.urandom,
            check_target=self.check_target,
            allow_http=self.settings.allow_http,
            retention=self.retention,
        )

    def turns(self, region: str, slow: bool) -> Turns:
        """Return what delivers, with a libcurl loop of its own."""
        settings = self.settings
        return Turns(
            self.uow,
            sender=Sender(
                self.policy,
                max_transfers=settings.max_transfers,
                ca_file=settings.ca_file,
            ),
            targets=self.targets,
            recording=Recording(
                self.uow, self.sealing, entropy=os.urandom, spread=random.random
            ),
            rings=self.rings,
            doors=self.doors,
            disable=self.endpoint_states.disable,
            region=region,
            slow=slow,
            lease=timedelta(seconds=settings.lease_s),
            retention=self.retention,
            metrics=self.metrics,
            tracing=self.tracing,
        )

    def ingestion(self) -> Ingestion:
        """Return a reader of the stream."""
        return Ingestion(self.stream(), self.acceptance, self.settings.ingest_batch)

    def health(self) -> Health:
        """Return what looks after all the parts."""
        return Health(
            self.uow,
            self.engine,
            self.broker,
            self.stream(),
            self.sealing,
            workers=self.workers,
            retention=self.retention,
        )

    def maintenance(self) -> Maintenance:
        """Return what keeps house."""
        return Maintenance(
            self.uow,
            self.engine,
            self.rings,
            retention=self.retention,
            dedupe=timedelta(days=self.settings.dedupe_days),
            days_ahead=self.settings.partitions_ahead_days,
        )

    def portals(self) -> Portals:
        """Return what opens a tenant's part to whoever has a link."""
        lasts = timedelta(seconds=self.settings.portal_session_s)
        return Portals(self.uow, os.urandom, self.sessions, lasts=lasts)

    def replays(self) -> Replays:
        """Return what sends again."""
        return Replays(
            self.uow,
            entropy=os.urandom,
            wake=walkers_bell(self.celery),
            retention=self.retention,
        )

    def tenants(self) -> Tenants:
        """Return what creates, changes and deletes tenants."""
        residency = Residency(ring=self.ring_all, retention=self.retention)
        return Tenants(
            self.uow,
            end_endpoint=self.endpoint_states.end,
            follow_regions=residency.follow,
        )

    def services(self) -> Services:
        """Return the services."""
        uow, sealing, retention = self.uow, self.sealing, self.retention
        return Services(
            acceptance=self.acceptance,
            audit=Audit(uow),
            budget_plans=BudgetPlans(self.budgets),
            budget_turns=BudgetTurns(uow, self.deriving),
            budgets=self.budgets,
            dead_letters=DeadLetters(uow, retention),
            deliveries=self.deliveries,
            endpoint_states=self.endpoint_states,
            endpoints=self.endpoints(),
            events=Events(uow, sealing, self.acceptance, retention=retention),
            gateways=Gateways(self.acceptance, self.mappings),
            gauge_samples=self.gauge_samples,
            gauges=self.gauges,
            health=self.health(),
            idempotency=Idempotency(self.aside, sealing, self.promise, os.urandom),
            incidents=self.incidents(),
            keys=Keys(uow, os.urandom),
            notices=Notices(uow, self.acceptance.accept),
            overviews=self.overviews(),
            own_passwords=OwnPasswords(uow, self.people),
            people=self.people,
            portals=self.portals(),
            previews=Previews(uow, sealing),
            subscriptions=Subscriptions(uow, os.urandom),
            maintenance=self.maintenance(),
            metrics=self.metrics,
            onboarding=Onboarding(uow, sealing, self.making, self.check_target),
            rejected_events=RejectedEvents(uow, sealing, self.acceptance),
            replay_results=ReplayResults(uow, retention),
            replays=self.replays(),
            rings=self.rings,
            rules=self.rules(),
            secrets=self.secrets,
            sessions=self.sessions,
            signatures=Signatures(uow, sealing, self.deliveries),
            single_sign_on=self.single_sign_on(),
            statistics=self.statistics,
            tenants=self.tenants(),
            usage=self.usage(),
            walking=Walking(uow, ring=self.rings.ring, retention=retention),
            make_ingestion=self.ingestion,
            make_turns=self.turns,
            close=partial(
                _close, self.rings, (self.engine, self.key_engine), self.tracing
            ),
        )


def _close(rings: Rings, engines: Sequence[Engine], tracing: Tracing | None) -> None:
    rings.close(2.0)
    if tracing is not None:
        tracing.close()
    for engine in engines:
        engine.dispose()
