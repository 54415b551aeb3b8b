"""Recording: what came of attempts, in one transaction a batch.

The mailboxes are locked first, in the order of their ids.  Whoever no longer
holds the lease changes no status, but for one thing: a whole 2xx answer turns
what is pending into delivered, because it was; under the lease, what ended with its
endpoint meanwhile too.  Attempts that were made are recorded in every case, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from ascwebhooks.domain import health, ids
from ascwebhooks.domain.deliveries import (
    Decision,
    MailboxState,
    Outcome,
    Status,
    decide,
)
from ascwebhooks.domain.encryption import CannotOpen
from ascwebhooks.domain.health import Attempted, Standing
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.retry import RetryPolicy
from ascwebhooks.domain.statistics import Grain, Mark, Tally, count
from ascwebhooks.services.sealing import Sealing, day_scope
from ascwebhooks.storage.claims import Claimed, Failure, NewAttempt
from ascwebhooks.storage.mailboxes import Health
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

ATTEMPT_TABLE = "attempt"
# Python 3.11 finds a member of an enum by running Python code each time.
_DELIVERED, _DEAD = Status.DELIVERED, Status.DEAD_LETTERED
#: A mailbox that is well is written at most so often.
_SUCCESS_GRAIN_S = 10.0


class Detail(msgspec.Struct, array_like=True, frozen=True):
    """What is sealed of an attempt; ``url`` is empty where it was not kept yet."""

    request_headers: tuple[tuple[str, str], ...]
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    response_truncated: bool
    url: str = ""


encode_detail = msgspec.msgpack.Encoder().encode
decode_detail = msgspec.msgpack.Decoder(Detail).decode


@dataclass(slots=True)
class Made:
    """An attempt that was made, on its way to the database.

    ``id`` is given at the first try of recording and kept for the next ones.
    """

    claimed: Claimed
    token: UUID
    policy: RetryPolicy
    started_at: datetime
    request_headers: tuple[tuple[str, str], ...]
    outcome: Outcome
    probe: bool = False
    epoch: int = 0
    url: str = ""
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
    statuses: dict[UUID, Status]


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
            locked = uow.mailboxes.lock(
                list({each.claimed.endpoint_id for each in made})
            )
            boxes = {box.endpoint_id: box for box in locked}
            now = locked[0].seen_at if locked else uow.now()
            again = any(each.id is not None for each in made)
            self._name(made, now)
            rows = [self._row(each) for each in made]
            new = uow.claims.add_attempts(rows, again=again)
            fresh = [each for each in made if each.id in new]
            statuses, gone = self._move_on(uow, fresh, boxes, now)
            changed = _health(fresh, boxes, now)
            uow.mailboxes.save(changed)
            uow.rollups.add(Grain.MINUTE.floor(now), _tallies(fresh, boxes, statuses))
            uow.commit()
        return Recorded(
            lost=frozenset(
                each.claimed.endpoint_id for each in made if not _served(each, boxes)
            ),
            gone=tuple(gone),
            slow=frozenset(box.endpoint_id for box in changed if box.slow),
            well=frozenset(
                box.endpoint_id
                for box in changed
                if not box.slow and boxes[box.endpoint_id].slow
            ),
            barred=_barred(boxes, changed, now),
            statuses=statuses,
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
            made.url,
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
        boxes: dict[UUID, Health],
        now: datetime,
    ) -> tuple[dict[UUID, Status], list[tuple[str, UUID]]]:
        delivered: dict[tuple[int, bool], list[UUID]] = defaultdict(list)
        failures: list[Failure] = []
        gone: dict[UUID, tuple[str, UUID]] = {}
        for each in made:
            claimed, outcome = each.claimed, each.outcome
            decision = decide(outcome, claimed.step + 1, each.policy, self._spread())
            held = _held(each, boxes)
            if decision.status is _DELIVERED:
                delivered[outcome.status_code or 0, held].append(claimed.id)
            elif held:
                failures.append(_failure(each, decision))
                if decision.disable_endpoint:
                    owner = (claimed.tenant_id, claimed.endpoint_id)
                    gone[claimed.endpoint_id] = owner
        moved = uow.claims.failed(sorted(failures))
        statuses = {f.id: Status(f.status) for f in failures if f.id in moved}
        uow.notices.dead_lettered([k for k, v in statuses.items() if v is _DEAD])
        for (code, held), delivery_ids in sorted(delivered.items()):
            done = uow.claims.delivered(sorted(delivery_ids), code, now, held=held)
            moved |= done
            statuses |= dict.fromkeys(done, Status.DELIVERED)
        left = [each.claimed.id for each in made if each.claimed.id not in moved]
        uow.claims.count_only(sorted(left))
        return statuses, list(gone.values())


def _tallies(
    made: Sequence[Made], boxes: dict[UUID, Health], statuses: dict[UUID, Status]
) -> dict[tuple[str, UUID], Tally]:
    """Return what these attempts add to the roll-ups of endpoints that are locked."""
    marks: dict[tuple[str, UUID], list[Mark]] = defaultdict(list)
    for each in made:
        claimed = each.claimed
        if claimed.endpoint_id in boxes:
            dead = statuses.get(claimed.id) is Status.DEAD_LETTERED
            marks[claimed.tenant_id, claimed.endpoint_id].append(
                Mark(each.outcome.error is None, dead, each.outcome.timings.total_ms)
            )
    return {owner: count(some) for owner, some in marks.items()}


def _held(made: Made, boxes: dict[UUID, Health]) -> bool:
    box = boxes.get(made.claimed.endpoint_id)
    return box is not None and box.lease_token == made.token


def _served(made: Made, boxes: dict[UUID, Health]) -> bool:
    box = boxes.get(made.claimed.endpoint_id)
    return (
        _held(made, boxes)
        and box is not None
        and box.state == MailboxState.ACTIVE
        and box.epoch == made.epoch
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


def _health(
    made: Sequence[Made], boxes: dict[UUID, Health], now: datetime
) -> list[Health]:
    attempted: dict[UUID, list[Attempted]] = defaultdict(list)
    for each in made:
        if _held(each, boxes):
            attempted[each.claimed.endpoint_id].append(
                Attempted(each.outcome, each.probe)
            )
    changed = [
        _after(boxes[endpoint_id], some, now) for endpoint_id, some in attempted.items()
    ]
    return sorted(
        (box for box in changed if _worth_writing(box, boxes[box.endpoint_id], now)),
        key=lambda box: box.endpoint_id,
    )


def _after(box: Health, attempted: Sequence[Attempted], now: datetime) -> Health:
    before = Standing(
        box.consecutive_failures,
        box.breaker_openings,
        box.breaker_until,
        box.held_until,
    )
    after = health.stand(before, attempted, now)
    if after.openings > before.openings:
        log.warning(
            "breaker_opened",
            tenant_id=box.tenant_id,
            endpoint_id=ids.show(Kind.ENDPOINT, box.endpoint_id),
            openings=after.openings,
            failures=after.failures,
        )
    outcomes = [each.outcome for each in attempted]
    succeeded = any(outcome.error is None for outcome in outcomes)
    failed = any(outcome.error is not None for outcome in outcomes)
    since = None if succeeded else box.failing_since
    return box._replace(
        consecutive_failures=after.failures,
        failing_since=(since or now) if after.failures else None,
        last_success_at=now if succeeded else box.last_success_at,
        last_failure_at=now if failed else box.last_failure_at,
        slow=health.is_slow(after.failures, outcomes),
        breaker_openings=after.openings,
        breaker_until=after.until,
        held_until=after.held_until,
    )


def _barred(
    boxes: dict[UUID, Health], changed: Sequence[Health], now: datetime
) -> dict[UUID, float]:
    """Return for how many seconds which endpoints are to be left alone."""
    barred = {}
    for box in (boxes | {each.endpoint_id: each for each in changed}).values():
        until = Standing(
            until=box.breaker_until, held_until=box.held_until
        ).barred_until()
        if until is not None and until > now:
            barred[box.endpoint_id] = (until - now).total_seconds()
    return barred


def _worth_writing(after: Health, before: Health, now: datetime) -> bool:
    if after.consecutive_failures or before.consecutive_failures:
        return True
    if after.held_until != before.held_until:
        return True
    if after.slow != before.slow or after.last_failure_at != before.last_failure_at:
        return True
    last = before.last_success_at
    return last is None or (now - last).total_seconds() > _SUCCESS_GRAIN_S
