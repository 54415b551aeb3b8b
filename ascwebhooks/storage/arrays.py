"""Rows as arrays: one parameter a column, whatever the size of a batch.

The statement's text does not grow with the batch.  Ids are written out here as
one array literal: psycopg2 would adapt each by itself at several times the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID


def uuids(values: Iterable[UUID]) -> str:
    """Return ids as PostgreSQL's literal of a ``uuid[]``."""
    return "{" + ",".join([f"{value.int:032x}" for value in values]) + "}"


def numbers(values: Iterable[int | Decimal]) -> str:
    """Return numbers as PostgreSQL's literal of an array of them."""
    return "{" + ",".join([str(value) for value in values]) + "}"


def columns(rows: Sequence[tuple[object, ...]]) -> dict[str, object]:
    """Return rows as parameters ``c0``, ``c1``, … for ``unnest``: one a column."""
    return {
        f"c{at}": _column(column) for at, column in enumerate(zip(*rows, strict=True))
    }


def _column(values: tuple[object, ...]) -> object:
    ids = [each for each in values if isinstance(each, UUID)]
    return uuids(ids) if len(ids) == len(values) else list(values)
