"""Signatures of attempts that were made: how each comes about, without the secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ascwebhooks.domain import ids, signing
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.signing import Checked, Scheme
from ascwebhooks.errors import Conflict, NotFound
from ascwebhooks.services.deliveries import Deliveries
from ascwebhooks.services.sealing import SECRETS, Sealing
from ascwebhooks.services.secrets import SECRETS_TABLE
from ascwebhooks.storage.models import EndpointSecret
from ascwebhooks.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class WithKey:
    """What one of the endpoint's keys says.

    ``public_key`` is that of an Ed25519 key; a secret is known by its hint alone.
    ``checked`` is None if the key does not open any more.
    """

    scheme: str
    hint: str
    public_key: str | None
    in_force_now: bool
    checked: Checked | None


@dataclass(frozen=True)
class Explained:
    """An attempt's signatures, step by step; ``content`` is what was signed."""

    message_id: str
    timestamp: str
    body: bytes
    content: bytes
    given: Sequence[str]
    keys: Sequence[WithKey]

    @property
    def unmatched(self) -> list[str]:
        """The signatures that no key of the endpoint's makes any more."""
        found = {each.checked.matches for each in self.keys if each.checked}
        return [each for at, each in enumerate(self.given) if at not in found]


class Signatures:
    """Verifies what was sent as its receiver would."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        deliveries: Deliveries,
    ) -> None:
        """Take the parts."""
        self._uow = uow
        self._sealing = sealing
        self._deliveries = deliveries

    def explain(self, tenant_id: str, delivery_id: UUID, attempt_id: UUID) -> Explained:
        """Return how the signatures of an attempt come about.

        It is a look at what was sent, and recorded as one.

        Raises:
            NotFound: If the tenant has no such delivery, or it no such attempt.
            Conflict: If what was sent cannot be opened any more, or was not signed.
        """
        found = self._deliveries.get(tenant_id, delivery_id)
        opened = next(
            (each for each in found.attempts if each.attempt.id == attempt_id), None
        )
        if opened is None:
            shown = ids.show(Kind.ATTEMPT, attempt_id)
            raise NotFound(f"there is no attempt {shown}.")
        if opened.detail is None or opened.body is None:
            raise Conflict("what this attempt sent cannot be opened any more.")
        sent = {name.lower(): value for name, value in opened.detail.request_headers}
        try:
            message_id, timestamp = sent["webhook-id"], sent["webhook-timestamp"]
            given = sent["webhook-signature"].split()
        except KeyError as error:
            raise Conflict(f"this attempt was not signed: no {error}.") from error
        content = signing.signed_content(message_id, timestamp, opened.body)
        keys = self._keys(tenant_id, opened.attempt, given, content)
        return Explained(message_id, timestamp, opened.body, content, given, keys)

    def _keys(
        self, tenant_id: str, attempt: Any, given: Sequence[str], content: bytes
    ) -> list[WithKey]:
        with self._uow() as uow:
            now = uow.now()
            rows = uow.endpoints.secrets_since(
                tenant_id, attempt.endpoint_id, attempt.started_at
            )
        return [
            WithKey(
                scheme=row.scheme,
                hint=row.hint,
                public_key=None
                if row.public_key is None
                else signing.format_public_key(bytes(row.public_key)),
                in_force_now=row.expires_at is None or row.expires_at > now,
                checked=self._checked(row, given, content),
            )
            for row in rows
        ]

    def _checked(
        self, row: EndpointSecret, given: Sequence[str], content: bytes
    ) -> Checked | None:
        if row.scheme == Scheme.ED25519:
            return signing.check_with_public(
                bytes(row.public_key or b""), given, content
            )
        try:
            key = self._sealing.unseal(
                row.tenant_id, SECRETS, SECRETS_TABLE, row.id, bytes(row.sealed)
            )
        except CannotOpen:
            return None
        return signing.check_with_secret(key, given, content)
