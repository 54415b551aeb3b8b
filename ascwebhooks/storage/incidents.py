"""Statements about incidents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ascwebhooks.domain.evaluations import Decision, Live
from ascwebhooks.domain.incidents import Ended, Phase, Standing
from ascwebhooks.storage.arrays import columns
from ascwebhooks.storage.results import affected
from ascwebhooks.storage.trigger_tables import Incident

# A lock of its own kind: others have other first keys (``storage.events``).
_LOCK = text("SELECT pg_try_advisory_xact_lock(:kind, hashtext(:tenant))")
_EVALUATION_LOCK = 0x0E7A1
#: Where the subject of an incident may have a model.
_MODELS = ("model", "from_model", "to_model")
_LIVE = Incident.phase != Phase.RESOLVED.value
_NAMED = text(
    "(rule_id, subject_key) IN (SELECT * FROM unnest(CAST(:c0 AS uuid[]),"
    " CAST(:c1 AS text[])))"
)
# Incidents that opened, and lines of budgets that were crossed.
_ALERTS = text(
    "WITH alert AS (SELECT opened_at AS at FROM incident WHERE tenant_id = :tenant"
    " AND opened_at >= :since AND opened_at < :until"
    " UNION ALL SELECT fired_at FROM budget_alert WHERE tenant_id = :tenant"
    " AND fired_at >= :since AND fired_at < :until)"
    " SELECT to_timestamp(floor(extract(epoch FROM at) / :step) * :step), count(*)"
    " FROM alert GROUP BY 1"
)


class IncidentRepository:
    """Incidents of tenants."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def may_evaluate(self, tenant_id: str) -> bool:
        """Return whether nobody else evaluates this tenant until the commit."""
        given = {"kind": _EVALUATION_LOCK, "tenant": tenant_id}
        mine: bool = self._session.execute(_LOCK, given).scalar_one()
        return mine

    def tenants(self) -> list[str]:
        """Return the tenants with an incident that is not resolved."""
        query = select(Incident.tenant_id).where(_LIVE).distinct()
        return list(self._session.scalars(query))

    def live(
        self, tenant_ids: Sequence[str], *, lock: bool = False
    ) -> dict[str, list[Live]]:
        """Return these tenants' incidents that are not resolved.

        Args:
            tenant_ids: Whose.
            lock: Whether nobody else may change them until the commit.
        """
        query = select(Incident).where(Incident.tenant_id.in_(tenant_ids), _LIVE)
        if lock:
            query = _locked(query)
        found: dict[str, list[Live]] = defaultdict(list)
        for row in self._session.scalars(query):
            found[row.tenant_id].append(_live(row))
        return found

    def named(
        self, tenant_id: str, names: Iterable[tuple[UUID, str]], *, lock: bool = False
    ) -> list[Live]:
        """Return a tenant's live incidents of these rules and subjects."""
        wanted = columns(sorted(names))
        query = (
            select(Incident)
            .where(Incident.tenant_id == tenant_id, _LIVE, _NAMED)
            .execution_options(populate_existing=True)
        )
        rows = self._session.scalars(_locked(query) if lock else query, wanted)
        return [_live(row) for row in rows]

    def counts(self, tenant_id: str, rule_ids: Iterable[UUID]) -> dict[UUID, int]:
        """Return how many live incidents these rules of a tenant have."""
        query = (
            select(Incident.rule_id, func.count())
            .where(Incident.tenant_id == tenant_id, _LIVE)
            .where(Incident.rule_id.in_(list(rule_ids)))
            .group_by(Incident.rule_id)
        )
        return {row[0]: row[1] for row in self._session.execute(query)}

    def write(self, tenant_id: str, incident_id: UUID, decision: Decision) -> bool:
        """Write a decision; return False if somebody else was first to open it.

        Args:
            tenant_id: Whose.
            incident_id: The incident's, a new one if it is new.
            decision: What becomes of it.
        """
        standing = decision.step.standing
        if decision.live is not None:
            where = (Incident.tenant_id == tenant_id, Incident.id == incident_id)
            change = (
                delete(Incident).where(*where)
                if standing is None
                else update(Incident)
                .where(*where)
                .values(facts=decision.facts, **_columns(standing))
            )
            self._session.execute(
                change, execution_options={"synchronize_session": False}
            )
            return True
        rule = decision.rule
        assert rule is not None and standing is not None
        made = insert(Incident).values(
            tenant_id=tenant_id,
            id=incident_id,
            rule_id=rule.id,
            rule_name=rule.name,
            kind=rule.kind.value,
            severity=rule.severity.value,
            revision=rule.revision,
            subject=decision.subject,
            subject_key=decision.key,
            facts=decision.facts,
            **_columns(standing),
        )
        done = self._session.execute(made.on_conflict_do_nothing())
        return affected(done) == 1

    def find(self, tenant_id: str, incident_id: UUID) -> Incident | None:
        """Return the incident, or None; nobody was told of one that is pending."""
        query = select(Incident).where(
            Incident.tenant_id == tenant_id,
            Incident.id == incident_id,
            Incident.phase != Phase.PENDING.value,
        )
        return self._session.scalars(query).one_or_none()

    def page(
        self,
        tenant_id: str,
        *,
        after: UUID | None,
        limit: int,
        state: str | None = None,
        kind: str | None = None,
        rule_id: UUID | None = None,
        severity: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Incident]:
        """Return a tenant's incidents, the newest first.

        Args:
            tenant_id: Whose.
            after: The last id of the page before, or None for the first.
            limit: How many.
            state: Only those that are ``open`` or ``resolved``.
            kind: Only those of rules of this kind.
            rule_id: Only this rule's.
            severity: Only these.
            provider: Only those about exactly this provider.
            model: Only those about exactly this model.
            since: Opened at or after this time.
            until: Opened before this time.
        """
        query = select(Incident).where(
            Incident.tenant_id == tenant_id, Incident.phase != Phase.PENDING.value
        )
        wanted: dict[str, object] = {
            "phase": state and str(state),
            "kind": kind and str(kind),
            "severity": severity and str(severity),
            "rule_id": rule_id,
        }
        for name, value in wanted.items():
            if value is not None:
                query = query.where(getattr(Incident, name) == value)
        for names, about in ((("provider",), provider), (_MODELS, model)):
            if about is not None:
                found = [Incident.subject[name].astext == about for name in names]
                query = query.where(or_(*found))
        if since is not None:
            query = query.where(Incident.opened_at >= since)
        if until is not None:
            query = query.where(Incident.opened_at < until)
        if after is not None:
            query = query.where(Incident.id < after)
        return self._session.scalars(
            query.order_by(Incident.id.desc()).limit(limit)
        ).all()

    def alerts(
        self, tenant_id: str, since: datetime, until: datetime, step_s: int
    ) -> dict[datetime, int]:
        """Return how many alerts there were, by when their step of ``step_s`` began.

        An alert is an incident that opened, or a budget's line that was crossed.
        """
        given = {"tenant": tenant_id, "since": since, "until": until, "step": step_s}
        return {row[0]: row[1] for row in self._session.execute(_ALERTS, given)}

    def drop_live(self, tenant_id: str) -> None:
        """Delete what is not resolved of a tenant that is gone: nobody can be told."""
        gone = delete(Incident).where(Incident.tenant_id == tenant_id, _LIVE)
        self._session.execute(gone)

    def forget(self, now: datetime, older_than: timedelta) -> int:
        """Delete what resolved longer ago than this; return how many."""
        gone = delete(Incident).where(Incident.resolved_at < now - older_than)
        return affected(self._session.execute(gone))


def _locked(query: Any) -> Any:
    order = (Incident.tenant_id, Incident.rule_id, Incident.subject_key)
    return (
        query.order_by(*order)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _columns(standing: Standing) -> dict[str, Any]:
    return {
        **asdict(standing),
        "phase": standing.phase.value,
        "ended": standing.ended and standing.ended.value,
    }


def _live(row: Incident) -> Live:
    standing = Standing(
        Phase(row.phase),
        row.since,
        row.seen_at,
        row.opened_at,
        row.told_at,
        row.repeats,
        row.resolved_at,
        None if row.ended is None else Ended(row.ended),
    )
    return Live(
        row.id,
        row.rule_id,
        row.rule_name,
        row.kind,
        row.severity,
        row.revision,
        row.subject,
        row.subject_key,
        row.facts,
        standing,
    )
