"""Resubmitting: one rejected event once more, as it came or mended."""

from __future__ import annotations

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound
from ascwebhooks.services.batches import Batch
from ascwebhooks.services.intakes import Refused


class Resubmission(Batch):
    """A batch of one: if it is accepted, the rejected event goes with its commit.

    If it is refused again, there is no second row.  The row says why what it holds
    is refused: an edited event that is refused changes nothing of it.
    """

    def _reject(self) -> None:
        resubmitted = self._intake.resubmits
        assert resubmitted is not None
        # The last lock that is taken: of two at once the second finds it gone.
        row = self._uow.rejected_events.lock(resubmitted.rejected_id)
        if row is None:
            shown = ids.show(Kind.REJECTED_EVENT, resubmitted.rejected_id)
            raise NotFound(f"there is no rejected event {shown} any more.")
        self._uow.audit.record(
            "rejected_event.resubmitted",
            Kind.REJECTED_EVENT,
            row.id,
            tenant_id=row.tenant_id,
            edited=not resubmitted.as_it_came,
            accepted=not self.refusals,
        )
        for refusal in self.refusals:
            self.verdicts[refusal.position] = Refused(refusal.code, refusal.detail)
            if resubmitted.as_it_came:
                row.code, row.detail = refusal.code, refusal.detail
        if not self.refusals:
            self._uow.rejected_events.remove(row)
