"""Endpoints with what belongs to them, as every use case shows them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from ascwebhooks.domain import ids, signing
from ascwebhooks.domain.health import Breaker, Standing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound
from ascwebhooks.services.sealing import SECRETS, Sealing
from ascwebhooks.storage.models import Endpoint, EndpointSecret, Mailbox, Subscription
from ascwebhooks.storage.unit_of_work import UnitOfWork

HEADERS_TABLE = "endpoint.headers"


@dataclass(frozen=True)
class EndpointHealth:
    """How an endpoint has been doing; what never happened is None.

    ``held_until``: the receiver asked for a pause.
    """

    breaker: Breaker
    breaker_until: datetime | None
    held_until: datetime | None
    consecutive_failures: int
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None


def standing(box: Mailbox) -> Standing:
    """Return how an endpoint stands by its mailbox."""
    return Standing(
        box.consecutive_failures,
        box.breaker_openings,
        box.breaker_until,
        box.held_until,
    )


@dataclass(frozen=True)
class Described:
    """An endpoint with what belongs to it."""

    endpoint: Endpoint
    subscriptions: Sequence[Subscription]
    secrets: Sequence[EndpointSecret]
    header_names: Sequence[str]
    mailbox: Mailbox
    seen_at: datetime

    @property
    def health(self) -> EndpointHealth:
        """How it has been doing, when it was described."""
        box = self.mailbox
        return EndpointHealth(
            breaker=standing(box).breaker(self.seen_at),
            breaker_until=box.breaker_until,
            held_until=box.held_until,
            consecutive_failures=box.consecutive_failures,
            failing_since=box.failing_since,
            last_success_at=box.last_success_at,
            last_failure_at=box.last_failure_at,
        )

    @property
    def public_key(self) -> str | None:
        """What verifies its signatures, if it has a key of that kind; the newest."""
        raw = self.secrets[0].public_key if self.secrets else None
        return None if raw is None else signing.format_public_key(raw)

    @property
    def filter(self) -> str | None:
        """The filter of its subscription; None where it has several."""
        return self.subscriptions[0].filter if len(self.subscriptions) == 1 else None


@dataclass(frozen=True)
class WithSecret:
    """An endpoint and its new secret, in clear for this once.

    There is none with ``v1a``: the private key stays here.
    """

    described: Described
    secret: str | None


def record(uow: UnitOfWork, action: str, endpoint: Endpoint, **detail: Any) -> None:
    """Have the audit log say what was done to an endpoint."""
    # A URL's path is a secret of many a receiver: the host says where it goes.
    uow.audit.record(
        action,
        Kind.ENDPOINT,
        endpoint.id,
        tenant_id=endpoint.tenant_id,
        host=urlsplit(endpoint.url).netloc,
        **detail,
    )


def find_endpoint(uow: UnitOfWork, tenant_id: str, endpoint_id: UUID) -> Endpoint:
    """Return an endpoint.

    Raises:
        NotFound: If the tenant has no such endpoint.
    """
    endpoint = uow.endpoints.find(tenant_id, endpoint_id)
    if endpoint is None:
        raise NotFound(f"there is no endpoint {ids.show(Kind.ENDPOINT, endpoint_id)}.")
    return endpoint


def describe(
    uow: UnitOfWork, sealing: Sealing, tenant_id: str, endpoints: Sequence[Endpoint]
) -> list[Described]:
    """Return endpoints with what belongs to each."""
    endpoint_ids = [endpoint.id for endpoint in endpoints]
    subscriptions: dict[UUID, list[Subscription]] = defaultdict(list)
    for each in uow.endpoints.subscriptions(tenant_id, endpoint_ids):
        subscriptions[each.endpoint_id].append(each)
    secrets: dict[UUID, list[EndpointSecret]] = defaultdict(list)
    now = uow.now()
    for row in uow.endpoints.secrets(tenant_id, endpoint_ids, now):
        secrets[row.endpoint_id].append(row)
    boxes = {box.endpoint_id: box for box in uow.mailboxes.of(endpoint_ids)}
    return [
        Described(
            each,
            subscriptions[each.id],
            secrets[each.id],
            sorted(open_headers(sealing, each)),
            boxes[each.id],
            now,
        )
        for each in endpoints
    ]


def open_headers(sealing: Sealing, endpoint: Any) -> dict[str, str]:
    """Return an endpoint's own headers, in clear."""
    if endpoint.sealed_headers is None:
        return {}
    plain = sealing.unseal(
        endpoint.tenant_id,
        SECRETS,
        HEADERS_TABLE,
        endpoint.id,
        bytes(endpoint.sealed_headers),
    )
    headers: dict[str, str] = json.loads(plain)
    return headers


def names(endpoint: Endpoint) -> dict[str, str]:
    """Return what identifies an endpoint in the logs."""
    return {
        "tenant_id": endpoint.tenant_id,
        "endpoint_id": ids.show(Kind.ENDPOINT, endpoint.id),
    }
