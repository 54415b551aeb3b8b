"""Overviews: how everything is going, at a glance, of all tenants or of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog

from ascwebhooks.domain import ids, verdicts
from ascwebhooks.domain.deliveries import EndpointState
from ascwebhooks.domain.gauge_samples import History
from ascwebhooks.domain.statistics import Series, Span
from ascwebhooks.domain.verdicts import Concern, Signs
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.gauge_samples import GaugeSamples
from ascwebhooks.services.gauges import Gauges
from ascwebhooks.services.statistics import Statistics, settled_hour
from ascwebhooks.storage.standings import Troubled, TroubledCounts
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: Beyond it nobody reads the digits.
BOUND = 10_000
_TIMEOUT_MS = 1_000
_SHOWN = 8
_SPOKEN = {
    Span.HOUR: "hour",
    Span.DAY: "24 hours",
    Span.WEEK: "7 days",
    Span.MONTH: "30 days",
}


class Count(NamedTuple):
    """A number of things; at least so many, unless it is exact."""

    value: int
    is_exact: bool


@dataclass(frozen=True)
class Overview:
    """How it is going; what could not be read in time is None.

    Args:
        span: How far back ``series`` goes.
        series: What attempts came to.
        history: How it stood over the same time.
        due: Deliveries whose time has come.
        oldest_due_s: For how long the first of them has been due; None if none is.
        dead: Dead letters there are.
        stream_lag: Events that nobody has read yet; of the platform alone.
        troubled: Endpoints that are not well, the worst first.
        counts: How many of them there are.
        endpoints: How many endpoints there are.
        concerns: What to look at first; nothing if all is well.
        most_dead: Of which tenants most deliveries became dead letters, and how many
            in the last hour or day; of the platform alone.
    """

    span: Span
    series: Series
    history: History
    due: Count | None
    oldest_due_s: float | None
    dead: Count | None
    stream_lag: int | None
    troubled: Sequence[Troubled]
    counts: TroubledCounts
    endpoints: Count
    concerns: Sequence[Concern]
    most_dead: Sequence[tuple[str, int]] = ()


class _Now(NamedTuple):
    due: Count | None = None
    oldest_due_s: float | None = None
    dead: Count | None = None
    stream_lag: int | None = None
    broker_answers: bool = True
    lag_is_known: bool = True


class Overviews:
    """Reads overviews: a few bounded statements each."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        statistics: Statistics,
        gauges: Gauges,
        gauge_samples: GaugeSamples,
        *,
        retention: timedelta,
        bound: int = BOUND,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            statistics: Sums up attempts.
            gauges: Keeps what it has read for some seconds.
            gauge_samples: Has written down how it stood.
            retention: How long deliveries are kept.
            bound: Where counts end.
        """
        self._uow = uow
        self._statistics = statistics
        self._gauges = gauges
        self._gauge_samples = gauge_samples
        self._retention = retention
        self._bound = bound

    def platform(self, span: Span) -> Overview:
        """Return how it is going with all tenants together."""
        return self._overview(
            None, span, self._statistics.platform(span), self._measured()
        )

    def tenant(self, tenant_id: str, span: Span) -> Overview:
        """Return how it is going with a tenant.

        Raises:
            NotFound: If there is no such tenant.
        """
        series = self._statistics.tenant(tenant_id, span)
        return self._overview(tenant_id, span, series, self._counted(tenant_id))

    def waited_for(self, endpoint_ids: Collection[UUID]) -> frozenset[UUID]:
        """Return those of these endpoints for which a delivery is pending.

        Where that takes too long to find out, it is said of all of them.
        """
        if not endpoint_ids:
            return frozenset()
        try:
            with self._uow() as uow:
                window = ids.window(uow.now(), self._retention)
                uow.standings.limit(_TIMEOUT_MS)
                return uow.standings.waited_for(endpoint_ids, window)
        except Unavailable:
            return frozenset(endpoint_ids)

    def _overview(
        self, tenant_id: str | None, span: Span, series: Series, now: _Now
    ) -> Overview:
        with self._uow() as uow:
            troubled = uow.standings.troubled(tenant_id, _SHOWN)
            counts = uow.standings.count_troubled(tenant_id)
            most_dead = _most_dead(uow, span) if tenant_id is None else ()
            endpoints = self._count(uow.standings.endpoints(tenant_id, self._bound + 1))
        waited_for = self.waited_for([each.endpoint_id for each in troubled])
        is_whole = len(troubled) < _SHOWN
        signs = Signs(
            due=None if now.due is None else now.due.value,
            oldest_due_s=now.oldest_due_s,
            new_dead=series.total.dead,
            barred=counts.barred,
            failing=counts.failing,
            disabled=counts.disabled,
            span=_SPOKEN[span],
            stream_lag=now.stream_lag,
            broker_answers=now.broker_answers,
            barred_wait=not is_whole or _any_waits(troubled, waited_for, barred=True),
            failing_wait=not is_whole or _any_waits(troubled, waited_for, barred=False),
            dead=now.dead.value if now.dead and now.dead.is_exact else None,
            lag_is_known=now.lag_is_known,
        )
        return Overview(
            span=span,
            series=series,
            history=self._gauge_samples.history(tenant_id, span),
            due=now.due,
            oldest_due_s=now.oldest_due_s,
            dead=now.dead,
            stream_lag=now.stream_lag,
            troubled=troubled,
            counts=counts,
            endpoints=endpoints,
            concerns=verdicts.concerns(signs),
            most_dead=most_dead,
        )

    def _measured(self) -> _Now:
        """Return the platform's numbers, as the gauges have read them last."""
        read = self._gauges.read()

        def count(name: str) -> Count | None:
            return Count(int(read[name]), is_exact=True) if name in read else None

        lag = read.get("stream_lag")
        answers = bool(read.get("broker_up"))
        return _Now(
            due=count("due_deliveries"),
            oldest_due_s=read.get("oldest_due_seconds") or None,
            dead=count("dead_letters"),
            stream_lag=None if lag is None else int(lag),
            broker_answers=answers,
            lag_is_known=lag is not None or not answers,
        )

    def _counted(self, tenant_id: str) -> _Now:
        try:
            with self._uow() as uow:
                window = ids.window(uow.now(), self._retention)
                uow.standings.limit(_TIMEOUT_MS)
                found = uow.standings.of(tenant_id, window, self._bound + 1)
        except Unavailable as error:
            log.warning("standing_not_read", tenant_id=tenant_id, error=str(error))
            return _Now()
        return _Now(self._count(found.due), found.oldest_due_s, self._count(found.dead))

    def _count(self, found: int) -> Count:
        return Count(min(found, self._bound), found <= self._bound)


def _any_waits(
    troubled: Sequence[Troubled], waited_for: Collection[UUID], *, barred: bool
) -> bool:
    return any(
        each.is_barred is barred and each.endpoint_id in waited_for
        for each in troubled
        if each.state != EndpointState.DISABLED
    )


def _most_dead(uow: UnitOfWork, span: Span) -> Sequence[tuple[str, int]]:
    # Longer ago is none of tonight's business, and costs a row a tenant and hour.
    now = uow.now()
    since = now - timedelta(hours=1 if span is Span.HOUR else 24)
    settled = since if span is Span.HOUR else settled_hour(now)
    return uow.rollups.most_dead(since, settled, _SHOWN)
