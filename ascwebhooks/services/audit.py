"""The audit log: reading it, and finding out whether it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Unpack

from ascwebhooks.domain.audit import Broken, Chain
from ascwebhooks.storage.accounts import AuditEntry
from ascwebhooks.storage.audit import AuditFilters
from ascwebhooks.storage.unit_of_work import UnitOfWork

_EXPORT_PART = 1_000


@dataclass(frozen=True)
class Verified:
    """How many entries follow on each other, the last hash, and where it breaks."""

    entries: int
    hash: bytes
    broken: Broken | None


class Audit:
    """Use cases of the audit log; writing is the unit of work's (``uow.audit``)."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        """Take what opens a transaction."""
        self._uow = uow

    def page(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        **wanted: Unpack[AuditFilters],
    ) -> Sequence[AuditEntry]:
        """Return entries, the newest first, those before ``before``."""
        with self._uow() as uow:
            return uow.audit.page(wanted, before=before, limit=limit)

    def export(self, **wanted: Unpack[AuditFilters]) -> Iterator[AuditEntry]:
        """Return all entries there are now, the newest first."""
        before: int | None = None
        while True:
            part = self.page(before=before, limit=_EXPORT_PART, **wanted)
            yield from part
            if len(part) < _EXPORT_PART:
                return
            before = part[-1].seq

    def actions(self) -> Sequence[str]:
        """Return the names of all actions that were ever recorded."""
        with self._uow() as uow:
            return uow.audit.actions()

    def verify(self, progress: Callable[[int], object] = lambda _: None) -> Verified:
        """Follow the chain from its beginning to where it ended when this began.

        Args:
            progress: Is told how many entries were followed.
        """
        chain = Chain()
        with self._uow() as uow:
            end = uow.audit.end()
            if end is None:
                lost = Broken(1, "there are entries, but the chain's end is missing")
                return Verified(0, chain.hash, lost if uow.audit.count() else None)
            for part in uow.audit.after(0, end.seq):
                broken = chain.follow(part)
                progress(chain.seq)
                if broken is not None:
                    return Verified(chain.seq, chain.hash, broken)
        broken = None
        if chain.seq < end.seq:
            why = f"it is missing; the chain ended at {end.seq}"
            broken = Broken(chain.seq + 1, why)
        elif chain.hash != end.hash:
            broken = Broken(
                chain.seq, "its hash is not the one that the chain ended at"
            )
        return Verified(chain.seq, chain.hash, broken)
