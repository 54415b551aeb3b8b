"""Tenants: create, change, delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from ascwebhooks.domain.deliveries import END_BATCH, DeadReason, EndpointState
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.storage.models import Tenant
from ascwebhooks.storage.unit_of_work import UnitOfWork

TENANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
DEFAULT_REGION = "default"


class EndEndpoint(Protocol):
    """What ends an endpoint (``endpoint_states.EndpointStates.end``)."""

    def __call__(
        self,
        uow: UnitOfWork,
        tenant_id: str,
        endpoint_id: UUID,
        state: EndpointState,
        reason: DeadReason,
        *,
        room: int,
    ) -> int:
        """End it, and at most ``room`` of what is pending there; return how many."""


class Tenants:
    """Use cases of tenants."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        *,
        end_endpoint: EndEndpoint,
        follow_regions: Callable[[UnitOfWork, Tenant], None],
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            end_endpoint: Ends an endpoint, for tenants that are deleted.
            follow_regions: Draws the conclusions when allowed regions change.
        """
        self._uow = uow
        self._end_endpoint = end_endpoint
        self._follow_regions = follow_regions

    def create(
        self,
        tenant_id: str,
        *,
        name: str | None = None,
        home_region: str = DEFAULT_REGION,
        allowed_regions: Sequence[str] | None = None,
        strict: bool = False,
    ) -> Tenant:
        """Create a tenant.

        Args:
            tenant_id: What its events carry as ``tenantid``; chosen by the caller.
            name: For people; the id if not given.
            home_region: Where its endpoints are served unless they say otherwise.
            allowed_regions: Where they may be served; the home region if not given.
            strict: Whether it takes nothing but events of the catalogue.

        Raises:
            InvalidInput: If the id or a region is malformed.
            Conflict: If the id is or was taken.
        """
        if not TENANT_ID.match(tenant_id):
            raise InvalidInput(
                "a tenant's id is 1 to 64 letters, digits, '.', '_' and '-'.",
                field="id",
            )
        regions = list(allowed_regions or [home_region])
        _check_regions(home_region, regions)
        with self._uow() as uow:
            tenant = Tenant(
                id=tenant_id,
                name=name or tenant_id,
                home_region=home_region,
                allowed_regions=regions,
                strict=strict,
            )
            if not uow.tenants.add(tenant):
                raise Conflict(f"the tenant {tenant_id!r} exists already.", field="id")
            uow.audit.record(
                "tenant.created",
                "tenant",
                tenant_id,
                tenant_id=tenant_id,
                name=name,
                strict=strict,
            )
            uow.commit()
            return tenant

    def get(self, tenant_id: str) -> Tenant:
        """Return a tenant.

        Raises:
            NotFound: If there is none.
        """
        with self._uow() as uow:
            return find_tenant(uow, tenant_id)

    def page(
        self,
        *,
        after: str | None,
        limit: int,
        only: Sequence[str] | None = None,
        search: str | None = None,
    ) -> Sequence[Tenant]:
        """Return tenants in order of id (``storage.tenants``)."""
        with self._uow() as uow:
            return uow.tenants.page(after=after, limit=limit, only=only, search=search)

    def change(
        self,
        tenant_id: str,
        changes: dict[str, Any],
        check: Callable[[Tenant], None] | None = None,
    ) -> Tenant:
        """Change ``name``, ``home_region``, ``allowed_regions`` or ``strict``.

        Endpoints in a region that is no longer allowed are not served any more;
        what is pending there is dead-lettered (``services.residency``).  Once it is
        strict, no event is accepted any more that the catalogue does not know.

        Args:
            tenant_id: Whose.
            changes: By these names.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If a region is malformed, or the home region not allowed.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            tenant = find_tenant(uow, tenant_id)
            if check is not None:
                check(tenant)
            for name, value in changes.items():
                setattr(tenant, name, value)
            _check_regions(tenant.home_region, tenant.allowed_regions)
            if "allowed_regions" in changes:
                self._follow_regions(uow, tenant)
            uow.audit.record(
                "tenant.changed", "tenant", tenant_id, tenant_id=tenant_id, to=changes
            )
            uow.commit()
            return tenant

    def delete(
        self, tenant_id: str, check: Callable[[Tenant], None] | None = None
    ) -> None:
        """Delete a tenant; what is pending at its endpoints is dead-lettered.

        Args:
            tenant_id: Whose.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If there is no such tenant.
        """
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            tenant = find_tenant(uow, tenant_id)
            if check is not None:
                check(tenant)
            # First: nobody is to be told of the dead letters any more.
            uow.tenants.delete(tenant, uow.now())
            uow.flush()
            uow.incidents.drop_live(tenant_id)
            room = END_BATCH
            for endpoint_id in sorted(uow.endpoints.all_ids(tenant_id)):
                # Others wait for the tenant's row meanwhile: a batch in all.
                room -= self._end_endpoint(
                    uow,
                    tenant_id,
                    endpoint_id,
                    EndpointState.DELETED,
                    DeadReason.ENDPOINT_DELETED,
                    room=room,
                )
            uow.audit.record("tenant.deleted", "tenant", tenant_id, tenant_id=tenant_id)
            uow.commit()


def find_tenant(uow: UnitOfWork, tenant_id: str) -> Tenant:
    """Return a tenant.

    Raises:
        NotFound: If there is none.
    """
    tenant = uow.tenants.find(tenant_id)
    if tenant is None:
        raise NotFound(f"there is no tenant {tenant_id[:64]!r}.")
    return tenant


def _check_regions(home: str, allowed: Sequence[str]) -> None:
    for region in (home, *allowed):
        if not REGION.match(region):
            raise InvalidInput(
                f"region {region!r}: lower-case letters, digits and '-'.",
                field="allowed_regions",
            )
    if home not in allowed:
        raise InvalidInput(
            f"home_region {home!r} is not among allowed_regions.", field="home_region"
        )
