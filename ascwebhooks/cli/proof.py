"""What ``up`` proves at its start: events go in, verified deliveries come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from rich.table import Table

from ascwebhooks.cli import output, samples
from ascwebhooks.cli.demo import Demo, Target
from ascwebhooks.cli.samples import Sample
from ascwebhooks.cli.tallies import Tally
from ascwebhooks.client import Publisher
from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import EndpointState, Status
from ascwebhooks.errors import NotFound, Unavailable
from ascwebhooks.services.container import Services
from ascwebhooks.settings import Settings

TIMEOUT_S = 60.0
_POLL_S = 0.05
_PAGE = 1000
# Our clock and PostgreSQL's may differ a little.
_SLACK = timedelta(seconds=5)


class Failed(Unavailable):
    """The proof did not come out; the message says at which part."""


@dataclass(frozen=True)
class Result:
    """What was proved."""

    title: str
    sent: int
    accepted: int
    delivered: int
    verified: int
    duplicates: int
    p50_ms: float
    p99_ms: float
    elapsed_s: float

    def table(self) -> Table:
        """Return it for people."""
        made = Table(title=self.title, title_justify="left", title_style="bold")
        for name in ("accepted", "delivered", "verified", "duplicates"):
            made.add_column(name, justify="right")
        for name in ("p50", "p99", "elapsed"):
            made.add_column(name, justify="right")
        counts = (self.accepted, self.delivered, self.verified, self.duplicates)
        made.add_row(
            *(str(each) for each in counts),
            f"{self.p50_ms:.0f} ms",
            f"{self.p99_ms:.0f} ms",
            f"{self.elapsed_s:.1f} s",
        )
        return made


class Proof:
    """Sends through the whole pipeline, and watches both ends of it.

    Args:
        services: Looks at what was accepted and recorded.
        settings: Where the stream is.
        tally: What the receiver tells.
        say: Prints a line.
    """

    def __init__(
        self,
        services: Services,
        settings: Settings,
        tally: Tally,
        say: Callable[[str], None],
    ) -> None:
        self._services = services
        self._settings = settings
        self._tally = tally
        self._say = say
        self._began = datetime.now(UTC) - _SLACK

    def recorded_events(self) -> Result:
        """Send the recorded events through the stream; wait for every delivery.

        Raises:
            Failed: If one is missing after TIMEOUT_S.
        """
        chosen = self._fresh(samples.load())
        tenants = samples.tenants(chosen)
        started_s = time.monotonic()
        self._publish(chosen)
        title = f"{len(chosen)} recorded events of {len(tenants)} tenants"
        return self._watch(title, chosen, started_s)

    def endpoint_test(self, target: Target) -> Result:
        """Send an ``endpoint.test`` to one demo endpoint; wait for the delivery.

        Raises:
            Failed: If it did not come within TIMEOUT_S.
        """
        sample = Sample(f"up-{uuid4()}", target.tenant_id, b"")
        started_s = time.monotonic()
        self._tally.sending(sample.source_id)
        self._services.events.send_test(target.tenant_id, target.id, sample.source_id)
        title = f"endpoint.test to {target.endpoint_id} of {target.tenant_id}"
        return self._watch(title, [sample], started_s)

    def _watch(self, title: str, sent: Sequence[Sample], started_s: float) -> Result:
        """Wait until every event is delivered, verified and recorded."""
        tenants, tally = samples.tenants(sent), self._tally
        with output.progress("delivered and verified", len(sent), self._say) as told:
            self._wait(lambda: tally.verified, len(sent), told)
        accepted = self._accepted(sent)
        delivered = self._wait(lambda: self._delivered(tenants, accepted), len(sent))
        result = Result(
            title=title,
            sent=len(sent),
            accepted=len(accepted),
            delivered=delivered,
            verified=tally.verified,
            duplicates=tally.duplicates,
            p50_ms=tally.latency_ms(0.5),
            p99_ms=tally.latency_ms(0.99),
            elapsed_s=time.monotonic() - started_s,
        )
        self._check(result, tenants)
        return result

    def _fresh(self, chosen: list[Sample]) -> list[Sample]:
        """Return the samples, under new ids if some were accepted before."""
        if not any(self._is_known(each) for each in chosen):
            return chosen
        suffix = f"#{uuid4().hex[:8]}"
        return [each.renamed(suffix) for each in chosen]

    def _is_known(self, sample: Sample) -> bool:
        return bool(
            self._services.events.page(
                sample.tenant_id, limit=1, source_id=sample.source_id
            )
        )

    def _publish(self, chosen: Sequence[Sample]) -> None:
        url = self._settings.require_redis_url()
        with Publisher(
            url, stream=self._settings.stream, raise_errors=True
        ) as publisher:
            for each in chosen:
                self._tally.sending(each.source_id)
                publisher.publish(each.raw)
            if not publisher.flush(TIMEOUT_S):
                raise Failed(
                    f"publishing: {publisher.stats.buffered} events are not on "
                    f"the stream: {publisher.stats.last_error}."
                )

    def _wait(
        self,
        count: Callable[[], int],
        wanted: int,
        told: Callable[[int], None] = lambda _: None,
    ) -> int:
        deadline_s = time.monotonic() + TIMEOUT_S
        pause = threading.Event()
        while (found := count()) < wanted and time.monotonic() < deadline_s:
            told(found)
            pause.wait(_POLL_S)
        told(found)
        return found

    def _accepted(self, chosen: Sequence[Sample]) -> set[UUID]:
        """Return the ids of those events that were accepted."""
        wanted = {each.source_id for each in chosen}
        return {
            row.id
            for tenant_id in samples.tenants(chosen)
            for row in _all(partial(self._events, tenant_id))
            if row.source_id in wanted
        }

    def _delivered(self, tenants: Sequence[str], events: Set[UUID]) -> int:
        """Return how many deliveries of these events are recorded as delivered."""
        return sum(
            row.event_id in events
            for tenant_id in tenants
            for row in _all(partial(self._deliveries, tenant_id))
        )

    def _events(self, tenant_id: str, after: UUID | None) -> Sequence[Any]:
        return self._services.events.page(
            tenant_id, after=after, limit=_PAGE, since=self._began
        )

    def _deliveries(self, tenant_id: str, after: UUID | None) -> Sequence[Any]:
        return self._services.deliveries.page(
            tenant_id,
            after=after,
            limit=_PAGE,
            status=Status.DELIVERED,
            since=self._began,
        )

    def _check(self, found: Result, tenants: Sequence[str]) -> None:
        if found.accepted < found.sent:
            raise Failed(
                f"accepting: {found.accepted} of {found.sent} events were accepted"
                f"{self._rejected(tenants)}. See ingest.log."
            )
        if found.verified < found.sent:
            raise Failed(
                f"delivering: {found.verified} of {found.sent} deliveries came and "
                f"were verified, {self._tally.refused} had a wrong signature. See "
                f"deliver-1.log and slow.log. (If the endpoint's secret was rotated, "
                f"delete the endpoint, or start with --no-proof.)"
            )
        if found.delivered < found.sent:
            raise Failed(
                f"recording: {found.delivered} of {found.sent} deliveries are recorded "
                f"as delivered. See deliver-1.log and postgres.log."
            )

    def _rejected(self, tenants: Sequence[str]) -> str:
        for tenant_id in tenants:
            for row in self._services.rejected_events.page(tenant_id, limit=1):
                if ids.moment(row.id) >= self._began:
                    return f"; one was rejected as {row.code}: {row.detail}"
        return ""


def _all(page: Callable[[UUID | None], Sequence[Any]]) -> Iterator[Any]:
    """Yield the rows of one page after another."""
    after = None
    while found := page(after):
        yield from found
        after = found[-1].id


def usable(services: Services, demo: Demo) -> Target | None:
    """Return a demo endpoint that can take a test, if there still is one."""
    for target in demo.targets:
        try:
            found = services.endpoints.get(target.tenant_id, target.id)
        except NotFound:
            continue
        if found.endpoint.state == EndpointState.ACTIVE:
            return target
    return None
