"""A whole installation at work: real processes, receivers that fail in their own ways.

What pages show is then what happened: three tenants with the recorded events, one of
them with an endpoint in every state there is.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ascwebhooks.cli import samples
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.embedded import ports
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.services.container import Services
from tests.acceptance.cluster import Cluster, cluster
from tests.browser.past import live_through
from tests.browser.spending import backfill, spend
from tests.waiting import wait_until

#: The tenant that has everything; the recorded events are its and two others'.
TENANT = "northwind"
NAMES = {
    "northwind": "Northwind Traders",
    "contoso-health": "Contoso Health",
    "unattributed": "Unattributed",
}
_PATIENCE_S = 90
#: What receivers answer, by the endpoints that are theirs.
_FAILURES = {
    "well": None,
    "broken": Failure(503),
    "gone": Failure(410),
    "refusing": Failure(400),
    "in order": Failure(500, 3),
}


@dataclass(frozen=True)
class Installation:
    """A server with data, who may log in there, and the page of a test's answer.

    That page is reached by sending a test, so no tour finds it.
    """

    url: str
    services: Services
    password: str
    test: str

    def admin(self, path: str = "/") -> str:
        """Return the URL of a page below /admin."""
        return f"{self.url}/admin{path}"


@contextmanager
def installed(
    database_url: str, redis_url: str, folder: Path
) -> Iterator[Installation]:
    """Start everything on these engines, and wait until enough has happened."""
    bind = f"{ports.HOST}:{ports.choose()}"
    with ExitStack() as stack:
        made = stack.enter_context(cluster(database_url, redis_url, folder))
        log = stack.enter_context((folder / "web.log").open("wb"))
        argv = (sys.executable, "-m", "ascwebhooks", "web")
        environ = {**made.env, "ASCWEBHOOKS_BIND": bind}
        process = spawn(Program(name="web", argv=argv, env=environ), log)
        stack.callback(stop, process, signal.SIGTERM, 10)
        live_through(made.services, TENANT)
        made.start("deliver", "slow", "maintenance", "beat")
        receivers = {
            name: stack.enter_context(Receiver(failure=failure))
            for name, failure in _FAILURES.items()
        }
        urls = {name: f"{each.url}/hook" for name, each in receivers.items()}
        urls["slow"] = stack.enter_context(Receiver(delay_s=1.2)).url + "/slow"
        test = _fill(made, urls)
        wait_until(lambda: ports.answers(bind, "/readyz"), 30, "the server is ready")
        # Maintenance does so each ten seconds; now the overview has what has happened.
        made.services.statistics.sum_up()
        login = made.services.people.first_admin()
        assert login is not None
        _people(made.services)
        yield Installation(f"http://{bind}", made.services, login[1], test)


def _fill(made: Cluster, urls: dict[str, str]) -> str:
    """Have everything happen that pages show; return the page of a test."""
    services = made.services
    for tenant_id, name in NAMES.items():
        services.tenants.create(tenant_id, name=name)
        if tenant_id != TENANT:
            _endpoint(services, tenant_id, urls["well"], "Everything, to the ledger")
    backfill(services, TENANT)
    endpoints = _endpoints(services, urls)
    services.endpoint_states.pause(TENANT, endpoints["paused"])
    recorded = [each.raw for each in samples.load()]
    services.acceptance.accept(recorded, via="http")
    services.acceptance.accept(_bad(recorded[0]), via="http")
    spend(services, TENANT)
    services.endpoint_states.delete(TENANT, endpoints["deleted"])
    _wait(made, "status = 'delivered'", 200)
    for reason in ("attempts_exhausted", "gone", "endpoint_deleted"):
        _wait(made, f"dead_reason = '{reason}'", 1)
    opened = "SELECT count(*) FROM mailbox WHERE breaker_until IS NOT NULL"
    wait_until(lambda: made.query(opened), _PATIENCE_S, "a breaker is open")
    only = {"status": "dead_lettered", "endpoint_id": endpoints["exhausted"]}
    services.replays.create(TENANT, filter={"event_type": "nothing.like.this"})
    services.replays.create(TENANT, filter=only, rate_per_s=5)  # type: ignore[arg-type]
    sent = services.events.send_test(TENANT, endpoints["well"], "a-test")
    _wait(made, "event_type = 'endpoint.test' AND status = 'delivered'", 1)
    shown = ids.show(Kind.ENDPOINT, endpoints["well"])
    return (
        f"/admin/tenants/{TENANT}/endpoints/{shown}/tests"
        f"/{ids.show(Kind.EVENT, sent.id)}"
    )


def _endpoints(services: Services, urls: dict[str, str]) -> dict[str, Any]:
    nowhere = f"http://{ports.HOST}:{ports.choose()}/hook"
    long = f"{urls['well']}/{'a-long-path/' * 12}?token=none&region=eu"
    # Fewer than open a breaker: then all its attempts are soon used up.
    few = {"event_types": ["policy.*"]}
    once_more = {"retry_schedule_s": [1]}
    wanted: dict[str, tuple[str, str, dict[str, Any]]] = {
        "well": (urls["well"], "Billing: everything", {}),
        "long": (long, "A long URL", {"format": "cloudevents"}),
        "broken": (urls["broken"], "On-call pager", {}),
        "gone": (urls["gone"], "The old data warehouse", {}),
        "exhausted": (urls["refusing"], "Refuses all", {**few, **once_more}),
        "fifo": (urls["in order"], "Ledger, in order", {"ordering": "fifo"}),
        "paused": (urls["well"], "Paused for a migration", {}),
        "deleted": (urls["broken"], "Soon deleted", {}),
        "slow": (urls["slow"], "Slow", {"max_in_flight": 5}),
        "nowhere": (nowhere, "Nobody listens", {}),
    }
    return {
        name: _endpoint(services, TENANT, url, told, **options)
        for name, (url, told, options) in wanted.items()
    }


def _endpoint(
    services: Services, tenant_id: str, url: str, told: str, **options: Any
) -> Any:
    options = {"event_types": ["*"], **options}
    made = services.endpoints.create(tenant_id, url=url, description=told, **options)
    return made.described.endpoint.id


def _bad(raw: bytes) -> list[bytes]:
    """Return events that are rejected, each for a reason of its own."""
    event = json.loads(raw)
    nasty = "<script>alert(1)</script> \u202eevil\u202c \u2028 line"
    changes: tuple[dict[str, Any], ...] = (
        {"id": "no-type", "type": None},
        {"id": "old-version", "specversion": "0.3"},
        {"id": "unknown-tenant", "tenantid": "nobody"},
        {"id": "nasty", "type": nasty},
    )
    changed = [{**event, "tenantid": TENANT, **each} for each in changes]
    return [*(json.dumps(each).encode() for each in changed), b'{"id": "cut off']


def _people(services: Services) -> None:
    people, keys = services.people, services.keys
    people.create("ann@example.com", name="Ann Example", grants=[Grant(Role.VIEWER)])
    mixed = [Grant(Role.OPERATOR, TENANT), Grant(Role.VIEWER, "contoso-health")]
    people.create("bob@example.com", name="Bob <b>Bold</b>", grants=mixed)
    keys.create(Role.PUBLISHER, name="The gateway in Frankfurt")
    keys.create(Role.OPERATOR, tenant_id=TENANT, name="Runbook")


def _wait(made: Cluster, what: str, least: int) -> None:
    statement = f"SELECT count(*) FROM delivery WHERE {what}"
    wait_until(
        lambda: made.query(statement) >= least, _PATIENCE_S, f"{least} with {what}"
    )
