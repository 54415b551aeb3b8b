"""Lists: the options that all of them have, and how a page of one is printed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ascwebhooks.cli import output
from ascwebhooks.cli.options import cursor_option, id_of, json_option, limit_option
from ascwebhooks.domain.ids import Kind

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """Which page of a list is wanted, and how.

    Args:
        kind: What is listed; None if its ids are names.
        limit: How many at most.
        cursor: The last one of the page before, as people see it.
        json_wanted: Whether it is printed as JSON.
    """

    kind: Kind | None
    limit: int
    cursor: str | None
    json_wanted: bool

    def show(
        self,
        read: Callable[..., Sequence[T]],
        *owner: object,
        row: Callable[[T], output.Row],
        columns: Sequence[str],
        **filters: Any,
    ) -> None:
        """Read the page and print it.

        Args:
            read: A service's ``page``.
            owner: Whose list, as ``read`` wants it first.
            row: Makes a row of what is listed.
            columns: What a table shows; JSON has everything.
            filters: What else ``read`` is to be told.
        """
        after = self.cursor if self.kind is None else id_of(self.kind, self.cursor)
        found = read(*owner, after=after, limit=self.limit + 1, **filters)
        output.page(
            [row(each) for each in found],
            columns,
            limit=self.limit,
            json_wanted=self.json_wanted,
        )


def page_options(kind: Kind | None) -> Callable[[Callable[..., Any]], Any]:
    """Give a command ``--limit``, ``--cursor`` and ``--json``, told as its ``page``."""

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def paged(
            *args: Any, limit: int, cursor: str | None, json_wanted: bool, **rest: Any
        ) -> Any:
            page = Page(kind, limit, cursor, json_wanted)
            return command(*args, page=page, **rest)

        return limit_option(cursor_option(json_option(paged)))

    return decorate
