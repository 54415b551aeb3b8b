"""Schemathesis, sent at the running server, finds nothing: no 500, no lie in the
description.

Each run is the same run again: its cases come from a fixed seed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from ascwebhooks.domain import ids
from ascwebhooks.domain.budgets import ScopeType
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.rules import RuleKind
from tests.contract.servers import Server
from tests.integration.pipeline import event

_PROGRAM = Path(sys.executable).with_name("schemathesis")
_HOOKS = Path(__file__).with_name("hooks.py")
_URL = "https://receiver.example/hook"

#: How often what exists stands in a path or a body, to reach more than a refusal.
_ALIVE = 0.8
_CONFIG = """
seed = {seed}
workers = 1
continue-on-failure = true
request-retries = 0
request-timeout = 10
hooks = {hooks}
warnings = false

[generation]
deterministic = true
database = "none"
max-examples = {examples}

[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
status_is_listed.enabled = true
content_type_conformance.enabled = true
response_schema_conformance.enabled = true
negative_data_rejection.enabled = true
negative_data_rejection.expected-statuses = [
    400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422
]

[dictionaries]
{dictionaries}

[parameters]
{parameters}

# What would end the run itself if it were about whatever another answer showed.
[[operations]]
include-operation-id = ["revoke_key", "delete_tenant"]
phases.stateful.enabled = false
phases.coverage.extra-data-sources.responses = false
phases.fuzzing.extra-data-sources.responses = false

[operations.parameters]
"path.key_id" = {{ dictionary = "key_id" }}
"path.tenant_id" = {{ dictionary = "doomed" }}
"""


def test_nothing_is_found_with_a_key_of_the_platforms(
    server: Server, tmp_path: Path
) -> None:
    """Every bound of every parameter and field, kept to and broken."""
    check(server, tmp_path, None, "examples,coverage")


def test_nothing_is_found_with_a_key_of_a_tenants(
    server: Server, tmp_path: Path
) -> None:
    """Cases made up at random, and chains of them where one answer leads on."""
    check(server, tmp_path, "acme", "fuzzing,stateful")


def check(server: Server, folder: Path, whose: str | None, phases: str) -> None:
    """Run schemathesis; fail if it, or the server's log, tells of a fault.

    Args:
        server: Whom to send to, over the loopback address.
        folder: Where the run's own files go.
        whose: The tenant whose administrator's key is used; None: the platform's.
        phases: Schemathesis's, in order.
    """
    config = folder / "schemathesis.toml"
    config.write_text(configuration(populate(server), seed=1, examples=8))
    run = subprocess.run(
        [
            _PROGRAM,
            f"--config-file={config}",
            "run",
            server.document_url,
            f"--phases={phases}",
            f"--header=Authorization: Bearer {server.key(Role.ADMIN, whose)}",
            "--no-color",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    assert server.faults() == []
    count = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert count is not None, run.stdout
    assert int(count[1]) == int(count[2]) >= 300, "500 in all, and more"
    served = server.answered()
    assert served[401] < 0.2 * served.total(), "the key is in force to the end"
    assert sum(served[each] for each in (200, 201, 202, 204)) > 100


def populate(server: Server) -> dict[str, list[str]]:
    """Make one of everything, and return what may stand in a path, by its name."""
    services = server.services
    for tenant in ("acme", "doomed"):
        services.tenants.create(tenant)
    made = [
        services.endpoints.create("acme", url=_URL, event_types=["*"]).described
        for _ in range(2)
    ]
    raws = [event(id=str(number)) for number in range(5)]
    fallen = event('{"fallback_from": "gpt-4o"}', id="s", type="request.completed")
    services.acceptance.accept([*raws, fallen, event(type="")], via="http")
    rule = services.rules.create("acme", name="one", kind=RuleKind.ERROR_RATE)
    incidents = services.incidents.page("acme", after=None, limit=9)
    deliveries = services.deliveries.page("acme", after=None, limit=50)
    services.deliveries.cancel("acme", deliveries[0].id)
    replay = services.replays.create(
        "acme", filter={"status": "cancelled"}, created_by="test", rate_per_s=None
    ).replay
    rejected = services.rejected_events.page("acme", after=None, limit=9)
    key, _ = services.keys.create(Role.VIEWER, tenant_id="acme")
    budget = services.budgets.create(
        "acme",
        name="whole",
        scope_type=ScopeType.TENANT,
        limit=Decimal(5),
        currency="USD",
        period={"type": "calendar", "unit": "month", "zone": "UTC"},
    )
    subscriptions = [each.id for one in made for each in one.subscriptions]
    found: dict[str, tuple[Kind, list[Any]]] = {
        "budget_id": (Kind.BUDGET, [budget.row.id]),
        "endpoint_id": (Kind.ENDPOINT, [each.endpoint.id for each in made]),
        "subscription_id": (Kind.SUBSCRIPTION, subscriptions),
        "event_id": (Kind.EVENT, [each.event_id for each in deliveries]),
        "delivery_id": (Kind.DELIVERY, [each.id for each in deliveries]),
        "rule_id": (Kind.RULE, [rule.id, UUID(int=1)]),
        "incident_id": (Kind.INCIDENT, [each.id for each in incidents]),
        "replay_id": (Kind.REPLAY, [replay.id]),
        "rejected_id": (Kind.REJECTED_EVENT, [each.id for each in rejected]),
        "key_id": (Kind.API_KEY, [key.id]),
    }
    shown = {
        name: [ids.show(kind, each) for each in values]
        for name, (kind, values) in found.items()
    }
    assert all(shown.values()), shown
    return {"tenant_id": ["acme"], "doomed": ["doomed", "nobody"], **shown}


def configuration(known: dict[str, list[str]], *, seed: int, examples: int) -> str:
    """Return schemathesis's configuration; JSON's strings and arrays are TOML's."""
    bound = {f"path.{name}": name for name in known if name != "doomed"}
    bound |= {"body.url": "url", "body.endpoint_id": "endpoint_id"}
    known = {**known, "url": [_URL]}
    return _CONFIG.format(
        seed=seed,
        examples=examples,
        hooks=json.dumps(str(_HOOKS)),
        dictionaries="\n".join(
            f"{name} = {{ values = {json.dumps(values)} }}"
            for name, values in known.items()
        ),
        parameters="\n".join(
            f'"{place}" = {{ dictionary = "{name}", probability = {_ALIVE} }}'
            for place, name in bound.items()
        ),
    )
