"""What a turn needs to send: each endpoint's target, each event's body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from ascwebhooks import __version__
from ascwebhooks.domain import events, formats, ids, signing
from ascwebhooks.domain.deliveries import Ordering
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.formats import CONTENT_TYPES, Headers, Original
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.retry import RetryPolicy
from ascwebhooks.domain.signing import SigningKey
from ascwebhooks.outbound.requests import Destination
from ascwebhooks.services.batches import EVENT_TABLE
from ascwebhooks.services.described import open_headers
from ascwebhooks.services.sealing import SECRETS, Sealing, day_scope
from ascwebhooks.services.secrets import SECRETS_TABLE
from ascwebhooks.storage.events import SealedEvent
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
    destination: Destination
    shown_headers: tuple[tuple[str, str], ...]
    format: str
    keys: tuple[SigningKey, ...]
    policy: RetryPolicy
    max_in_flight: int
    rate_limit_per_s: int | None
    in_order: bool


class Message(msgspec.Struct, frozen=True):
    """An event as it is sent: the same for all endpoints of a format, and attempts.

    ``headers`` are those that the format makes of the event.
    """

    id: str
    body: bytes
    traceparent: str | None
    size_bytes: int
    headers: Headers = ()


class Targets:
    """Reads targets and messages within a turn's transaction."""

    def __init__(self, sealing: Sealing, *, allow_http: bool) -> None:
        self._sealing = sealing
        self._allow_http = allow_http

    def of(self, uow: UnitOfWork, endpoint_ids: Sequence[UUID]) -> dict[UUID, Target]:
        """Return the targets of those of these endpoints whose secrets open."""
        return dict(_opened(self._target, uow.endpoints.targets(endpoint_ids)))

    def _target(self, row: Any) -> Target:
        own = open_headers(self._sealing, row)
        fixed = {"content-type": CONTENT_TYPES[row.format], "user-agent": USER_AGENT}
        url = urlsplit(row.url)
        return Target(
            endpoint_id=row.id,
            shown_id=ids.show(Kind.ENDPOINT, row.id),
            tenant_id=row.tenant_id,
            destination=Destination(
                row.url,
                url.hostname or "",
                url.port or (443 if url.scheme == "https" else 80),
                [f"{name}: {value}" for name, value in {**fixed, **own}.items()],
                timedelta(seconds=row.timeout_s),
                pool=row.tenant_id,
                allow_http=self._allow_http,
            ),
            shown_headers=(*fixed.items(), *((name, HIDDEN) for name in own)),
            format=row.format,
            keys=tuple(self._keys(row)),
            policy=RetryPolicy(
                tuple(timedelta(seconds=each) for each in row.retry_schedule_s)
            ),
            max_in_flight=row.max_in_flight,
            rate_limit_per_s=row.rate_limit_per_s,
            in_order=row.ordering == Ordering.FIFO,
        )

    def _keys(self, row: Any) -> Iterable[SigningKey]:
        rows = zip(row.secret_ids, row.schemes, row.secrets, strict=True)
        for secret_id, scheme, sealed in rows:
            key = self._sealing.unseal(
                row.tenant_id, SECRETS, SECRETS_TABLE, secret_id, bytes(sealed)
            )
            yield signing.signing_key(scheme, key)

    def messages(
        self, uow: UnitOfWork, wanted: Sequence[tuple[UUID, str]]
    ) -> list[Message | None]:
        """Return what is sent of these events, None of those that do not open.

        Args:
            uow: The turn's transaction.
            wanted: Events, each with its format; one event may be there repeatedly,
                and what is sent of it is then the same object.
        """
        # By numbers: an id's hash and its comparison run Python code.
        sought = {event_id.int: event_id for event_id, _ in wanted}
        opened = _opened(self._original, uow.events.sealed(sought.values()))
        originals = {event_id.int: each for event_id, each in opened}
        made: dict[tuple[int, str], Message | None] = {}
        messages = []
        for event_id, format in wanted:
            name = event_id.int, format
            if name not in made:
                original = originals.get(event_id.int)
                made[name] = original and _message(event_id, format, *original)
            messages.append(made[name])
        return messages

    def _original(self, row: SealedEvent) -> tuple[Original, int]:
        """Return an event, and how large it is in bytes."""
        id, tenant_id, type, source, source_id, size_bytes, sealed = row
        plain = self._sealing.unseal(
            tenant_id, day_scope(id), EVENT_TABLE, id, bytes(sealed)
        )
        kept, data = events.unpack(plain)
        event = Original(
            type=type,
            source=source,
            source_id=source_id,
            tenant_id=tenant_id,
            kept=kept,
            data=data,
        )
        return event, size_bytes


def _message(event_id: UUID, format: str, event: Original, size: int) -> Message:
    body, headers = formats.content(format, event)
    shown = ids.show(Kind.EVENT, event_id)
    return Message(shown, body, event.kept.traceparent, size, headers)


def _opened(
    open_row: Callable[[Any], T], rows: Iterable[Any]
) -> Iterator[tuple[UUID, T]]:
    """Yield ids and what rows hold; one that does not open keeps no other back."""
    for row in rows:
        try:
            yield row.id, open_row(row)
        except CannotOpen as error:
            log.error(
                "row_does_not_open",
                tenant_id=row.tenant_id,
                id=str(row.id),
                error=str(error),
            )
