"""What a turn needs to send: each endpoint's target, each event's body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from ascwebhooks import __version__
from ascwebhooks.domain import events, ids
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.retry import RetryPolicy
from ascwebhooks.services.batches import EVENT_TABLE
from ascwebhooks.services.described import open_headers
from ascwebhooks.services.sealing import SECRETS, Sealing, day_scope
from ascwebhooks.services.secrets import SECRETS_TABLE
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

T = TypeVar("T")

USER_AGENT = f"ascwebhooks/{__version__}"
HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint as its requests need it."""

    endpoint_id: UUID
    shown_id: str
    tenant_id: str
    url: str
    host: str
    port: int
    lines: tuple[str, ...]
    shown_headers: tuple[tuple[str, str], ...]
    timeout: timedelta
    keys: tuple[bytes, ...]
    policy: RetryPolicy
    max_in_flight: int


class Message(msgspec.Struct, frozen=True):
    """An event as it is sent, the same for every endpoint and attempt."""

    id: str
    body: bytes
    traceparent: str | None
    size_bytes: int


class Targets:
    """Reads targets and messages within a turn's transaction."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing

    def of(self, uow: UnitOfWork, endpoint_ids: Sequence[UUID]) -> dict[UUID, Target]:
        """Return the targets of those of these endpoints whose secrets open."""
        return _opened(self._target, uow.endpoints.targets(endpoint_ids))

    def _target(self, row: Any) -> Target:
        own = open_headers(self._sealing, row)
        fixed = {"content-type": "application/json", "user-agent": USER_AGENT}
        url = urlsplit(row.url)
        return Target(
            endpoint_id=row.id,
            shown_id=ids.show(Kind.ENDPOINT, row.id),
            tenant_id=row.tenant_id,
            url=row.url,
            host=url.hostname or "",
            port=url.port or (443 if url.scheme == "https" else 80),
            lines=tuple(f"{name}: {value}" for name, value in {**fixed, **own}.items()),
            shown_headers=(*fixed.items(), *((name, HIDDEN) for name in own)),
            timeout=timedelta(seconds=row.timeout_s),
            keys=tuple(
                self._sealing.unseal(
                    row.tenant_id, SECRETS, SECRETS_TABLE, secret_id, bytes(sealed)
                )
                for secret_id, sealed in zip(row.secret_ids, row.secrets, strict=True)
            ),
            policy=RetryPolicy(
                tuple(timedelta(seconds=each) for each in row.retry_schedule_s)
            ),
            max_in_flight=row.max_in_flight,
        )

    def messages(
        self, uow: UnitOfWork, event_ids: Sequence[UUID]
    ) -> dict[UUID, Message]:
        """Return what is sent of those of these events that open."""
        return _opened(self._message, uow.events.sealed(event_ids))

    def _message(self, row: Any) -> Message:
        plain = self._sealing.unseal(
            row.tenant_id, day_scope(row.id), EVENT_TABLE, row.id, bytes(row.sealed)
        )
        kept, data = events.unpack(plain)
        body = events.standard_body(
            type=row.type,
            source=row.source,
            source_id=row.source_id,
            tenant_id=row.tenant_id,
            kept=kept,
            data=data,
        )
        return Message(
            ids.show(Kind.EVENT, row.id), body, kept.traceparent, row.size_bytes
        )


def _opened(open_row: Callable[[Any], T], rows: Iterable[Any]) -> dict[UUID, T]:
    """Return what rows hold, by id; one that does not open keeps no other back."""
    found = {}
    for row in rows:
        try:
            found[row.id] = open_row(row)
        except CannotOpen as error:
            log.error(
                "row_does_not_open",
                tenant_id=row.tenant_id,
                id=str(row.id),
                error=str(error),
            )
    return found
