"""The services of a process, as bootstrap put them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.audit import Audit
from ascwebhooks.services.budget_plans import BudgetPlans
from ascwebhooks.services.budget_turns import BudgetTurns
from ascwebhooks.services.budgets import Budgets
from ascwebhooks.services.dead_letters import DeadLetters
from ascwebhooks.services.deliveries import Deliveries
from ascwebhooks.services.endpoint_states import EndpointStates
from ascwebhooks.services.endpoints import Endpoints
from ascwebhooks.services.events import Events
from ascwebhooks.services.gateways import Gateways
from ascwebhooks.services.gauge_samples import GaugeSamples
from ascwebhooks.services.gauges import Gauges
from ascwebhooks.services.health import Health
from ascwebhooks.services.idempotency import Idempotency
from ascwebhooks.services.incidents import Incidents
from ascwebhooks.services.ingestion import Ingestion
from ascwebhooks.services.keys import Keys
from ascwebhooks.services.maintenance import Maintenance
from ascwebhooks.services.metrics import Metrics
from ascwebhooks.services.notices import Notices
from ascwebhooks.services.onboarding import Onboarding
from ascwebhooks.services.overviews import Overviews
from ascwebhooks.services.own_passwords import OwnPasswords
from ascwebhooks.services.people import People
from ascwebhooks.services.portals import Portals
from ascwebhooks.services.previews import Previews
from ascwebhooks.services.rejected_events import RejectedEvents
from ascwebhooks.services.replay_results import ReplayResults
from ascwebhooks.services.replays import Replays
from ascwebhooks.services.rings import Rings
from ascwebhooks.services.rules import Rules
from ascwebhooks.services.secrets import Secrets
from ascwebhooks.services.sessions import Sessions
from ascwebhooks.services.sign_on import SingleSignOn
from ascwebhooks.services.signatures import Signatures
from ascwebhooks.services.statistics import Statistics
from ascwebhooks.services.subscriptions import Subscriptions
from ascwebhooks.services.tenants import Tenants
from ascwebhooks.services.turns import Turns
from ascwebhooks.services.usage import Usage
from ascwebhooks.services.walking import Walking


@dataclass(frozen=True)
class Services:
    """Every use case there is; entry points call these and nothing below."""

    acceptance: Acceptance
    audit: Audit
    budget_plans: BudgetPlans
    budget_turns: BudgetTurns
    budgets: Budgets
    dead_letters: DeadLetters
    deliveries: Deliveries
    endpoint_states: EndpointStates
    endpoints: Endpoints
    events: Events
    gateways: Gateways
    gauge_samples: GaugeSamples
    gauges: Gauges
    health: Health
    idempotency: Idempotency
    incidents: Incidents
    keys: Keys
    maintenance: Maintenance
    metrics: Metrics
    notices: Notices
    onboarding: Onboarding
    overviews: Overviews
    own_passwords: OwnPasswords
    people: People
    portals: Portals
    previews: Previews
    rejected_events: RejectedEvents
    replay_results: ReplayResults
    replays: Replays
    rings: Rings
    rules: Rules
    secrets: Secrets
    sessions: Sessions
    single_sign_on: SingleSignOn | None
    statistics: Statistics
    signatures: Signatures
    subscriptions: Subscriptions
    tenants: Tenants
    usage: Usage
    walking: Walking
    make_ingestion: Callable[[], Ingestion]
    make_turns: Callable[[str, bool], Turns]
    close: Callable[[], None]
