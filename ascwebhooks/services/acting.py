"""On whose behalf this thread works: entry points say so, the audit log writes it down.

A server's threads serve one request after another, so each request begins by saying
who acts; whoever says nothing is the system itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ascwebhooks.domain.audit import SYSTEM, Actor

_ACTOR: ContextVar[Actor] = ContextVar("ascwebhooks_actor", default=SYSTEM)


def act_as(actor: Actor) -> None:
    """Have all that follows in this context be this one's doing."""
    _ACTOR.set(actor)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Have what happens within the block be this one's doing."""
    token = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def current() -> Actor:
    """Return who acts."""
    return _ACTOR.get()
