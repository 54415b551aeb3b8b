"""Slowing down whoever tries again and again: by login, and by address."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping

from ascwebhooks.domain.people import FORGOTTEN_AFTER, wait_after
from ascwebhooks.errors import TooManyAttempts
from ascwebhooks.storage.unit_of_work import UnitOfWork


class Throttling:
    """Counts tries that failed; each counts as failed until it has succeeded."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        """Take what opens a transaction."""
        self._uow = uow

    def count(self, tried: Mapping[str, str], of: str = "") -> None:
        """Count a try as failed, or refuse it.

        Args:
            tried: The login and the address, or one of them, by these names.
            of: What was tried, where it is something of its own.

        Raises:
            TooManyAttempts: If too many tries failed.
        """
        keys = {name: key(of + name, value) for name, value in tried.items()}
        with self._uow() as uow:
            now = uow.now()
            rows = uow.throttles.lock(list(keys.values()), now)
            until = max(each.blocked_until for each in rows.values())
            if until > now:
                seconds = math.ceil((until - now).total_seconds())
                raise TooManyAttempts(
                    f"too many tries failed; try again in {_spoken(seconds)}.",
                    retry_after_s=seconds,
                )
            for name, digest in keys.items():
                row = rows[digest]
                stale = row.updated_at < now - FORGOTTEN_AFTER
                failures = 1 if stale else row.failures + 1
                uow.throttles.count(row, now, wait_after(failures, name), failures)
            uow.commit()


def forgive(uow: UnitOfWork, tried: Mapping[str, str]) -> None:
    """Take back what a try that succeeded had been counted as.

    Args:
        uow: The transaction in which it succeeded.
        tried: As it was counted, with ``login`` and ``address``.
    """
    uow.throttles.forget(key("login", tried["login"]))
    uow.throttles.forgive(key("address", tried["address"]))


def key(kind: str, value: str) -> bytes:
    """Return what is kept of a login or an address."""
    whole = f"{kind}:{value}".encode(errors="replace")
    return hashlib.sha256(whole).digest()


def _spoken(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
