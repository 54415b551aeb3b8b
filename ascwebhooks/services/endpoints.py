"""Endpoints: where a tenant's events go, with their secrets and subscriptions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import ids, signing
from ascwebhooks.domain.deliveries import DeadReason, EndpointState
from ascwebhooks.domain.headers import check_headers
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.matching import pattern_problem
from ascwebhooks.domain.retry import DEFAULT_SCHEDULE_S, MAX_DELAY_S, MAX_DELAYS
from ascwebhooks.domain.urls import parse_target
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services.sealing import SECRETS, Sealing
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.mailboxes import Due
from ascwebhooks.storage.models import (
    Endpoint,
    EndpointSecret,
    Mailbox,
    Subscription,
    Tenant,
)
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=7)
#: Each secret in force adds a signature of 48 bytes to every request.
MAX_SECRETS = 10
MAX_EVENT_TYPES = 100
HEADERS_TABLE = "endpoint.headers"
SECRETS_TABLE = "endpoint_secret"


@dataclass(frozen=True)
class Described:
    """An endpoint with what belongs to it."""

    endpoint: Endpoint
    subscriptions: Sequence[Subscription]
    secrets: Sequence[EndpointSecret]
    header_names: Sequence[str]


@dataclass(frozen=True)
class WithSecret:
    """An endpoint and its new secret, in clear for this once."""

    described: Described
    secret: str


class Endpoints:
    """Use cases of endpoints."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        *,
        entropy: Callable[[int], bytes],
        check_target: Callable[[str], None],
        ring: Callable[[list[Due]], None],
        allow_http: bool,
        retention: timedelta,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            sealing: Seals secrets and headers.
            entropy: Returns random bytes.
            check_target: Raises TargetRejected if a host, as it resolves now, may
                not be reached.
            ring: Rings endpoints after they were resumed.
            allow_http: Whether plain http URLs are taken.
            retention: How long deliveries are kept.
        """
        self._uow = uow
        self._sealing = sealing
        self._entropy = entropy
        self._check_target = check_target
        self._ring = ring
        self._allow_http = allow_http
        self._retention = retention

    def create(
        self,
        tenant_id: str,
        *,
        url: str,
        event_types: Sequence[str] = (),
        description: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: int = 15,
        max_in_flight: int = 20,
        retry_schedule_s: Sequence[int] = DEFAULT_SCHEDULE_S,
        region: str | None = None,
        format: str = "standard",
    ) -> WithSecret:
        """Create an endpoint, with its first subscription if event types are given.

        Raises:
            NotFound: If there is no such tenant.
            TargetRejected: If the URL, or an address it resolves to, is not allowed.
            InvalidInput: If anything else is malformed; the message names it.
        """
        target = self._target(url)
        check_event_types(event_types)
        check_schedule(retry_schedule_s)
        checked = check_headers(headers or {})
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            tenant = find_tenant(uow, tenant_id)
            endpoint = Endpoint(
                tenant_id=tenant_id,
                id=self._new_id(uow),
                url=target,
                description=description,
                format=format,
                timeout_s=timeout_s,
                max_in_flight=max_in_flight,
                retry_schedule_s=list(retry_schedule_s),
                region=_allowed_region(tenant, region),
                state=EndpointState.ACTIVE,
            )
            endpoint.sealed_headers = self._seal_headers(endpoint, checked)
            row, secret = self._new_secret(uow, endpoint)
            subscription = self._new_subscription(uow, endpoint, event_types)
            uow.endpoints.add(endpoint, _new_mailbox(endpoint), row, subscription)
            uow.commit()
            described = self._describe(uow, tenant_id, [endpoint])[0]
        log.info("endpoint_created", **_names(endpoint))
        return WithSecret(described, secret)

    def get(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Return an endpoint.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            return self._describe(uow, tenant_id, [endpoint])[0]

    def page(
        self, tenant_id: str, *, after: UUID | None, limit: int
    ) -> list[Described]:
        """Return a tenant's endpoints, the newest first, those before ``after``.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            page = uow.endpoints.page(tenant_id, after=after, limit=limit)
            return self._describe(uow, tenant_id, page)

    def change(
        self, tenant_id: str, endpoint_id: UUID, changes: Mapping[str, Any]
    ) -> Described:
        """Change an endpoint; ``event_types`` replaces its subscriptions.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            changes: By the names of ``create``.

        Raises:
            NotFound: If the tenant has no such endpoint.
            TargetRejected: If the new URL is not allowed.
            InvalidInput: If anything else is malformed; the message names it.
        """
        changes = dict(changes)
        if "url" in changes:
            changes["url"] = self._target(changes["url"])
        if "retry_schedule_s" in changes:
            check_schedule(changes["retry_schedule_s"])
            changes["retry_schedule_s"] = list(changes["retry_schedule_s"])
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            self._apply(uow, endpoint, changes)
            uow.commit()
            described = self._describe(uow, tenant_id, [endpoint])[0]
        log.info("endpoint_changed", fields=sorted(changes), **_names(endpoint))
        return described

    def _apply(
        self, uow: UnitOfWork, endpoint: Endpoint, changes: dict[str, Any]
    ) -> None:
        if "headers" in changes:
            headers = check_headers(changes.pop("headers"))
            endpoint.sealed_headers = self._seal_headers(endpoint, headers)
        if "event_types" in changes:
            event_types = changes.pop("event_types")
            check_event_types(event_types)
            uow.endpoints.drop_subscriptions(endpoint.tenant_id, endpoint.id)
            fresh = self._new_subscription(uow, endpoint, event_types)
            if fresh is not None:
                uow.endpoints.add_subscription(fresh)
        if "region" in changes:
            tenant = find_tenant(uow, endpoint.tenant_id)
            changes["region"] = _allowed_region(tenant, changes["region"])
            uow.mailboxes.set_region(endpoint.id, changes["region"])
        for name, value in changes.items():
            setattr(endpoint, name, value)

    def delete(self, tenant_id: str, endpoint_id: UUID) -> None:
        """Delete an endpoint; what is pending there is dead-lettered.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            self.end(
                uow,
                tenant_id,
                endpoint_id,
                EndpointState.DELETED,
                DeadReason.ENDPOINT_DELETED,
            )
            uow.commit()
        log.info("endpoint_deleted", **_names(endpoint))

    def disable(self, tenant_id: str, endpoint_id: UUID, reason: str) -> None:
        """Disable an endpoint for a reason; what is pending there is dead-lettered.

        Disabling what is disabled or deleted already does nothing.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = uow.endpoints.find(tenant_id, endpoint_id)
            if endpoint is None or endpoint.state == EndpointState.DISABLED:
                return
            endpoint.disabled_reason = reason
            self.end(
                uow,
                tenant_id,
                endpoint_id,
                EndpointState.DISABLED,
                DeadReason.ENDPOINT_DISABLED,
            )
            uow.commit()
        log.warning("endpoint_disabled", reason=reason, **_names(endpoint))

    def end(
        self,
        uow: UnitOfWork,
        tenant_id: str,
        endpoint_id: UUID,
        state: EndpointState,
        reason: DeadReason,
    ) -> None:
        """Take an endpoint out of delivery within a transaction of the caller's.

        The caller has locked the tenant (``change_subscriptions``), so no event
        is matched meanwhile; the mailbox is locked before the deliveries, as in
        recording.
        """
        endpoint = find_endpoint(uow, tenant_id, endpoint_id)
        uow.mailboxes.lock([endpoint_id])
        uow.mailboxes.set_state(endpoint_id, state)
        window = ids.window(uow.now(), self._retention)
        uow.deliveries.end_pending(tenant_id, endpoint_id, reason, window)
        endpoint.state = state
        if state is EndpointState.DELETED:
            endpoint.deleted_at = uow.now()

    def pause(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Pause an endpoint: its deliveries wait.

        Raises:
            NotFound: If the tenant has no such endpoint.
            Conflict: If it is disabled.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            if endpoint.state == EndpointState.DISABLED:
                raise Conflict("the endpoint is disabled; resume enables it.")
            endpoint.state = EndpointState.PAUSED
            uow.mailboxes.set_state(endpoint_id, EndpointState.PAUSED)
            uow.commit()
            log.info("endpoint_paused", **_names(endpoint))
            return self._describe(uow, tenant_id, [endpoint])[0]

    def resume(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Resume a paused endpoint, or enable a disabled one.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            endpoint.state = EndpointState.ACTIVE
            endpoint.disabled_reason = None
            uow.mailboxes.set_state(endpoint_id, EndpointState.ACTIVE)
            uow.mailboxes.forget_failures(endpoint_id)
            uow.after_commit(lambda: self._ring([Due(endpoint_id, endpoint.region)]))
            uow.commit()
            log.info("endpoint_resumed", **_names(endpoint))
            return self._describe(uow, tenant_id, [endpoint])[0]

    def rotate_secret(
        self, tenant_id: str, endpoint_id: UUID, overlap: timedelta = OVERLAP
    ) -> WithSecret:
        """Give an endpoint a new secret; the others sign too until the overlap ends.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            overlap: How long from now the secrets there were stay in force; 0 ends
                them at once.

        Raises:
            NotFound: If the tenant has no such endpoint.
            Conflict: If it has ten secrets in force already.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidInput("overlap_s is 0 to 604800.", field="overlap_s")
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            now = uow.now()
            in_force = uow.endpoints.secrets(tenant_id, [endpoint_id], now)
            if overlap and len(in_force) >= MAX_SECRETS:
                raise Conflict(
                    f"{MAX_SECRETS} secrets are in force; the first of them ends at"
                    f" {in_force[-1].expires_at}. overlap_s 0 ends all of them now."
                )
            for each in in_force:
                each.expires_at = min(each.expires_at or now + overlap, now + overlap)
            row, secret = self._new_secret(uow, endpoint)
            uow.endpoints.add_secret(row)
            uow.commit()
            described = self._describe(uow, tenant_id, [endpoint])[0]
        log.info("endpoint_secret_rotated", **_names(endpoint))
        return WithSecret(described, secret)

    def _target(self, url: str) -> str:
        target = parse_target(url, allow_http=self._allow_http)
        self._check_target(target.host)
        return target.url

    def _describe(
        self, uow: UnitOfWork, tenant_id: str, endpoints: Sequence[Endpoint]
    ) -> list[Described]:
        endpoint_ids = [endpoint.id for endpoint in endpoints]
        subscriptions: dict[UUID, list[Subscription]] = defaultdict(list)
        for each in uow.endpoints.subscriptions(tenant_id, endpoint_ids):
            subscriptions[each.endpoint_id].append(each)
        secrets: dict[UUID, list[EndpointSecret]] = defaultdict(list)
        for row in uow.endpoints.secrets(tenant_id, endpoint_ids, uow.now()):
            secrets[row.endpoint_id].append(row)
        return [
            Described(
                each,
                subscriptions[each.id],
                secrets[each.id],
                sorted(open_headers(self._sealing, each)),
            )
            for each in endpoints
        ]

    def _new_id(self, uow: UnitOfWork) -> UUID:
        ms = int(uow.now().timestamp() * 1000)
        return ids.uuid7(ms, self._entropy(10))

    def _new_secret(
        self, uow: UnitOfWork, endpoint: Endpoint
    ) -> tuple[EndpointSecret, str]:
        key = self._entropy(signing.SECRET_BYTES)
        secret = signing.format_secret(key)
        row = EndpointSecret(
            tenant_id=endpoint.tenant_id,
            id=self._new_id(uow),
            endpoint_id=endpoint.id,
            hint=signing.hint(secret),
            created_at=uow.now(),
        )
        row.sealed = self._sealing.seal(
            endpoint.tenant_id, SECRETS, SECRETS_TABLE, row.id, key
        )
        return row, secret

    def _new_subscription(
        self, uow: UnitOfWork, endpoint: Endpoint, event_types: Sequence[str]
    ) -> Subscription | None:
        if not event_types:
            return None
        return Subscription(
            tenant_id=endpoint.tenant_id,
            id=self._new_id(uow),
            endpoint_id=endpoint.id,
            event_types=list(event_types),
            enabled=True,
        )

    def _seal_headers(
        self, endpoint: Endpoint, headers: Mapping[str, str]
    ) -> bytes | None:
        if not headers:
            return None
        return self._sealing.seal(
            endpoint.tenant_id,
            SECRETS,
            HEADERS_TABLE,
            endpoint.id,
            json.dumps(dict(headers)).encode(),
        )


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


def find_endpoint(uow: UnitOfWork, tenant_id: str, endpoint_id: UUID) -> Endpoint:
    """Return an endpoint.

    Raises:
        NotFound: If the tenant has no such endpoint.
    """
    endpoint = uow.endpoints.find(tenant_id, endpoint_id)
    if endpoint is None:
        raise NotFound(f"there is no endpoint {ids.show(Kind.ENDPOINT, endpoint_id)}.")
    return endpoint


def check_event_types(event_types: Sequence[str]) -> None:
    """Raise InvalidInput unless these can be subscribed to."""
    if len(event_types) > MAX_EVENT_TYPES:
        raise InvalidInput(
            f"event_types has {len(event_types)} entries; at most {MAX_EVENT_TYPES}.",
            field="event_types",
        )
    for each in event_types:
        problem = pattern_problem(each)
        if problem:
            raise InvalidInput(f"event_types: {each!r}: {problem}", field="event_types")


def check_schedule(delays_s: Sequence[int]) -> None:
    """Raise InvalidInput unless a retry schedule can be followed."""
    if len(delays_s) > MAX_DELAYS:
        raise InvalidInput(
            f"retry_schedule_s has {len(delays_s)} delays; at most {MAX_DELAYS}.",
            field="retry_schedule_s",
        )
    for delay in delays_s:
        if not 1 <= delay <= MAX_DELAY_S:
            raise InvalidInput(
                f"retry_schedule_s: {delay} is not within 1 to {MAX_DELAY_S} seconds.",
                field="retry_schedule_s",
            )


def _allowed_region(tenant: Tenant, region: str | None) -> str:
    chosen = region or tenant.home_region
    if chosen not in tenant.allowed_regions:
        raise InvalidInput(
            f"region {chosen!r} is not among the tenant's allowed_regions"
            f" ({', '.join(tenant.allowed_regions)}).",
            field="region",
        )
    return chosen


def _new_mailbox(endpoint: Endpoint) -> Mailbox:
    return Mailbox(
        endpoint_id=endpoint.id,
        tenant_id=endpoint.tenant_id,
        region=endpoint.region,
        state=endpoint.state,
    )


def _names(endpoint: Endpoint) -> dict[str, str]:
    return {
        "tenant_id": endpoint.tenant_id,
        "endpoint_id": ids.show(Kind.ENDPOINT, endpoint.id),
    }
