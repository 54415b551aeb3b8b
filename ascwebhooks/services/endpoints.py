"""Endpoints: where a tenant's events go, with their secrets and subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import END_BATCH, Ordering
from ascwebhooks.domain.drafts import Draft
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.headers import check_headers
from ascwebhooks.domain.health import Condition
from ascwebhooks.domain.retry import DEFAULT_SCHEDULE_S, check_schedule
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.domain.urls import Target, parse_target
from ascwebhooks.errors import Conflict, InvalidInput
from ascwebhooks.services import subscriptions
from ascwebhooks.services.described import (
    Described,
    WithSecret,
    describe,
    find_endpoint,
    names,
    record,
)
from ascwebhooks.services.making import Making, check_region, host_of
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.secrets import Secrets
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Endpoint
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

# Another signature needs another key, and the receiver time to learn of it.
_KEEPS_SIGNATURE = (
    "signature changes with the key: post it to rotate-secret, as in"
    ' {"signature": "v1a"}; both kinds sign while the rotation overlaps.'
)
#: What of an endpoint's fields is its subscription's.
_WISHES = ("event_types", "filter")
#: What may change without a difference to what was claimed already.
_UNSEEN = frozenset({*_WISHES, "description"})


class Endpoints:
    """Use cases of endpoints."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        secrets: Secrets,
        making: Making,
        *,
        entropy: Callable[[int], bytes],
        check_target: Callable[[str], bool],
        allow_http: bool,
        retention: timedelta,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            sealing: Opens what an endpoint is described with.
            secrets: Seals headers.
            making: Makes endpoints of drafts.
            entropy: Returns random bytes.
            check_target: Raises TargetRejected if a host, as it resolves now, may
                not be reached; returns whether it resolves.
            allow_http: Whether plain http URLs are taken.
            retention: How long deliveries are kept.
        """
        self._uow = uow
        self._sealing = sealing
        self._secrets = secrets
        self._making = making
        self._entropy = entropy
        self._check_target = check_target
        self._allow_http = allow_http
        self._retention = retention

    def create(
        self,
        tenant_id: str,
        *,
        url: str,
        event_types: Sequence[str] = (),
        filter: str | None = None,
        description: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: int = 15,
        max_in_flight: int = 20,
        rate_limit_per_s: int | None = None,
        ordering: str = Ordering.NONE,
        retry_schedule_s: Sequence[int] = DEFAULT_SCHEDULE_S,
        region: str | None = None,
        format: str = Format.STANDARD,
        signature: str = Scheme.HMAC,
    ) -> WithSecret:
        """Create an endpoint, with its first subscription if event types are given.

        Raises:
            NotFound: If there is no such tenant.
            TargetRejected: If the URL, or an address it resolves to, is not allowed.
            InvalidInput: If anything else is malformed; the message names it.
        """
        draft = self._making.check(
            Draft(
                url=url,
                event_types=tuple(event_types),
                filter=filter,
                description=description,
                headers=headers or {},
                timeout_s=timeout_s,
                max_in_flight=max_in_flight,
                rate_limit_per_s=rate_limit_per_s,
                ordering=Ordering(ordering),
                retry_schedule_s=tuple(retry_schedule_s),
                region=region,
                format=Format(format),
                signature=Scheme(signature),
            )
        )
        self._check_target(host_of(draft.url))
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            tenant = find_tenant(uow, tenant_id)
            check_region(tenant, draft.region)
            made, secret = self._making.add(uow, tenant, [draft])[0]
            uow.commit()
            described = describe(uow, self._sealing, tenant_id, [made])[0]
        log.info("endpoint_created", **names(made))
        return WithSecret(described, secret)

    def get(self, tenant_id: str, endpoint_id: UUID) -> Described:
        """Return an endpoint.

        Raises:
            NotFound: If the tenant has no such endpoint.
        """
        with self._uow() as uow:
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            return describe(uow, self._sealing, tenant_id, [endpoint])[0]

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        search: str | None = None,
        condition: Condition | None = None,
    ) -> list[Described]:
        """Return a tenant's endpoints, the newest first (``storage.endpoints``).

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            page = uow.endpoints.page(
                tenant_id, after=after, limit=limit, search=search, condition=condition
            )
            return describe(uow, self._sealing, tenant_id, page)

    def named(
        self, tenant_id: str, endpoint_ids: Iterable[UUID]
    ) -> dict[UUID, Endpoint]:
        """Return those of these endpoints that are the tenant's, deleted ones too."""
        with self._uow() as uow:
            rows = uow.endpoints.named(tenant_id, sorted(set(endpoint_ids)))
        return {each.id: each for each in rows}

    def newest(self, tenant_id: str, limit: int) -> Sequence[Endpoint]:
        """Return a tenant's newest endpoints, without what belongs to them."""
        with self._uow() as uow:
            return uow.endpoints.page(tenant_id, after=None, limit=limit)

    def check_url(self, url: str) -> tuple[Target, bool]:
        """Return where a URL goes, and whether its host resolves now.

        Raises:
            TargetRejected: If the URL, or an address it resolves to, is not allowed.
        """
        target = parse_target(url, allow_http=self._allow_http)
        return target, self._check_target(target.host)

    def change(
        self,
        tenant_id: str,
        endpoint_id: UUID,
        changes: Mapping[str, Any],
        check: Callable[[Described], None] | None = None,
    ) -> Described:
        """Change an endpoint; for ``event_types`` and ``filter`` see ``subscriptions``.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            changes: By the names of ``create``; a header whose value is None keeps
                the one it has.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such endpoint.
            TargetRejected: If the new URL is not allowed.
            InvalidInput: If anything else is malformed; the message names it.
                ``signature`` changes with a rotation alone.
            Conflict: If an order is to begin while too much is pending.
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
            if check is not None:
                check(describe(uow, self._sealing, tenant_id, [endpoint])[0])
            asked = sorted(changes)
            if not _UNSEEN.issuperset(asked):
                uow.mailboxes.supersede(endpoint_id)
            self._apply(uow, endpoint, changes)
            record(uow, "endpoint.changed", endpoint, fields=asked)
            uow.commit()
            described = describe(uow, self._sealing, tenant_id, [endpoint])[0]
        log.info("endpoint_changed", fields=asked, **names(endpoint))
        return described

    def _apply(
        self, uow: UnitOfWork, endpoint: Endpoint, changes: dict[str, Any]
    ) -> None:
        if changes.get("signature", endpoint.signature) != endpoint.signature:
            raise InvalidInput(_KEEPS_SIGNATURE, field="signature")
        if "headers" in changes:
            headers = check_headers(
                self._secrets.with_kept(endpoint, changes.pop("headers"))
            )
            endpoint.sealed_headers = self._secrets.seal_headers(endpoint, headers)
        wishes = {each: changes.pop(each) for each in _WISHES if each in changes}
        if wishes:
            subscriptions.replace(uow, self._entropy, endpoint, wishes)
        if "region" in changes:
            tenant = find_tenant(uow, endpoint.tenant_id)
            changes["region"] = check_region(tenant, changes["region"])
            uow.mailboxes.set_region(endpoint.id, changes["region"])
            # An allowed one: if it was abroad, it is so no longer.
            uow.mailboxes.set_state(endpoint.id, endpoint.state)
        if changes.get("ordering", endpoint.ordering) != endpoint.ordering:
            self._reorder(uow, endpoint, changes["ordering"])
        if changes.get("url", endpoint.url) != endpoint.url:
            # Nothing is known of the new one: the old one's pause was not its own.
            uow.mailboxes.forget_failures(endpoint.id)
        for name, value in changes.items():
            setattr(endpoint, name, value)

    def _reorder(self, uow: UnitOfWork, endpoint: Endpoint, ordering: str) -> None:
        """Begin or end an order: what is pending takes part in it.

        The caller has locked the tenant, so nothing is accepted meanwhile; whoever
        serves the endpoint without order gives back what is not sent.
        """
        uow.mailboxes.set_ordering(endpoint.id, ordering)
        if ordering == Ordering.FIFO:
            window = ids.window(uow.now(), self._retention)
            if uow.deliveries.more_pending(endpoint.id, window, END_BATCH):
                raise Conflict(
                    f"more than {END_BATCH} deliveries wait at this endpoint; an order"
                    " can begin when fewer do: let it catch up, or cancel them."
                )
            uow.deliveries.put_in_order(endpoint.id, window)

    def _target(self, url: str) -> str:
        return self.check_url(url)[0].url
