"""Idempotency: a creation that is asked for twice is made once.

A request with an ``Idempotency-Key`` first reserves it.  Whatever the creation
commits marks the reservation in the same transaction, and the answer is kept
afterwards, sealed, for it may hold a secret.  So a process may die anywhere:

- before the commit: nothing was made; the reservation lapses after a minute, and
  whoever asks again takes it over;
- between the commit and keeping the answer: asking again is a conflict that says
  that it was made, and makes nothing twice;
- later: asking again gets the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.errors import (
    AscWebhooksError,
    IdempotencyAnswerLost,
    IdempotencyInProgress,
    IdempotencyKeyReused,
)
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.storage.idempotency import DONE, Promise, Reservation
from ascwebhooks.storage.models import IdempotencyKey
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

TABLE = "idempotency_key"
#: For so long the same key means the same request.
LIFE = timedelta(hours=24)
#: A reservation without anything committed was left by a process that died.
PATIENCE = timedelta(seconds=60)
_FIRST_ERROR = 300


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """What a request was answered with."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


@dataclass(frozen=True)
class Asked:
    """A request with an ``Idempotency-Key``.

    Args:
        owner: Whose key it is: the API key's id and the path.
        key: What the caller chose.
        digest: Of all that makes the request what it is.
        tenant_id: With whose data key the answer is sealed.
    """

    owner: str
    key: str
    digest: bytes
    tenant_id: str


class Idempotency:
    """Answers requests once."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        promise: Promise,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take the parts; ``promise`` is told of by every other transaction."""
        self._uow = uow
        self._sealing = sealing
        self._promise = promise
        self._entropy = entropy

    def answer(self, asked: Asked, make: Callable[[], Answer]) -> tuple[Answer, bool]:
        """Return the answer to a request, and whether it had been given before.

        What ``make`` raises or refuses is not kept: the key is free again.

        Raises:
            IdempotencyKeyReused: If the key came with another request.
            IdempotencyInProgress: If the same request is being answered.
            IdempotencyAnswerLost: If it was carried out and nobody kept the answer.
        """
        held = self._reserve(asked)
        if held is None:
            return self._before(asked), True
        try:
            with self._promise.under(held):
                answer = make()
        except BaseException:
            self._drop(held)
            raise
        if answer.status >= _FIRST_ERROR:
            self._drop(held)
        else:
            self._keep(asked, held, answer)
        return answer, False

    def _reserve(self, asked: Asked) -> Reservation | None:
        with self._uow() as uow:
            ms = int(uow.now().timestamp() * 1000)
            row_id = ids.uuid7(ms, self._entropy(10))
            wanted = Reservation(asked.owner, asked.key, row_id)
            mine = uow.idempotency.reserve(
                wanted, asked.digest, life=LIFE, patience=PATIENCE
            )
            uow.commit()
        return wanted if mine else None

    def _before(self, asked: Asked) -> Answer:
        with self._uow() as uow:
            row = uow.idempotency.find(asked.owner, asked.key)
        if row is None:
            # It was given back between the two looks.
            raise IdempotencyInProgress(_RUNNING)
        if row.request != asked.digest:
            raise IdempotencyKeyReused(
                "this Idempotency-Key came with another request; choose a new one.",
                field="Idempotency-Key",
            )
        if row.status is None:
            raise IdempotencyInProgress(_RUNNING)
        return self._open(asked, row)

    def _open(self, asked: Asked, row: IdempotencyKey) -> Answer:
        if row.status == DONE or row.sealed is None:
            raise IdempotencyAnswerLost(_LOST)
        try:
            plain = self._sealing.unseal(
                asked.tenant_id, day_scope(row.row_id), TABLE, row.row_id, row.sealed
            )
        except CannotOpen as error:
            raise IdempotencyAnswerLost(_LOST) from error
        return _decode(plain)

    def _keep(self, asked: Asked, held: Reservation, answer: Answer) -> None:
        """Keep an answer; what it tells of is committed, so it is given anyway."""
        try:
            sealed = self._sealing.seal(
                asked.tenant_id,
                day_scope(held.row_id),
                TABLE,
                held.row_id,
                _encode(answer),
            )
            with self._uow() as uow:
                uow.idempotency.keep(held, answer.status, sealed)
                uow.commit()
        except AscWebhooksError as error:
            log.warning("idempotent_answer_not_kept", error=str(error))

    def _drop(self, held: Reservation) -> None:
        try:
            with self._uow() as uow:
                uow.idempotency.drop(held)
                uow.commit()
        except AscWebhooksError as error:
            log.warning("idempotency_key_not_given_back", error=str(error))


_RUNNING = "a request with this Idempotency-Key is being answered; ask again."
_LOST = (
    "this request was carried out, but its answer is gone: look for what it made."
    " A secret that was in it can be rotated."
)
