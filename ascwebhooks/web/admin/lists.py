"""Pages of lists: by keyset, so that the millionth row is as near as the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flask import request

AT_ONCE = 50


class Page(NamedTuple):
    """Some rows of a list.

    Args:
        items: The rows.
        after: The cursor of the next page; None on the last.
        is_first: Whether it is the first page.
        before: The cursor of the page before; None on the first, and in lists that go
            one way.
    """

    items: Sequence[Any]
    after: str | None
    is_first: bool
    before: str | None = None


def page(
    fetch: Callable[..., Sequence[Any]],
    *,
    read: Callable[[str], Any],
    cursor: Callable[[Any], str],
    argument: str = "after",
) -> Page:
    """Return the page of a list that the query's ``after`` asks for.

    Args:
        fetch: Takes ``limit`` and ``argument``; returns rows.
        read: Makes a cursor of the query into what ``fetch`` takes.
        cursor: Returns the cursor of a row.
        argument: How ``fetch`` calls where it goes on.
    """
    asked = request.args.get("after") or None
    after = None if asked is None else read(asked)
    rows = fetch(limit=AT_ONCE + 1, **{argument: after})
    items = rows[:AT_ONCE]
    more = len(rows) > AT_ONCE
    return Page(items, cursor(items[-1]) if more else None, asked is None)


def both_ways(
    fetch: Callable[..., Sequence[Any]],
    *,
    read: Callable[[str], Any],
    cursor: Callable[[Any], str],
) -> Page:
    """Return the page that the query's ``after`` or ``before`` asks for.

    Args:
        fetch: Takes ``limit``, ``after`` and ``before``; returns rows.
        read: Makes a cursor of the query into what ``fetch`` takes.
        cursor: Returns the cursor of a row.
    """
    asked = request.args.get("before") or None
    if asked is not None:
        rows = fetch(limit=AT_ONCE + 1, after=None, before=read(asked))
        if len(rows) > AT_ONCE:
            items = rows[1:]
            return Page(items, cursor(items[-1]), False, cursor(items[0]))
        # That is less than a page of the newest: show a whole one.
    after = (request.args.get("after") or None) if asked is None else None
    rows = fetch(limit=AT_ONCE + 1, after=after and read(after), before=None)
    items, more = rows[:AT_ONCE], len(rows) > AT_ONCE
    before = cursor(items[0]) if after and items else None
    return Page(items, cursor(items[-1]) if more else None, after is None, before)
