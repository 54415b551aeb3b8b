"""Statements about the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ascwebhooks.domain import audit, ids
from ascwebhooks.domain.audit import GENESIS, Actor, Wanted
from ascwebhooks.domain.ids import Kind
from ascwebhooks.storage.accounts import AuditEntry, AuditHead

_HEAD = 1
_READ_AT_ONCE = 1_000
_CLOCK = text("SELECT clock_timestamp()")


class AuditFilters(TypedDict, total=False):
    """What narrows a list of entries."""

    tenant_ids: Sequence[str] | None
    actor: str | None
    action: str | None
    resource: str | None
    since: datetime | None
    until: datetime | None


class End(NamedTuple):
    """Where the chain ends."""

    seq: int
    hash: bytes


class AuditRepository:
    """The audit log.

    Entries are collected and written by the commit, so the chain's end, which each
    writer locks, is the last lock a transaction takes and is held for a moment only.
    """

    def __init__(self, session: Session, actor: Callable[[], Actor]) -> None:
        self._session = session
        self._actor = actor
        self._wanted: list[tuple[Actor, Wanted]] = []

    def record(
        self,
        action: str,
        resource: Kind | str,
        resource_id: UUID | str,
        *,
        tenant_id: str | None = None,
        actor: Actor | None = None,
        **detail: Any,
    ) -> None:
        """Have the commit write down that the one who acts did this.

        Args:
            action: ``noun.verb``, such as ``endpoint.paused``.
            resource: Its kind of id, or a word where ids are names (``tenant``).
            resource_id: Which.
            tenant_id: Whose it is; None for the platform's.
            actor: Somebody else than who acts by this thread's context.
            detail: What changed; no secrets, no payloads.
        """
        kind = resource.name.lower() if isinstance(resource, Kind) else resource
        shown = (
            ids.show(resource, resource_id)
            if isinstance(resource, Kind) and isinstance(resource_id, UUID)
            else str(resource_id)
        )
        wanted = Wanted(action, kind, audit.text(shown), tenant_id, audit.clean(detail))
        self._wanted.append((actor or self._actor(), wanted))

    def write(self) -> None:
        """Write what was recorded at the chain's end; the commit calls this."""
        if not self._wanted:
            return
        wanted, self._wanted = self._wanted, []
        end = self._lock_end()
        at = self._session.execute(_CLOCK).scalar_one()
        for actor, each in wanted:
            end = self._append(end, at, actor, each)
        self._session.execute(
            update(AuditHead)
            .where(AuditHead.id == _HEAD)
            .values(seq=end.seq, hash=end.hash)
        )

    def _lock_end(self) -> End:
        query = select(AuditHead.seq, AuditHead.hash).where(AuditHead.id == _HEAD)
        found = self._session.execute(query.with_for_update()).one_or_none()
        if found is None:
            first = insert(AuditHead).values(id=_HEAD, seq=0, hash=GENESIS)
            self._session.execute(first.on_conflict_do_nothing())
            found = self._session.execute(query.with_for_update()).one()
        return End(found.seq, bytes(found.hash))

    def _append(self, end: End, at: datetime, actor: Actor, wanted: Wanted) -> End:
        entry = AuditEntry(
            seq=end.seq + 1,
            at=at,
            actor_kind=str(actor.kind),
            actor_id=audit.text(actor.id),
            actor_name=audit.text(actor.name),
            action=wanted.action,
            resource_kind=wanted.resource_kind,
            resource_id=wanted.resource_id,
            tenant_id=wanted.tenant_id,
            address=audit.text(actor.address),
            request_id=audit.text(actor.request_id),
            detail=wanted.detail,
            previous=end.hash,
        )
        entry.hash = audit.chained(end.hash, entry)
        self._session.add(entry)
        return End(entry.seq, entry.hash)

    def end(self) -> End | None:
        """Return where the chain ends; None if nothing was ever written."""
        found = self._session.execute(
            select(AuditHead.seq, AuditHead.hash).where(AuditHead.id == _HEAD)
        ).one_or_none()
        return None if found is None else End(found.seq, bytes(found.hash))

    def count(self) -> int:
        """Return how many entries there are."""
        return self._session.execute(
            select(func.count()).select_from(AuditEntry)
        ).scalar_one()

    def after(self, seq: int, until: int) -> Iterator[Sequence[AuditEntry]]:
        """Return the entries after ``seq``, ``until`` included, in order, in parts."""
        while True:
            part = self._session.scalars(
                select(AuditEntry)
                .where(AuditEntry.seq > seq, AuditEntry.seq <= until)
                .order_by(AuditEntry.seq)
                .limit(_READ_AT_ONCE)
            ).all()
            if not part:
                return
            yield part
            seq = part[-1].seq
            self._session.expunge_all()

    def page(
        self, wanted: AuditFilters, *, before: int | None, limit: int
    ) -> Sequence[AuditEntry]:
        """Return entries, the newest first, those before ``before``."""
        query = _filtered(wanted).order_by(AuditEntry.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditEntry.seq < before)
        return self._session.scalars(query).all()

    def actions(self) -> Sequence[str]:
        """Return the names of all actions that were ever recorded."""
        # A loose scan: one step of the index for each name, however many entries.
        return self._session.scalars(_ACTIONS).all()


_ACTIONS = text(
    "WITH RECURSIVE name AS ("
    " (SELECT action FROM audit_entry ORDER BY action LIMIT 1) UNION ALL"
    " SELECT (SELECT a.action FROM audit_entry a WHERE a.action > name.action"
    " ORDER BY a.action LIMIT 1) FROM name WHERE name.action IS NOT NULL)"
    " SELECT action FROM name WHERE action IS NOT NULL"
)


def _filtered(wanted: AuditFilters) -> Select[AuditEntry]:
    query = select(AuditEntry)
    tenant_ids = wanted.get("tenant_ids")
    if tenant_ids is not None:
        query = query.where(AuditEntry.tenant_id.in_(tenant_ids))
    if actor := wanted.get("actor"):
        query = query.where(
            (AuditEntry.actor_id == actor) | (AuditEntry.actor_name == actor)
        )
    if action := wanted.get("action"):
        query = query.where(AuditEntry.action == action)
    if resource := wanted.get("resource"):
        query = query.where(AuditEntry.resource_id == resource)
    if since := wanted.get("since"):
        query = query.where(AuditEntry.at >= since)
    if until := wanted.get("until"):
        query = query.where(AuditEntry.at < until)
    return query
