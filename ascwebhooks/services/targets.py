"""What a turn needs to send: each endpoint's target, each event's body."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
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

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing

    def of(self, uow: UnitOfWork, endpoint_ids: Sequence[UUID]) -> dict[UUID, Target]:
        """Return the targets of those of these endpoints whose secrets open."""
        return _opened(self._target, uow.endpoints.targets(endpoint_ids))

    def _target(self, row: Any) -> Target:
        own = open_headers(self._sealing, row)
        fixed = {"content-type": CONTENT_TYPES[row.format], "user-agent": USER_AGENT}
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
        self, uow: UnitOfWork, wanted: Collection[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], Message]:
        """Return what is sent of those of these events that open.

        Args:
            uow: The turn's transaction.
            wanted: Events and the format of each; one event may be in several.
        """
        by_event: dict[UUID, list[str]] = defaultdict(list)
        for event_id, format in wanted:
            by_event[event_id].append(format)
        sealed = uow.events.sealed(by_event)
        opened = _opened(lambda row: self._messages(row, by_event[row.id]), sealed)
        return {
            (event_id, format): message
            for event_id, messages in opened.items()
            for format, message in messages.items()
        }

    def _messages(self, row: Any, wanted: Sequence[str]) -> dict[str, Message]:
        plain = self._sealing.unseal(
            row.tenant_id, day_scope(row.id), EVENT_TABLE, row.id, bytes(row.sealed)
        )
        kept, data = events.unpack(plain)
        event = Original(
            type=row.type,
            source=row.source,
            source_id=row.source_id,
            tenant_id=row.tenant_id,
            kept=kept,
            data=data,
        )
        shown = ids.show(Kind.EVENT, row.id)
        messages = {}
        for format in wanted:
            body, headers = formats.content(format, event)
            messages[format] = Message(
                shown, body, kept.traceparent, row.size_bytes, headers
            )
        return messages


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
