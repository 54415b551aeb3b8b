"""Statements about usage: what signals came to, by minute and hour.

A minute is written by whoever accepts its signals, in their transaction; rows are
locked in the order of their keys.  Minutes that are old are moved into hours, exactly:
one statement takes them away and adds them there, so that a time lies in one place
only, and what comes late is moved like the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from ascwebhooks.domain.measures import Names
from ascwebhooks.domain.statistics import Grain
from ascwebhooks.domain.usage import COUNTS, Key, Minute, Tally
from ascwebhooks.storage.arrays import columns, numbers
from ascwebhooks.storage.results import affected

_KEYS = ("tenant_id", "at", "provider", "model", "region", "deployment", "currency")
_TYPES = ("text", "timestamptz", *("text" for _ in _KEYS[2:]), "numeric")
_SUMMED = ("spend", *COUNTS)


def _of_counts(statement: str) -> TextClause:
    """Return a statement in which ``{…}`` stand for keys and all that is counted."""
    types = (*_TYPES, *("bigint" for _ in COUNTS))
    return text(
        statement.replace("{keys}", ", ".join(_KEYS))
        .replace("{names}", ", ".join(_KEYS[2:]))
        .replace("{counts}", ", ".join(_SUMMED))
        .replace("{sums}", ", ".join(f"sum({each}) AS {each}" for each in _SUMMED))
        .replace(
            "{added}",
            ", ".join(f"{each} = u.{each} + excluded.{each}" for each in _SUMMED),
        )
        .replace(
            "{arrays}",
            ", ".join(f"CAST(:c{n} AS {each}[])" for n, each in enumerate(types)),
        )
    )


_ADD = _of_counts(
    "INSERT INTO usage AS u (grain_s, {keys}, {counts})"
    " SELECT 60, w.* FROM unnest({arrays}) AS w({keys}, {counts}) ORDER BY {keys}"
    " ON CONFLICT (tenant_id, grain_s, at, {names}) DO UPDATE SET {added}"
)
_KNOWN = _of_counts(
    "SELECT {keys} FROM usage JOIN unnest(CAST(:c0 AS text[]),"
    " CAST(:c1 AS timestamptz[])) AS w(tenant_id, at) USING (tenant_id, at)"
    " WHERE grain_s = 60"
)
# Skipping what is locked: whoever adds to it comes later in the order, and it is
# moved the next time.
_MOVE = _of_counts(
    "WITH old AS (SELECT ctid FROM usage WHERE grain_s = 60 AND at < :before"
    " ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED),"
    " moved AS (DELETE FROM usage WHERE ctid = ANY(ARRAY(SELECT ctid FROM old))"
    " RETURNING *),"
    " hours AS (INSERT INTO usage AS u (grain_s, {keys}, {counts})"
    " SELECT 3600, tenant_id, date_trunc('hour', at, 'UTC') AS hour, {names}, {sums}"
    " FROM moved GROUP BY tenant_id, hour, {names} ORDER BY tenant_id, hour, {names}"
    " ON CONFLICT (tenant_id, grain_s, at, {names}) DO UPDATE SET {added})"
    " SELECT count(*) FROM moved"
)
_RECENT = _of_counts(
    "SELECT tenant_id, at, {names}, {counts} FROM usage"
    " WHERE tenant_id = ANY(:tenants) AND grain_s = 60 AND at >= :since"
)
_ACTIVE = text(
    "SELECT DISTINCT tenant_id FROM usage WHERE grain_s = 60 AND at >= :since"
)
_STEPS = (
    "SELECT to_timestamp(floor(extract(epoch FROM at) / :step) * :step) AS begins,"
    " {group} AS grouped, currency, {sums} FROM usage"
    " WHERE tenant_id = :tenant AND at >= :since AND at < :until"
    " GROUP BY begins, grouped, currency ORDER BY begins, grouped, currency"
)
_FORGET = text("DELETE FROM usage WHERE grain_s = :grain AND at < :before")


class Part(NamedTuple):
    """A step of a timeline: of one group, and in one currency."""

    begins: datetime
    group: str
    currency: str
    tally: Tally


class UsageRepository:
    """Tallies of signals."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def known(self, minutes: Iterable[Minute]) -> dict[Minute, set[Key]]:
        """Return the keys that there are, by tenant and minute."""
        wanted = columns(sorted(set(minutes)))
        found: dict[Minute, set[Key]] = defaultdict(set)
        for row in self._session.execute(_KNOWN, wanted):
            found[row[0], row[1]].add(Key(*row))
        return found

    def add(self, tallies: Mapping[Key, Tally]) -> None:
        """Add to minutes; the rows stay locked until the commit."""
        if not tallies:
            return
        given = columns(list(tallies))
        sums = [(each.spend, *each.counts) for each in tallies.values()]
        # As literals: a parser of SQL takes its time over thousands of zeros.
        for at, column in enumerate(zip(*sums, strict=True), len(_KEYS)):
            given[f"c{at}"] = numbers(column)
        self._session.execute(_ADD, given)

    def active(self, since: datetime) -> list[str]:
        """Return the tenants that used something since then."""
        return list(self._session.execute(_ACTIVE, {"since": since}).scalars())

    def recent(
        self, tenant_ids: Sequence[str], since: datetime
    ) -> dict[str, dict[datetime, dict[Names, Tally]]]:
        """Return the minutes of tenants from ``since`` on; currencies together."""
        given = {"tenants": list(tenant_ids), "since": since}
        found: dict[str, dict[datetime, dict[Names, Tally]]] = {
            each: defaultdict(dict) for each in tenant_ids
        }
        for row in self._session.execute(_RECENT, given):
            minute = found[row[0]][row[1]]
            names: Names = (row[2], row[3], row[4], row[5])
            minute.setdefault(names, Tally()).add(_tally(row[7:]))
        return found

    def steps(
        self,
        tenant_id: str,
        since: datetime,
        until: datetime,
        step_s: int,
        group_by: Sequence[str] = (),
    ) -> list[Part]:
        """Return a tenant's usage in steps, the oldest first.

        Args:
            tenant_id: Whose.
            since: From then on.
            until: Before then.
            step_s: How long a step is, in seconds; hours that are old have no parts.
            group_by: Among provider, model, region and deployment; a group is told by
                these and their values, as a JSON object.
        """
        pairs = [f"'{each}', {each}" for each in _KEYS[2:6] if each in group_by]
        group = f"CAST(jsonb_build_object({', '.join(pairs)}) AS text)"
        statement = _of_counts(_STEPS.replace("{group}", group))
        given = {"tenant": tenant_id, "since": since, "until": until, "step": step_s}
        rows = self._session.execute(statement, given)
        return [Part(row[0], row[1], row[2], _tally(row[3:])) for row in rows]

    def move(self, before: datetime, limit: int) -> int:
        """Move minutes older than this into their hours; return how many."""
        given = {"before": before, "limit": limit}
        moved: int = self._session.execute(_MOVE, given).scalar_one()
        return moved

    def forget(self, before: datetime) -> int:
        """Delete hours older than this; return how many."""
        given = {"grain": Grain.HOUR.value, "before": before}
        return affected(self._session.execute(_FORGET, given))


def _tally(row: Sequence[Any]) -> Tally:
    return Tally([int(each) for each in row[1:]], Decimal(row[0]))
