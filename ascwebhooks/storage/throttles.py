"""Statements about logins that failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ascwebhooks.storage.accounts import LoginThrottle


class ThrottleRepository:
    """Failures in a row, by the digest of a login or an address."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, keys: Sequence[bytes], now: datetime) -> dict[bytes, LoginThrottle]:
        """Return the rows of these keys, made if need be, held until the commit."""
        for key in sorted(keys):
            first = insert(LoginThrottle).values(
                key=key, failures=0, blocked_until=now, updated_at=now
            )
            self._session.execute(first.on_conflict_do_nothing())
        rows = self._session.scalars(
            select(LoginThrottle)
            .where(LoginThrottle.key.in_(keys))
            .order_by(LoginThrottle.key)
            .with_for_update()
        )
        return {bytes(each.key): each for each in rows}

    def forget(self, key: bytes) -> None:
        """Forget all failures of a key."""
        self._session.execute(delete(LoginThrottle).where(LoginThrottle.key == key))

    def forgive(self, key: bytes) -> None:
        """Take back the last failure of a key."""
        self._session.execute(
            update(LoginThrottle)
            .where(LoginThrottle.key == key, LoginThrottle.failures > 0)
            .values(
                failures=LoginThrottle.failures - 1,
                blocked_until=LoginThrottle.updated_at,  # a moment ago: not blocked
            )
        )

    def forget_old(self, before: datetime) -> None:
        """Forget keys without a failure since ``before``."""
        self._session.execute(
            delete(LoginThrottle).where(LoginThrottle.updated_at < before)
        )

    @staticmethod
    def count(
        row: LoginThrottle, now: datetime, wait: timedelta, failures: int
    ) -> None:
        """Note a failure, and how long the next try has to wait."""
        row.failures, row.updated_at = failures, now
        row.blocked_until = now + wait
