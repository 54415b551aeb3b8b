"""Lists: a page at a time, by keyset, with a cursor that callers do not read."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from flask import request
from marshmallow import Schema, fields, validate

from ascwebhooks.errors import InvalidInput
from ascwebhooks.web.answers import Answer

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_CHECK_BYTES = 6

Row = TypeVar("Row")


class InvalidCursor(InvalidInput):
    """The cursor was not handed out by this list."""

    code = "invalid_cursor"


class PageQuery(Schema):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT)
    )
    cursor = fields.String(
        metadata={
            "description": "`next_cursor` of the page before.",
            "minLength": 1,
        }
    )


@cache
def page_of(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of these items."""
    return Answer.from_dict(
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
        name=item.__name__.removesuffix("Schema") + "PageSchema",
    )


def page(
    query: dict[str, Any],
    fetch: Callable[..., Sequence[Row]],
    *,
    id_of: Callable[[Row], object] = lambda row: getattr(row, "id"),  # noqa: B009
    read_id: Callable[[str], Any] = UUID,
) -> dict[str, Any]:
    """Return a page of a list.

    Args:
        query: What ``PageQuery`` read, with the list's own filters.
        fetch: Called with ``after``, ``limit`` and the filters.
        id_of: The id that the list is in order of.
        read_id: The id in its text.

    Raises:
        InvalidCursor: If the cursor is not one of this list's.
    """
    filters = dict(query)
    limit, cursor = filters.pop("limit"), filters.pop("cursor", None)
    after = None if cursor is None else read_id(_read(cursor))
    # One more than asked for tells whether there is another page.
    rows = fetch(after=after, limit=limit + 1, **filters)
    items = rows[:limit]
    more = len(rows) > limit
    return {
        "items": items,
        "next_cursor": _show(str(id_of(items[-1]))) if more else None,
    }


def _show(last: str) -> str:
    packed = _check(last) + last.encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read(cursor: str) -> str:
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        last = packed[_CHECK_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if cursor != _show(last):
        raise _invalid()
    return last


def _check(last: str) -> bytes:
    """Return what ties a cursor to its list and tenant; it finds accidents only.

    It is no secret: whoever forges one gets what any other page of the same list
    would show, since each list asks for its tenant's own rows.
    """
    rule = "" if request.url_rule is None else request.url_rule.rule
    of = sorted((request.view_args or {}).items())
    return hashlib.sha256(f"{rule}\0{of}\0{last}".encode()).digest()[:_CHECK_BYTES]


def _invalid() -> InvalidCursor:
    return InvalidCursor("the cursor is not one of this list's.", field="cursor")
