"""Subscriptions: which events an endpoint wants, and trying a filter out first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import filters, ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.matching import check_event_types
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services.described import find_endpoint
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Endpoint, Subscription
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


class Subscriptions:
    """Use cases of subscriptions."""

    def __init__(
        self, uow: Callable[[], UnitOfWork], entropy: Callable[[int], bytes]
    ) -> None:
        """Take the parts; ``entropy`` returns random bytes."""
        self._uow = uow
        self._entropy = entropy

    def create(
        self,
        tenant_id: str,
        *,
        endpoint_id: UUID,
        event_types: Sequence[str],
        filter: str | None = None,
        enabled: bool = True,
    ) -> Subscription:
        """Create a subscription; it counts from the next batch of events on.

        Raises:
            NotFound: If the tenant has no such endpoint.
            InvalidInput: If an event type or the filter is malformed.
        """
        check(event_types, filter)
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            made = new(uow, self._entropy, endpoint, event_types, filter)
            made.enabled = enabled
            uow.subscriptions.add(made)
            _record(uow, "subscription.created", made)
            uow.commit()
        log.info("subscription_created", **_names(made))
        return made

    def get(self, tenant_id: str, subscription_id: UUID) -> Subscription:
        """Return a subscription.

        Raises:
            NotFound: If the tenant has no such subscription.
        """
        with self._uow() as uow:
            return _find(uow, tenant_id, subscription_id)

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        endpoint_id: UUID | None = None,
        event_type: str | None = None,
    ) -> Sequence[Subscription]:
        """Return a tenant's subscriptions, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            endpoint_id: Only this endpoint's.
            event_type: Only those that take this type, or name this very glob.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            return uow.subscriptions.page(
                tenant_id,
                after=after,
                limit=limit,
                endpoint_id=endpoint_id,
                event_type=event_type,
            )

    def change(
        self,
        tenant_id: str,
        subscription_id: UUID,
        changes: Mapping[str, Any],
        check_found: Callable[[Subscription], None] | None = None,
    ) -> Subscription:
        """Change ``event_types``, ``filter`` or ``enabled``.

        Args:
            tenant_id: Whose.
            subscription_id: Which.
            changes: By these names.
            check_found: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such subscription.
            InvalidInput: If an event type or the filter is malformed.
        """
        check(changes.get("event_types", ()), changes.get("filter"))
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            found = _find(uow, tenant_id, subscription_id)
            if check_found is not None:
                check_found(found)
            for name, value in changes.items():
                setattr(found, name, value)
            _record(uow, "subscription.changed", found)
            uow.commit()
        log.info("subscription_changed", fields=sorted(changes), **_names(found))
        return found

    def delete(
        self,
        tenant_id: str,
        subscription_id: UUID,
        check_found: Callable[[Subscription], None] | None = None,
    ) -> None:
        """Delete a subscription; what is pending at its endpoint is still sent.

        Args:
            tenant_id: Whose.
            subscription_id: Which.
            check_found: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such subscription.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            found = _find(uow, tenant_id, subscription_id)
            if check_found is not None:
                check_found(found)
            uow.subscriptions.delete(found)
            _record(uow, "subscription.deleted", found)
            uow.commit()
        log.info("subscription_deleted", **_names(found))


def check(event_types: Sequence[str], filter: str | None) -> None:
    """Raise InvalidInput unless these can be subscribed to."""
    check_event_types(event_types)
    if filter is not None:
        filters.compile(filter)


def new(
    uow: UnitOfWork,
    entropy: Callable[[int], bytes],
    endpoint: Endpoint,
    event_types: Sequence[str],
    filter: str | None,
) -> Subscription:
    """Return a new subscription of an endpoint, not added yet."""
    return Subscription(
        tenant_id=endpoint.tenant_id,
        id=ids.uuid7(int(uow.now().timestamp() * 1000), entropy(10)),
        endpoint_id=endpoint.id,
        event_types=list(event_types),
        filter=filter,
        enabled=True,
    )


def replace(
    uow: UnitOfWork,
    entropy: Callable[[int], bytes],
    endpoint: Endpoint,
    changes: Mapping[str, Any],
) -> None:
    """Give an endpoint the subscription that a change of its own asks for.

    A single one is changed and stays the same subscription, by which events say why
    they were not sent.  Several are replaced when event types are given.

    Args:
        uow: The caller's transaction, which has locked the tenant.
        entropy: Returns random bytes.
        endpoint: Whose.
        changes: ``event_types``, ``filter`` or both.

    Raises:
        InvalidInput: If they are malformed, or a filter has no event types.
        Conflict: If a filter alone is given for several subscriptions.
    """
    check(changes.get("event_types", ()), changes.get("filter"))
    found = uow.endpoints.subscriptions(endpoint.tenant_id, [endpoint.id])
    single = found[0] if len(found) == 1 else None
    types = changes.get("event_types", single.event_types if single else None)
    text = changes.get("filter", single.filter if single else None)
    if types is None and found:
        raise Conflict("the endpoint has several subscriptions; change one of those.")
    if not types and changes.get("filter") is not None:
        raise InvalidInput("a filter needs event_types.", field="filter")
    if single and types:
        single.event_types, single.filter = list(types), text
        return
    uow.endpoints.drop_subscriptions(endpoint.tenant_id, endpoint.id)
    if types:
        uow.subscriptions.add(new(uow, entropy, endpoint, types, text))


def _find(uow: UnitOfWork, tenant_id: str, subscription_id: UUID) -> Subscription:
    found = uow.subscriptions.find(tenant_id, subscription_id)
    if found is None:
        shown = ids.show(Kind.SUBSCRIPTION, subscription_id)
        raise NotFound(f"there is no subscription {shown}.")
    return found


def _record(uow: UnitOfWork, action: str, row: Subscription) -> None:
    uow.audit.record(
        action,
        Kind.SUBSCRIPTION,
        row.id,
        tenant_id=row.tenant_id,
        endpoint=ids.show(Kind.ENDPOINT, row.endpoint_id),
        event_types=row.event_types,
        filter=row.filter,
        enabled=row.enabled,
    )


def _names(subscription: Subscription) -> dict[str, str]:
    return {
        "tenant_id": subscription.tenant_id,
        "subscription_id": ids.show(Kind.SUBSCRIPTION, subscription.id),
    }
