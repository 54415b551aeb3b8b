"""Making endpoints of drafts: one alone, or many in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.drafts import Draft
from ascwebhooks.domain.headers import check_headers
from ascwebhooks.domain.retry import check_schedule
from ascwebhooks.domain.urls import parse_target
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services import subscriptions
from ascwebhooks.services.described import record
from ascwebhooks.services.secrets import Secrets
from ascwebhooks.storage.endpoints import Added
from ascwebhooks.storage.models import Endpoint, Mailbox, Tenant
from ascwebhooks.storage.unit_of_work import UnitOfWork


class Making:
    """Checks drafts and adds endpoints within a transaction of the caller's."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        entropy: Callable[[int], bytes],
        allow_http: bool,
    ) -> None:
        """Take the parts.

        Args:
            secrets: Makes and seals them.
            entropy: Returns random bytes.
            allow_http: Whether plain http URLs are taken.
        """
        self._secrets = secrets
        self._entropy = entropy
        self._allow_http = allow_http

    def check(self, draft: Draft) -> Draft:
        """Return an endpoint to be made, as it will be stored.

        Whether its host may be reached and its region is allowed is left to look at.

        Raises:
            TargetRejected: If the URL is not allowed.
            InvalidInput: If anything else is malformed; the message names it.
        """
        target = parse_target(draft.url, allow_http=self._allow_http)
        _check_wishes(draft.event_types, draft.filter)
        check_schedule(draft.retry_schedule_s)
        headers = check_headers(draft.headers)
        return msgspec.structs.replace(draft, url=target.url, headers=headers)

    def add(
        self, uow: UnitOfWork, tenant: Tenant, drafts: Sequence[Draft]
    ) -> list[tuple[Endpoint, str | None]]:
        """Add endpoints that were checked; return each with its secret, if it has one.

        Args:
            uow: The caller's transaction, which has locked the tenant.
            tenant: Whose.
            drafts: What they are to be.
        """
        made = []
        for draft in drafts:
            endpoint = self._new(uow, tenant, draft)
            row, secret = self._secrets.new(uow, endpoint)
            wanted = (
                subscriptions.new(
                    uow, self._entropy, endpoint, draft.event_types, draft.filter
                )
                if draft.event_types
                else None
            )
            made.append((Added(endpoint, _new_mailbox(endpoint), row, wanted), secret))
            record(uow, "endpoint.created", endpoint, event_types=draft.event_types)
        uow.endpoints.add_all([added for added, _ in made])
        return [(added.endpoint, secret) for added, secret in made]

    def _new(self, uow: UnitOfWork, tenant: Tenant, draft: Draft) -> Endpoint:
        endpoint = Endpoint(
            tenant_id=tenant.id,
            id=self._new_id(uow),
            url=draft.url,
            description=draft.description,
            format=draft.format.value,
            signature=draft.signature.value,
            timeout_s=draft.timeout_s,
            max_in_flight=draft.max_in_flight,
            rate_limit_per_s=draft.rate_limit_per_s,
            ordering=draft.ordering.value,
            retry_schedule_s=list(draft.retry_schedule_s),
            region=draft.region or tenant.home_region,
            state=EndpointState.ACTIVE,
        )
        endpoint.sealed_headers = self._secrets.seal_headers(endpoint, draft.headers)
        return endpoint

    def _new_id(self, uow: UnitOfWork) -> UUID:
        ms = int(uow.now().timestamp() * 1000)
        return ids.uuid7(ms, self._entropy(10))


def _check_wishes(event_types: Sequence[str], filter: str | None) -> None:
    subscriptions.check(event_types, filter)
    if filter is not None and not event_types:
        raise InvalidInput("a filter needs event_types.", field="filter")


def host_of(url: str) -> str:
    """Return the host of a URL that was checked."""
    return urlsplit(url).hostname or ""


def check_region(tenant: Tenant, region: str | None) -> str:
    """Return where an endpoint is served: the home region unless it says otherwise.

    Raises:
        InvalidInput: If the tenant does not allow it.
    """
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
        ordering=endpoint.ordering,
    )
