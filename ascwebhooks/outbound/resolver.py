"""Names to addresses, in threads of our own.

libcurl resolves in twenty threads that slow names fill up.  Here a tenant can
hold only a few of the threads, answers are remembered for a short while, and
the caller's deadline counts from the question on.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.deliveries import ErrorClass

POSITIVE_TTL_S = 30.0
NEGATIVE_TTL_S = 3.0
MAX_REMEMBERED = 20_000

#: How many addresses of one name are tried.
MAX_ADDRESSES = 8

GetAddrInfo = Callable[..., list[Any]]
Waiter = TypeVar("Waiter")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name came to.

    ``pin`` is libcurl's RESOLVE entry, None for a host that is an address.
    """

    pin: str | None
    error: ErrorClass | None = None
    detail: str | None = None


@dataclass(eq=False, slots=True)
class _Lookup(Generic[Waiter]):
    host: str
    port: int
    pool: str
    waiters: list[Waiter] = field(default_factory=list)
    answer: Answer | None = None


_LITERAL = Answer(pin=None)


@lru_cache(maxsize=20_000)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Resolver(Generic[Waiter]):
    """A cache in front of a bounded number of threads that call ``getaddrinfo``.

    All methods belong to the loop's thread.

    Args:
        policy: Addresses it blocks are left out; libcurl's guard asks it again.
        wake: Called from a thread when an answer waits in ``finished``.
        threads: How many names are asked for at once.
        per_pool: How many of them for one pool.
        getaddrinfo: ``socket.getaddrinfo`` or a stand-in.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        wake: Callable[[], None],
        *,
        threads: int = 64,
        per_pool: int = 8,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._wake = wake
        self._limit = threads
        self._per_pool = min(per_pool, threads)
        self._getaddrinfo = getaddrinfo
        self._clock = clock
        self._cache: dict[tuple[str, int], tuple[float, Answer]] = {}
        self._pending: dict[tuple[str, str, int], _Lookup[Waiter]] = {}
        self._queues: dict[str, deque[_Lookup[Waiter]]] = {}
        self._busy: dict[str, int] = {}
        self._asked = 0
        self._threads = 0
        self._work: SimpleQueue[_Lookup[Waiter] | None] = SimpleQueue()
        self._answered: deque[_Lookup[Waiter]] = deque()
        self._served: list[tuple[Waiter, Answer]] = []

    def lookup(self, host: str, port: int, pool: str, waiter: Waiter) -> Answer | None:
        """Return the answer if it is known, else None: it comes by ``finished``."""
        known = self._cache.get((host, port))
        if known is not None and known[0] > self._clock():
            return known[1]
        if _is_address(host):
            return _LITERAL
        # A pool asks for itself: behind another one's slow names it would wait.
        lookup = self._pending.get((pool, host, port))
        if lookup is None:
            lookup = _Lookup(host, port, pool)
            self._pending[pool, host, port] = lookup
            self._queues.setdefault(pool, deque()).append(lookup)
        lookup.waiters.append(waiter)
        self._dispatch()
        if self._served:
            self._wake()
        return None

    def forget(self, host: str, port: int, pool: str, waiter: Waiter) -> None:
        """Take ``waiter`` off: its deadline has passed."""
        lookup = self._pending.get((pool, host, port))
        if lookup is not None and waiter in lookup.waiters:
            lookup.waiters.remove(waiter)

    def finished(self) -> list[tuple[Waiter, Answer]]:
        """Return those who waited for an answer that has come, with the answer."""
        while self._answered:
            lookup = self._answered.popleft()
            self._asked -= 1
            self._busy[lookup.pool] -= 1
            if not self._busy[lookup.pool]:
                del self._busy[lookup.pool]
            answer = lookup.answer or Answer(None, ErrorClass.INTERNAL, "no answer")
            self._remember(lookup, answer)
            self._serve(lookup, answer)
        self._dispatch()
        served, self._served = self._served, []
        return served

    def close(self) -> None:
        """Let the threads end; one that hangs in a look-up ends after it."""
        for _ in range(self._threads):
            self._work.put(None)

    def _serve(self, lookup: _Lookup[Waiter], answer: Answer) -> None:
        del self._pending[lookup.pool, lookup.host, lookup.port]
        self._served += [(waiter, answer) for waiter in lookup.waiters]

    def _remember(self, lookup: _Lookup[Waiter], answer: Answer) -> None:
        if len(self._cache) >= MAX_REMEMBERED:
            del self._cache[next(iter(self._cache))]
        ttl_s = POSITIVE_TTL_S if answer.error is None else NEGATIVE_TTL_S
        key = lookup.host, lookup.port
        self._cache.pop(key, None)
        self._cache[key] = self._clock() + ttl_s, answer

    def _dispatch(self) -> None:
        """Hand queued look-ups to threads, one of each pool in turn."""
        moved = True
        while moved and self._queues and self._asked < self._limit:
            moved = False
            for pool in list(self._queues):
                if self._asked >= self._limit:
                    break
                if self._busy.get(pool, 0) < self._per_pool:
                    moved = True
                    self._hand_over(pool)

    def _hand_over(self, pool: str) -> None:
        queue = self._queues[pool]
        lookup = queue.popleft()
        if queue:
            # To the end of the round.
            self._queues[pool] = self._queues.pop(pool)
        else:
            del self._queues[pool]
        known = self._cache.get((lookup.host, lookup.port))
        if known is not None and known[0] > self._clock():
            self._serve(lookup, known[1])
            return
        if not lookup.waiters:
            self._serve(lookup, _LITERAL)
            return
        self._busy[pool] = self._busy.get(pool, 0) + 1
        self._asked += 1
        if self._threads < self._asked:
            self._threads += 1
            threading.Thread(
                target=self._answer_all, name="resolver", daemon=True
            ).start()
        self._work.put(lookup)

    def _answer_all(self) -> None:
        while True:
            lookup = self._work.get()
            if lookup is None:
                return
            try:
                lookup.answer = self._ask(lookup.host, lookup.port)
            except Exception as error:  # noqa: BLE001 (a thread's edge)
                lookup.answer = Answer(None, ErrorClass.DNS_ERROR, repr(error))
            self._answered.append(lookup)
            self._wake()

    def _ask(self, host: str, port: int) -> Answer:
        try:
            found = self._getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError) as error:
            return Answer(None, ErrorClass.DNS_ERROR, f"{host}: {error}")
        # In the order of RFC 6724, each once.
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not addresses:
            return Answer(None, ErrorClass.DNS_ERROR, f"{host}: no address")
        blocked = {each: self._policy.reason(each) for each in addresses}
        usable = [each for each in addresses if blocked[each] is None]
        if not usable:
            detail = ", ".join(f"{each}: {why}" for each, why in blocked.items())
            return Answer(None, ErrorClass.BLOCKED_ADDRESS, f"{host}: {detail}"[:500])
        listed = ",".join(
            f"[{each}]" if ":" in each else each for each in usable[:MAX_ADDRESSES]
        )
        # "+": the entry gives way to a later one.
        return Answer(pin=f"+{host}:{port}:{listed}")
