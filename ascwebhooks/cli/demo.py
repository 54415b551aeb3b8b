"""The demonstration's own things: receiver, tenants, endpoints, and their file.

``HOME_DIR/demo.json`` remembers them, secrets included, so that a later start
receives at the same port and still verifies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from ascwebhooks.domain import ids, signing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.embedded import ports
from ascwebhooks.embedded.files import write_private
from ascwebhooks.embedded.receiver import Verify, verifier
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.container import Services
from ascwebhooks.services.described import Described, WithSecret

FILE = "demo.json"
DESCRIPTION = "The demonstration receiver of 'ascwebhooks up'"
_MOST_ENDPOINTS = 100


class Occupied(Exception):
    """A tenant of the samples' name has endpoints that are not ours."""


@dataclass
class Target:
    """A demo endpoint: whose, which, and what verifies its deliveries."""

    tenant_id: str
    endpoint_id: str
    secret: str

    @property
    def path(self) -> str:
        """Where at the receiver it gets its deliveries."""
        return f"/{self.tenant_id}"

    @property
    def id(self) -> UUID:
        """The endpoint's id."""
        return ids.read(Kind.ENDPOINT, self.endpoint_id)


@dataclass
class Demo:
    """What is remembered; ``save`` writes it.

    Args:
        file: Where.
        port: Where the receiver listens.
        targets: The endpoints.
        proved: Whether the recorded events have been delivered once.
        key_shown: Whether the first API key has been shown.
    """

    file: Path
    port: int = 0
    targets: list[Target] = field(default_factory=list)
    proved: bool = False
    key_shown: bool = False

    @classmethod
    def load(cls, home_dir: Path) -> Demo:
        """Return what is remembered; nothing at the first start."""
        file = home_dir / FILE
        if not file.is_file():
            return cls(file)
        found = json.loads(file.read_text())
        found["targets"] = [Target(**each) for each in found["targets"]]
        return cls(file, **found)

    def save(self) -> None:
        """Write it, for our eyes only."""
        values = asdict(self)
        del values["file"]
        write_private(self.file, json.dumps(values, indent=2) + "\n")

    def verifiers(self) -> Mapping[str, Verify]:
        """Return what verifies the deliveries to each path."""
        return {each.path: _verifier(each.secret) for each in self.targets}

    def choose_port(self, services: Services) -> None:
        """Keep the port, or move the endpoints to another if it was taken."""
        former, self.port = self.port, ports.choose(self.port)
        if self.port == former:
            return
        self.save()
        for target in self.targets:
            with suppress(NotFound):
                change = {"url": self.url(target.tenant_id)}
                services.endpoints.change(target.tenant_id, target.id, change)

    def url(self, tenant_id: str) -> str:
        """Return where a tenant's deliveries are received."""
        return f"http://{ports.HOST}:{self.port}/{tenant_id}"

    def prepare(self, services: Services, tenant_id: str) -> None:
        """Make sure of a tenant with a demo endpoint that gets all its events.

        Raises:
            Occupied: If the tenant has endpoints of its own.
        """
        with suppress(Conflict):
            services.tenants.create(tenant_id)
        there = services.endpoints.page(tenant_id, after=None, limit=_MOST_ENDPOINTS)
        ours = [each for each in there if each.endpoint.description == DESCRIPTION]
        if len(ours) < len(there):
            raise Occupied(tenant_id)
        known = {each.id for each in self.targets}
        if len(ours) == 1 and ours[0].endpoint.id in known:
            return
        self._remember(self._made(services, tenant_id, ours))

    def _made(
        self, services: Services, tenant_id: str, ours: list[Described]
    ) -> WithSecret:
        """Return a new endpoint; one that a start made and died over is replaced."""
        for each in ours:
            services.endpoint_states.delete(tenant_id, each.endpoint.id)
        return services.endpoints.create(
            tenant_id,
            url=self.url(tenant_id),
            event_types=["*"],
            description=DESCRIPTION,
        )

    def _remember(self, made: WithSecret) -> None:
        row = made.described.endpoint
        shown = ids.show(Kind.ENDPOINT, row.id)
        others = [each for each in self.targets if each.tenant_id != row.tenant_id]
        assert made.secret is not None  # v1 is the default
        self.targets = [*others, Target(row.tenant_id, shown, made.secret)]
        self.save()


def _verifier(secret: str) -> Verify:
    def check(headers: Mapping[str, str], body: bytes) -> None:
        signing.verify(secret, headers, body, datetime.now(UTC))

    return verifier(check)
