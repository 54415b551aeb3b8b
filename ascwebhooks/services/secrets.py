"""What endpoints keep secret: signing secrets and their own headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids, operations, signing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.operations import Operation
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.errors import Conflict, InvalidInput
from ascwebhooks.services.described import (
    HEADERS_TABLE,
    Described,
    WithSecret,
    describe,
    find_endpoint,
    names,
    open_headers,
)
from ascwebhooks.services.sealing import SECRETS, Sealing
from ascwebhooks.storage.models import Endpoint, EndpointSecret
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=7)
#: Each secret in force adds a signature of 48 bytes to every request.
MAX_SECRETS = 10
SECRETS_TABLE = "endpoint_secret"


class Secrets:
    """Makes, seals and rotates them."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take the parts; ``entropy`` returns random bytes."""
        self._uow = uow
        self._sealing = sealing
        self._entropy = entropy

    def rotate(
        self,
        tenant_id: str,
        endpoint_id: UUID,
        overlap: timedelta = OVERLAP,
        signature: str | None = None,
        check: Callable[[Described], None] | None = None,
    ) -> WithSecret:
        """Give an endpoint a new secret; the others sign too until the overlap ends.

        Args:
            tenant_id: Whose.
            endpoint_id: Which.
            overlap: How long from now the secrets there were stay in force; 0 ends
                them at once.
            signature: ``v1`` or ``v1a``, from now on; as it was if None.
            check: Given what is found, under the lock of the change; may raise.

        Raises:
            NotFound: If the tenant has no such endpoint.
            Conflict: If it has ten secrets in force already.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidInput("overlap_s is 0 to 604800.", field="overlap_s")
        with self._uow() as uow:
            uow.tenants.change_subscriptions(tenant_id)
            endpoint = find_endpoint(uow, tenant_id, endpoint_id)
            if check is not None:
                check(describe(uow, self._sealing, tenant_id, [endpoint])[0])
            now = uow.now()
            in_force = uow.endpoints.secrets(tenant_id, [endpoint_id], now)
            if overlap and len(in_force) >= MAX_SECRETS:
                raise Conflict(
                    f"{MAX_SECRETS} secrets are in force; the first of them ends at"
                    f" {in_force[-1].expires_at}. overlap_s 0 ends all of them now."
                )
            for each in in_force:
                each.expires_at = min(each.expires_at or now + overlap, now + overlap)
            endpoint.signature = signature or endpoint.signature
            row, secret = self.new(uow, endpoint)
            uow.endpoints.add_secret(row)
            uow.mailboxes.supersede(endpoint_id)
            _tell(uow, endpoint, row, overlap)
            uow.commit()
            described = describe(uow, self._sealing, tenant_id, [endpoint])[0]
        log.info("endpoint_secret_rotated", **names(endpoint))
        return WithSecret(described, secret)

    def new(
        self, uow: UnitOfWork, endpoint: Endpoint
    ) -> tuple[EndpointSecret, str | None]:
        """Return a new secret as a row, and in clear if it is to be shown."""
        key = self._entropy(signing.SECRET_BYTES)
        row = EndpointSecret(
            tenant_id=endpoint.tenant_id,
            id=self._new_id(uow),
            endpoint_id=endpoint.id,
            scheme=endpoint.signature,
            created_at=uow.now(),
        )
        secret = None
        if row.scheme == Scheme.ED25519:
            row.public_key = signing.public_key(key)
            row.hint = signing.hint(signing.format_public_key(row.public_key))
        else:
            secret = signing.format_secret(key)
            row.hint = signing.hint(secret)
        row.sealed = self._sealing.seal(
            endpoint.tenant_id, SECRETS, SECRETS_TABLE, row.id, key
        )
        return row, secret

    def _new_id(self, uow: UnitOfWork) -> UUID:
        ms = int(uow.now().timestamp() * 1000)
        return ids.uuid7(ms, self._entropy(10))

    def with_kept(
        self, endpoint: Endpoint, headers: Mapping[str, str | None]
    ) -> dict[str, str]:
        """Return headers with the values that are kept: of those that are None.

        Raises:
            InvalidInput: If there is no such header any more.
        """
        wanted = [name for name, value in headers.items() if value is None]
        known = open_headers(self._sealing, endpoint) if wanted else {}
        gone = next((name for name in wanted if name not in known), None)
        if gone is not None:
            raise InvalidInput(
                f"headers: {gone!a} is not there any more; give its value.",
                field="headers",
            )
        return {
            name: known[name] if value is None else value
            for name, value in headers.items()
        }

    def seal_headers(
        self, endpoint: Endpoint, headers: Mapping[str, str]
    ) -> bytes | None:
        """Return an endpoint's own headers sealed; None if there are none."""
        if not headers:
            return None
        return self._sealing.seal(
            endpoint.tenant_id,
            SECRETS,
            HEADERS_TABLE,
            endpoint.id,
            json.dumps(dict(headers)).encode(),
        )


def _tell(
    uow: UnitOfWork, endpoint: Endpoint, row: EndpointSecret, overlap: timedelta
) -> None:
    """Tell subscribers and the audit log of a new secret."""
    tenant_id, overlap_s = endpoint.tenant_id, int(overlap.total_seconds())
    facts = operations.secret_rotated(endpoint.signature, overlap)
    uow.notices.add(Operation.SECRET_ROTATED, tenant_id, endpoint.id, facts)
    uow.audit.record(
        "endpoint.secret_rotated",
        Kind.ENDPOINT,
        endpoint.id,
        tenant_id=tenant_id,
        hint=row.hint,
        overlap_s=overlap_s,
    )
