"""Statements that may take only so long."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

_CANCELED_BY_TIMEOUT = "57014"


class TookTooLong(Exception):
    """A statement was given up."""


class Bounded:
    """Statements within it may take so long; the transaction goes on afterwards.

    Raises:
        TookTooLong: If one took longer.
    """

    def __init__(self, session: Session, within: timedelta) -> None:
        self._session = session
        self._ms = max(1, within // timedelta(milliseconds=1))

    def __enter__(self) -> None:
        self._savepoint = self._session.begin_nested()
        self._session.execute(text(f"SET LOCAL statement_timeout = {self._ms}"))

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        # Rolling back to the savepoint takes the timeout back too.
        self._savepoint.rollback()
        orig = error.orig if isinstance(error, DBAPIError) else None
        if getattr(orig, "pgcode", None) == _CANCELED_BY_TIMEOUT:
            raise TookTooLong from error
