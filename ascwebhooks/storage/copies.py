"""COPY: many rows into a table, at half the price of an INSERT from arrays.

psycopg2 adapts each value of an array by itself; here a row is one line of text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ascwebhooks.storage.arrays import spell


def copy(
    session: Session, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Write rows within the session's transaction.

    Args:
        session: Whose transaction.
        table: A constant of ours, as are ``names``: the columns of each row.
        names: See there.
        rows: Ids, text, numbers, bytes, aware times, JSON objects and None.

    Raises:
        DBAPIError: As if a statement had failed.
    """
    if not rows:
        return
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    # By columns: what stands in one is mostly of one type.
    columns = map(_column, zip(*rows, strict=True))
    lines = map("\t".join, zip(*columns, strict=True))
    source = io.StringIO("\n".join([*lines, ""]))
    connection = session.connection()
    cursor = connection.connection.cursor()
    try:
        cursor.copy_expert(statement, source)
    except psycopg2.Error as error:
        # What SQLAlchemy does for a statement of its own.
        gone = bool(cursor.connection.closed)
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement,
            None,
            error,
            psycopg2.Error,
            hide_parameters=True,
            connection_invalidated=gone,
        ) from error
    finally:
        cursor.close()


def _column(values: tuple[Any, ...]) -> Iterable[str]:
    """Return how the values of one column are written."""
    kinds = set(map(type, values))
    if len(kinds) > 1:
        return [_TEXT[type(value)](value) for value in values]
    (kind,) = kinds
    write = _TEXT[kind]
    if kind in _REPEATED:
        written = {value: write(value) for value in set(values)}
        return map(written.__getitem__, values)
    return map(write, values)


def _escaped(text: str) -> str:
    # PostgreSQL's documentation, "COPY", "Text Format".
    if "\0" in text:
        raise ValueError("A string literal cannot contain NUL (0x00) characters.")
    return (
        text.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
    )


class _Texts(dict[type, Callable[[Any], str]]):
    """How each type is written; a subclass (an enum) like its base."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        base = next((each for each in kind.__mro__ if each in self), None)
        if base is None:
            raise TypeError(f"COPY does not know how to write a {kind.__name__}")
        self[kind] = found = self[base]
        return found


#: Types of which one value stands in many rows, as a tenant's id does.
_REPEATED = frozenset({str, int, datetime, type(None)})
_TEXT = _Texts(
    {
        type(None): lambda _: "\\N",
        str: _escaped,
        int: str,
        float: repr,
        bytes: lambda value: "\\\\x" + value.hex(),
        UUID: spell,
        datetime: datetime.isoformat,
        dict: lambda value: _escaped(json.dumps(value)),
    }
)
