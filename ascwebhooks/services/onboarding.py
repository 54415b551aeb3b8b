"""Onboarding: many endpoints of a tenant at once, with a verdict for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog

from ascwebhooks.domain import drafts, ids
from ascwebhooks.domain.drafts import Draft, Errors
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.described import WithSecret, describe
from ascwebhooks.services.making import Making, check_region, host_of
from ascwebhooks.services.sealing import Sealing
from ascwebhooks.services.targets import HIDDEN
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.models import Tenant
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

#: In one call, and so in one transaction.
MAX_ROWS = 1_000
#: Names that do not resolve by then are taken, as one is that does not resolve yet:
#: what is connected to is checked at every attempt.
RESOLVING_S = 10.0
_RESOLVERS = 16


@dataclass(frozen=True)
class Verdict:
    """What became of one row; with errors nothing, else it was or would be made."""

    index: int
    url: str | None
    errors: Errors = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    made: WithSecret | None = None


@dataclass(frozen=True)
class _Row:
    verdict: Verdict
    draft: Draft | None

    def refused(self, error: InvalidInput) -> _Row:
        name = str(error.context.get("field", drafts.ROW))
        return _Row(replace(self.verdict, errors={name: [str(error)]}), None)


class Onboarding:
    """Creates many endpoints."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        sealing: Sealing,
        making: Making,
        check_target: Callable[[str], bool],
    ) -> None:
        """Take the parts; ``check_target`` raises if a host may not be reached."""
        self._uow = uow
        self._sealing = sealing
        self._making = making
        self._check_target = check_target

    def create(
        self,
        tenant_id: str,
        rows: Sequence[object],
        *,
        dry_run: bool = False,
        allow_duplicates: bool = False,
    ) -> list[Verdict]:
        """Create an endpoint for each row that is in order, in one transaction.

        Rows that are not keep no other from being made.  A URL that the tenant has an
        endpoint at, or that stood in a row before, is an error, so that the same rows
        may be given again once the faulty ones are mended.

        Args:
            tenant_id: Whose.
            rows: As ``domain.drafts.Draft`` has them.
            dry_run: Whether nothing is made, and just the verdicts returned.
            allow_duplicates: Whether such a URL is a warning instead.

        Raises:
            NotFound: If there is no such tenant.
        """
        read = [self._read(index, row) for index, row in enumerate(rows)]
        blocked = self._blocked(each.draft for each in read)
        read = [_unless_blocked(each, blocked) for each in read]
        with self._uow() as uow:
            if not dry_run:
                uow.tenants.change_subscriptions(tenant_id)
            tenant = find_tenant(uow, tenant_id)
            read = [_unless_elsewhere(each, tenant) for each in read]
            read = _told_apart(uow, tenant_id, read, allow_duplicates)
            if dry_run or not any(each.draft for each in read):
                # Without a commit an Idempotency-Key is free for the mended rows.
                return [each.verdict for each in read]
            verdicts = self._make(uow, tenant, read)
            uow.commit()
        made = sum(each.made is not None for each in verdicts)
        log.info("endpoints_created", tenant_id=tenant_id, made=made, of=len(verdicts))
        return verdicts

    def _read(self, index: int, given: object) -> _Row:
        draft, errors = drafts.read(given)
        row = _Row(Verdict(index, _url(given), errors), draft)
        if draft is None:
            return row
        if HIDDEN in draft.headers.values():
            said = f"{HIDDEN} is what is shown for a value; give the value."
            return row.refused(InvalidInput(said, field="headers"))
        try:
            checked = self._making.check(draft)
        except InvalidInput as error:
            return row.refused(error)
        return _Row(replace(row.verdict, url=checked.url), checked)

    def _blocked(self, wanted: Iterable[Draft | None]) -> Mapping[str, InvalidInput]:
        """Return which hosts may not be reached, and why."""
        hosts = {host_of(each.url) for each in wanted if each is not None}
        pool = futures.ThreadPoolExecutor(_RESOLVERS)
        asked = {pool.submit(self._check_target, host): host for host in hosts}
        done, _ = futures.wait(asked, timeout=RESOLVING_S)
        pool.shutdown(wait=False, cancel_futures=True)
        blocked = {}
        for each in done:
            error = each.exception()
            if isinstance(error, InvalidInput):
                blocked[asked[each]] = error
            elif error is not None:
                raise error
        return blocked

    def _make(
        self, uow: UnitOfWork, tenant: Tenant, rows: Sequence[_Row]
    ) -> list[Verdict]:
        good = [each for each in rows if each.draft is not None]
        added = self._making.add(
            uow, tenant, [each.draft for each in good if each.draft is not None]
        )
        described = describe(uow, self._sealing, tenant.id, [each for each, _ in added])
        made = {
            row.verdict.index: WithSecret(shown, secret)
            for row, shown, (_, secret) in zip(good, described, added, strict=True)
        }
        return [
            replace(each.verdict, made=made.get(each.verdict.index)) for each in rows
        ]


def _url(given: object) -> str | None:
    url = given.get("url") if isinstance(given, dict) else None
    return url if isinstance(url, str) else None


def _unless_blocked(row: _Row, blocked: Mapping[str, InvalidInput]) -> _Row:
    error = None if row.draft is None else blocked.get(host_of(row.draft.url))
    return row if error is None else row.refused(error)


def _unless_elsewhere(row: _Row, tenant: Tenant) -> _Row:
    if row.draft is None:
        return row
    try:
        check_region(tenant, row.draft.region)
    except InvalidInput as error:
        return row.refused(error)
    return row


def _told_apart(
    uow: UnitOfWork, tenant_id: str, rows: Sequence[_Row], allow_duplicates: bool
) -> list[_Row]:
    """Return the rows, each with what is to be said of a URL that is there already."""
    urls = {each.draft.url for each in rows if each.draft is not None}
    there = uow.endpoints.of_urls(tenant_id, sorted(urls))
    first: dict[str, int] = {}
    told = []
    for row in rows:
        said = None
        if row.draft is not None:
            said = _said_of(row.draft.url, there, first)
            first.setdefault(row.draft.url, row.verdict.index)
        if said is None:
            told.append(row)
        elif allow_duplicates:
            told.append(_Row(replace(row.verdict, warnings=(said,)), row.draft))
        else:
            told.append(row.refused(InvalidInput(said, field="url")))
    return told


def _said_of(
    url: str, there: Mapping[str, UUID], first: Mapping[str, int]
) -> str | None:
    if url in there:
        return f"{ids.show(Kind.ENDPOINT, there[url])} has this URL already."
    if url in first:
        return f"the row with index {first[url]} has this URL already."
    return None
