"""Rows as arrays: one parameter a column, whatever the size of a batch.

The statement's text does not grow with the batch.  Ids and bytes are written out here
as one array literal: psycopg2 would adapt each by itself at several times the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import cast
from uuid import UUID


def uuids(values: Iterable[UUID]) -> str:
    """Return ids as PostgreSQL's literal of a ``uuid[]``."""
    return "{" + ",".join([spell(value) for value in values]) + "}"


def spell(value: UUID) -> str:
    """Return an id in a spelling that PostgreSQL reads and that is quickly made."""
    return value.int.to_bytes(16, "big").hex()


def numbers(values: Iterable[int | float | Decimal | None]) -> str:
    """Return numbers as PostgreSQL's literal of an array of them; None is NULL."""
    spelt = ["NULL" if value is None else str(value) for value in values]
    return "{" + ",".join(spelt) + "}"


def columns(rows: Sequence[tuple[object, ...]]) -> dict[str, object]:
    """Return rows as parameters ``c0``, ``c1``, … for ``unnest``: one a column."""
    return {
        f"c{at}": _column(column) for at, column in enumerate(zip(*rows, strict=True))
    }


def _column(values: tuple[object, ...]) -> object:
    kinds = set(map(type, values))
    if kinds == {UUID}:
        return uuids(cast("tuple[UUID, ...]", values))
    if kinds == {bytes}:
        return _blobs(cast("tuple[bytes, ...]", values))
    return list(values)


def _blobs(values: Iterable[bytes]) -> str:
    """Return bytes as PostgreSQL's literal of a ``bytea[]``."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"
