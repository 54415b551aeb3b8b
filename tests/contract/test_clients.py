"""A client generator makes a working client from the description, without a murmur."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ascwebhooks.domain.keys import Role
from tests.contract.servers import Server

_PACKAGE = "generated_client"
_SCRIPTS = Path(sys.executable).parent
_RECEIVER = "https://receiver.example/hook"


class Client:
    """A generated client: ``client("tenants.create_tenant", …)`` calls the API."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.models = _module("models")

    def __call__(self, operation: str, *path: str, **arguments: Any) -> Any:
        view = _module(f"api.{operation}")
        return view.sync(*path, client=self._connection, **arguments)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{_PACKAGE}.{name}")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to import packages from, for all tests here."""
    folder = tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    for name in [each for each in sys.modules if each.split(".")[0] == _PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def package(server: Server, packages: Path) -> Path:
    """The generated package, from the description that the server serves."""
    folder = packages / _PACKAGE
    if not folder.exists():
        _generate(server.document_url, folder)
    return folder


def _generate(url: str, folder: Path) -> None:
    made = subprocess.run(
        [
            _SCRIPTS / "openapi-python-client",
            "generate",
            f"--url={url}",
            f"--output-path={folder}",
            "--meta=none",
            "--fail-on-warning",
        ],
        # The generator tidies up with ruff, found on the path.
        env={**os.environ, "PATH": f"{_SCRIPTS}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr == ""
    assert made.stdout.split() == ["Generating", str(folder)], "and no warning"


@pytest.fixture
def client(server: Server, package: Path) -> Iterator[Client]:
    """A generated client of the running server, an administrator's."""
    made = _module("client").AuthenticatedClient
    with made(base_url=server.url, token=server.key(Role.ADMIN)) as connection:
        yield Client(connection)


def test_a_generated_client_works(client, server):
    models = client.models

    tenant = client("tenants.create_tenant", body=models.NewTenant(id="acme"))
    assert (type(tenant), tenant.id) == (models.Tenant, "acme")

    asked = models.NewEndpoint(url=_RECEIVER, event_types=["budget.*"])
    endpoint = client("endpoints.create_endpoint", "acme", body=asked)
    assert isinstance(endpoint, models.EndpointWithSecret)
    assert endpoint.secret.startswith("whsec_")

    (listed,) = client("endpoints.list_endpoints", "acme").items
    assert (listed.id, hasattr(listed, "secret")) == (endpoint.id, False)
    assert listed.format_ is models.EndpointFormat.STANDARD

    changes = models.EndpointChanges(description="of the search team")
    changed = client("endpoints.update_endpoint", "acme", endpoint.id, body=changes)
    assert changed.to_dict() == {
        **listed.to_dict(),
        "description": "of the search team",
        "updated_at": changed.updated_at.isoformat(),
    }, "nothing is changed but what was asked for"

    event = _event(models, "one")
    published = client("events.publish_event", body=event)
    assert isinstance(published, models.Published)
    batch = [event, _event(models, "two")]
    again = client("events.publish_events", body=batch)
    assert [each.duplicate for each in again.accepted] == [True, False]

    oldest = client("deliveries.list_deliveries", "acme").items[-1]
    assert oldest.event_id == published.accepted[0].id
    delivery = client("deliveries.get_delivery", "acme", oldest.id)
    assert delivery.status is models.DeliveryStatus.PENDING
    assert (delivery.endpoint_id, delivery.attempts) == (endpoint.id, [])
    assert server.faults() == []


def _event(models, source_id):
    return models.CloudEvent(
        specversion="1.0",
        id=source_id,
        source="/gateways/one",
        type_="budget.exceeded",
        tenantid="acme",
        data={"spend": 103.2},
    )


def test_problems_come_typed(client):
    models = client.models
    missing = client("tenants.get_tenant", "nobody")
    assert (type(missing), missing.status, missing.code) == (
        models.Problem,
        404,
        "not_found",
    )
    client("tenants.create_tenant", body=models.NewTenant(id="acme"))
    taken = client("tenants.create_tenant", body=models.NewTenant(id="acme"))
    assert (type(taken), taken.code) == (models.Problem, "conflict")

    wrong = models.NewEndpoint(url=_RECEIVER, timeout_s=31)
    refused = client("endpoints.create_endpoint", "acme", body=wrong)
    assert (type(refused), refused.status, refused.code) == (
        models.Problem,
        422,
        "invalid_input",
    )
    assert list(refused.errors.to_dict()) == ["timeout_s"]

    bad = _event(models, "x" * 257)
    rejected = client("events.publish_event", body=bad)
    assert isinstance(rejected, models.AllRejected)
    assert (rejected.accepted, len(rejected.rejected)) == ([], 1)


def test_every_operation_is_generated(package, server):
    with urllib.request.urlopen(server.document_url) as answered:
        document = json.load(answered)
    assert {each.stem for each in package.glob("api/*/[a-z]*.py")} == {
        operation["operationId"]
        for item in document["paths"].values()
        for verb, operation in item.items()
        if verb != "parameters"
    }
