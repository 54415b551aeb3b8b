"""Recording: what came of attempts, in one transaction a batch.

The mailboxes are locked first, in the order of their ids.  Whoever no longer
holds the lease changes no status, but for one thing: a whole 2xx answer turns
what is pending into delivered, because it was; under the lease, what ended with its
endpoint meanwhile too.  Attempts that were made are recorded in every case, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import msgspec
import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import (
    Decision,
    MailboxState,
    Outcome,
    Status,
    decide,
)
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.health import Attempted
from ascwebhooks.domain.retry import RetryPolicy
from ascwebhooks.domain.statistics import Grain, Mark, Tally, count
from ascwebhooks.services import standings
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.storage.claims import Claimed, Failure, NewAttempt
from ascwebhooks.storage.mailboxes import Health
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

ATTEMPT_TABLE = "attempt"
# Python 3.11 finds a member of an enum by running Python code each time.
_DELIVERED, _DEAD = Status.DELIVERED, Status.DEAD_LETTERED
_number = attrgetter("int")


class Detail(msgspec.Struct, array_like=True, frozen=True):
    """What is sealed of an attempt; ``url`` is empty where it was not kept yet."""

    request_headers: tuple[tuple[str, str], ...]
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    response_truncated: bool
    url: str = ""


encode_detail = msgspec.msgpack.Encoder().encode
decode_detail = msgspec.msgpack.Decoder(Detail).decode


@dataclass(eq=False, frozen=True, slots=True)
class Terms:
    """On what terms the deliveries of a mailbox go out under one lease.

    It is the key by which a batch is told apart: an id's hash and its comparison run
    Python code, which for all attempts of a batch took a fifth of its time.
    """

    endpoint_id: UUID
    token: UUID
    policy: RetryPolicy
    probe: bool = False
    epoch: int = 0
    url: str = ""


@dataclass(slots=True)
class Made:
    """An attempt that was made, on its way to the database.

    ``id`` is given at the first try of recording and kept for the next ones.
    """

    claimed: Claimed
    terms: Terms
    started_at: datetime
    request_headers: tuple[tuple[str, str], ...]
    outcome: Outcome
    id: UUID | None = None

    def bare(self) -> Made:
        """Return the attempt without anything that its receiver had a say in."""
        outcome = Outcome(
            self.outcome.status_code,
            self.outcome.error,
            retry_after=self.outcome.retry_after,
            timings=self.outcome.timings,
        )
        return replace(self, request_headers=(), outcome=outcome)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a turn has to know after a batch was recorded.

    ``lost``: endpoints that are no longer to be served under their lease.
    ``barred``: for how many seconds others are to be left alone: their breaker is
    open, or their receiver asked for it.
    """

    lost: frozenset[UUID]
    gone: tuple[tuple[str, UUID], ...]
    slow: frozenset[UUID]
    well: frozenset[UUID]
    barred: dict[UUID, float]
    statuses: Sequence[Status | None]


class Recording:
    """Records batches of attempts."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        *,
        entropy: Callable[[int], bytes],
        spread: Callable[[], float],
    ) -> None:
        """Take the parts; ``spread`` draws uniformly from [0, 1)."""
        self._uow = uow
        self._sealing = sealing
        self._entropy = entropy
        self._spread = spread

    def record(self, made: Sequence[Made]) -> Recorded:
        """Record attempts and move their deliveries on; return what follows.

        Raises:
            Unavailable: If the database is away; the same batch may be recorded
                again, also if it was committed and only the answer was lost.
        """
        with self._uow() as uow:
            terms = {each.terms for each in made}
            locked = uow.mailboxes.lock(list({each.endpoint_id for each in terms}))
            boxes = {box.endpoint_id: box for box in locked}
            now = locked[0].seen_at if locked else uow.now()
            again = any(each.id is not None for each in made)
            self._name(made, now)
            rows = [self._row(each) for each in made]
            known = uow.claims.add_attempts(rows, again=again)
            fresh = [each for each in made if each.id not in known] if known else made
            held = {each for each in terms if _is_held(each, boxes)}
            became, gone = self._move_on(uow, fresh, held, now)
            changed = standings.changed(_attempted(fresh, held), boxes, now)
            uow.mailboxes.save(changed)
            uow.rollups.add(Grain.MINUTE.floor(now), _tallies(fresh, boxes, became))
            uow.commit()
        return Recorded(
            lost=frozenset(
                each.endpoint_id for each in terms if not _is_served(each, boxes)
            ),
            gone=tuple(gone),
            slow=frozenset(box.endpoint_id for box in changed if box.slow),
            well=frozenset(
                box.endpoint_id
                for box in changed
                if not box.slow and boxes[box.endpoint_id].slow
            ),
            barred=standings.barred(
                (boxes | {each.endpoint_id: each for each in changed}).values(), now
            ),
            statuses=[became.get(each.claimed.id) for each in made],
        )

    def _name(self, made: Sequence[Made], now: datetime) -> None:
        nameless = [each for each in made if each.id is None]
        ms = int(now.timestamp() * 1000)
        fresh = ids.uuid7_batch(ms, self._entropy(ids.random_bytes(len(nameless))))
        for each, attempt_id in zip(nameless, fresh, strict=True):
            each.id = attempt_id

    def _row(self, made: Made) -> NewAttempt:
        claimed, outcome, timings = made.claimed, made.outcome, made.outcome.timings
        assert made.id is not None
        detail = Detail(
            made.request_headers,
            outcome.headers,
            outcome.body,
            outcome.body_truncated,
            made.terms.url,
        )
        return NewAttempt(
            claimed.id,
            made.id,
            claimed.tenant_id,
            claimed.endpoint_id,
            made.started_at,
            outcome.status_code,
            outcome.error,
            outcome.detail,
            outcome.address,
            timings.dns_ms,
            timings.connect_ms,
            timings.tls_ms,
            timings.first_byte_ms,
            timings.total_ms,
            self._sealed(claimed, made.id, encode_detail(detail)),
        )

    def _sealed(self, claimed: Claimed, attempt_id: UUID, detail: bytes) -> bytes:
        """Return what is sealed of an attempt; nothing, if its key does not open.

        That it was made is recorded all the same: it would be made again.
        """
        tenant_id = claimed.tenant_id
        try:
            return self._sealing.seal(
                tenant_id, day_scope(claimed.id), ATTEMPT_TABLE, attempt_id, detail
            )
        except CannotOpen as error:
            log.error("attempt_detail_not_kept", tenant_id=tenant_id, error=str(error))
            return b""

    def _move_on(
        self,
        uow: UnitOfWork,
        made: Sequence[Made],
        held: Set[Terms],
        now: datetime,
    ) -> tuple[dict[UUID, Status], list[tuple[str, UUID]]]:
        delivered: dict[tuple[int, bool], list[UUID]] = defaultdict(list)
        failures: list[Failure] = []
        gone: dict[UUID, tuple[str, UUID]] = {}
        for each in made:
            claimed, outcome, terms = each.claimed, each.outcome, each.terms
            decision = decide(outcome, claimed.step + 1, terms.policy, self._spread())
            if decision.status is _DELIVERED:
                delivered[outcome.status_code or 0, terms in held].append(claimed.id)
            elif terms in held:
                failures.append(_failure(each, decision))
                if decision.disable_endpoint:
                    owner = (claimed.tenant_id, claimed.endpoint_id)
                    gone[claimed.endpoint_id] = owner
        moved = uow.claims.failed(sorted(failures))
        became = {f.id: Status(f.status) for f in failures if f.id in moved}
        uow.notices.dead_lettered([k for k, v in became.items() if v is _DEAD])
        for (code, leased), delivery_ids in sorted(delivered.items()):
            delivery_ids.sort(key=_number)
            done = uow.claims.delivered(delivery_ids, code, now, held=leased)
            became |= dict.fromkeys(done, _DELIVERED)
        left = [each.claimed.id for each in made if each.claimed.id not in became]
        uow.claims.count_only(sorted(left))
        return became, list(gone.values())


def _attempted(made: Sequence[Made], held: Set[Terms]) -> dict[UUID, list[Attempted]]:
    """Return what came of the attempts under the lease, by endpoint."""
    found: dict[UUID, list[Attempted]] = {}
    by_terms = {each: found.setdefault(each.endpoint_id, []) for each in held}
    for each in made:
        if each.terms in held:
            by_terms[each.terms].append(Attempted(each.outcome, each.terms.probe))
    return {endpoint_id: some for endpoint_id, some in found.items() if some}


def _tallies(
    made: Sequence[Made], boxes: dict[UUID, Health], became: dict[UUID, Status]
) -> dict[tuple[str, UUID], Tally]:
    """Return what these attempts add to the roll-ups of endpoints that are locked."""
    marks: dict[Terms, list[Mark]] = defaultdict(list)
    for each in made:
        outcome = each.outcome
        failed = outcome.error is not None
        dead = failed and became.get(each.claimed.id) is _DEAD
        marks[each.terms].append(Mark(not failed, dead, outcome.timings.total_ms))
    by_owner: dict[tuple[str, UUID], list[Mark]] = defaultdict(list)
    for terms, some in marks.items():
        box = boxes.get(terms.endpoint_id)
        if box is not None:
            by_owner[box.tenant_id, terms.endpoint_id] += some
    return {owner: count(some) for owner, some in by_owner.items()}


def _is_held(terms: Terms, boxes: dict[UUID, Health]) -> bool:
    box = boxes.get(terms.endpoint_id)
    return box is not None and box.lease_token == terms.token


def _is_served(terms: Terms, boxes: dict[UUID, Health]) -> bool:
    """Return whether its mailbox goes on being served on these terms."""
    box = boxes.get(terms.endpoint_id)
    return (
        box is not None
        and box.lease_token == terms.token
        and box.state == MailboxState.ACTIVE
        and box.epoch == terms.epoch
    )


def _failure(made: Made, decision: Decision) -> Failure:
    return Failure(
        made.claimed.id,
        made.claimed.step,
        decision.status.value,
        None if decision.retry_in is None else decision.retry_in.total_seconds(),
        made.outcome.status_code,
        made.outcome.error,
        decision.dead_reason,
    )
