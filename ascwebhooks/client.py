"""What a gateway imports to publish events; needs ``redis`` and nothing else.

::

    from ascwebhooks.client import Publisher

    publisher = Publisher("redis://127.0.0.1:6379/0")  # one for each process
    publisher.publish({"source": "/gateway", "type": "request.completed",
                       "tenantid": "acme", "data": {"tokens": 12}})

``publish`` encodes the event, puts it into a bounded buffer and returns; a
thread writes the buffer to the stream.  While Redis is away, or full, the buffer
holds what is published, and what does not fit is dropped, counted and logged:
the gateway's own request never waits and never fails for it.

An event leaves the buffer when Redis has confirmed it.  After a broken connection
some may therefore be written twice; they carry the same id and are accepted once.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

Event = Mapping[str, Any] | bytes | str

_BATCH_EVENTS = 500
_BATCH_BYTES = 4_000_000
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.1, 2.0
_WARN_EVERY_S = 10.0


class PublisherFull(Exception):
    """The buffer is full: Redis has been away, or too slow, for too long."""


class PublisherClosed(Exception):
    """The publisher was closed before this."""


@dataclass(frozen=True)
class Stats:
    """What a publisher did in this process.

    Args:
        published: Events that Redis confirmed.
        buffered: Events that wait for that.
        dropped: Events lost here: the buffer was full, or they cannot be encoded.
        last_error: The latest problem; None once a batch went well after it.
    """

    published: int
    buffered: int
    dropped: int
    last_error: str | None


class Publisher:
    """Writes events to the stream from a thread of its own.

    Safe to use from several threads, and after a fork: the child starts a thread
    of its own and leaves what its parent had buffered to the parent.

    Args:
        redis_url: ``redis://``, ``rediss://`` or ``unix://``.
        stream: The stream's key.
        buffer_events: How many events are held at most.
        buffer_bytes: How large they may be together.
        raise_errors: Whether ``publish`` raises what it else counts and logs.
        timeout_s: How long one answer of Redis may take.
        exit_timeout_s: How long the end of the process may wait for Redis.

    Raises:
        ValueError: If the URL is not one of Redis.
    """

    _closed: bool

    def __init__(
        self,
        redis_url: str,
        *,
        stream: str = "asc:events",
        buffer_events: int = 10_000,
        buffer_bytes: int = 64_000_000,
        raise_errors: bool = False,
        timeout_s: float = 5.0,
        exit_timeout_s: float = 2.0,
    ) -> None:
        self._url = redis_url
        self._stream = stream
        self._most = (buffer_events, buffer_bytes)
        self._raise_errors = raise_errors
        self._timeout_s = timeout_s
        self._exit_timeout_s = exit_timeout_s
        self._begin()
        _publishers.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish(self, event: Event) -> bool:
        """Hand over one CloudEvent; return whether it was taken.

        ``specversion``, ``id`` and ``time`` are filled in where they are missing.
        What is encoded already (``bytes`` or ``str``) is otherwise left as it is.

        Raises:
            PublisherFull: Only with ``raise_errors``: the buffer is full.
            PublisherClosed: Only with ``raise_errors``: it was closed.
            TypeError: Only with ``raise_errors``: it cannot be encoded as JSON.
        """
        try:
            self._buffer.put(encode(event))
            self._ensure_thread()
        except Exception as error:
            # Whatever it is, it must not become the gateway's problem.
            if self._raise_errors:
                raise
            self._drop(error)
            return False
        return True

    def publish_many(self, events: Iterable[Event]) -> int:
        """Hand over several; return how many were taken.

        Raises:
            Exception: Only with ``raise_errors``, as ``publish`` does, at the first
                that is not taken; those before it were.
        """
        return sum(self.publish(event) for event in events)

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was published so far is written; return whether it is."""
        return self._buffer.wait_written(timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Write what is buffered and end; what Redis will not take is dropped.

        Args:
            timeout_s: How long that may take; None is ``exit_timeout_s``.
        """
        if self._closed:
            return
        self._closed = True
        limit_s = self._exit_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        self.flush(limit_s)
        lost = self._buffer.close()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if lost:
            log.warning("closed with %d events that were not written", lost)

    @property
    def stats(self) -> Stats:
        """What became of the events so far."""
        return Stats(
            self._buffer.written,
            len(self._buffer),
            self._buffer.dropped,
            self._last_error,
        )

    def _begin(self) -> None:
        """Start from nothing: as new, or as a forked child."""
        self._buffer = _Buffer(*self._most)
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._warnings = _Seldom()
        self._last_error: str | None = None
        self._closed = False
        # One attempt for each call: repeating is our own loop's business, and
        # RESP2, so that a publisher's ACL needs no more than +xadd.
        self._redis = redis.Redis.from_url(
            self._url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            socket_keepalive=True,
        )

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        with self._thread_lock:
            if self._thread is None:
                # Kept only once it runs: at its limits a system refuses threads.
                thread = threading.Thread(
                    target=self._work, name="ascwebhooks-publisher", daemon=True
                )
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        while batch := self._buffer.head():
            if self._write(batch):
                backoff_s = _BACKOFF_FIRST_S
            elif self._buffer.wait_closed(backoff_s):
                return
            else:
                backoff_s = min(backoff_s * 2, _BACKOFF_MOST_S)

    def _write(self, batch: list[bytes]) -> bool:
        """Write a batch; return whether all of it is written."""
        try:
            answers = self._add(batch)
        except Exception as error:  # noqa: BLE001  (a dead thread would write nothing)
            answers = [error]
        refused = [each for each in answers if isinstance(each, Exception)]
        if not refused:
            self._buffer.settle(batch, [])
            self._last_error = None
            return True
        if len(answers) == len(batch):
            pairs = zip(batch, answers, strict=True)
            self._buffer.settle(batch, [e for e, a in pairs if a in refused])
        self._away(refused[0])
        return False

    def _add(self, batch: list[bytes]) -> list[object]:
        pipeline = self._redis.pipeline(transaction=False)
        for event in batch:
            pipeline.xadd(self._stream, {"event": event})
        return list(pipeline.execute(raise_on_error=False))

    def _away(self, error: Exception) -> None:
        # A server that answered "not now" may not be the one that will (READONLY).
        self._redis.connection_pool.disconnect()
        self._last_error = f"{type(error).__name__}: {error}"
        if self._warnings.due():
            log.warning(
                "cannot write to the stream %s: %s; %d events are buffered",
                self._stream,
                self._last_error,
                len(self._buffer),
            )

    def _drop(self, error: Exception) -> None:
        dropped = self._buffer.drop()
        self._last_error = f"{type(error).__name__}: {error}"
        if self._warnings.due():
            log.warning("%d events dropped so far; %s", dropped, self._last_error)


def encode(event: Event) -> bytes:
    """Return an event as JSON, complete.

    Raises:
        TypeError: If it is no JSON object, or cannot be one.
    """
    try:
        if isinstance(event, Mapping):
            text = json.dumps(
                {**_missing(event), **event},
                ensure_ascii=False,
                allow_nan=False,
                separators=(",", ":"),
            )
            return text.encode()
        text = event if isinstance(event, str) else bytes(event).decode()
        return _completed(text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the event cannot be encoded as JSON: {error}") from error


def _completed(text: str) -> str:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("it is not a JSON object")
    missing = _missing(found)
    if not missing:
        return text
    # Put in front, so that the rest stays byte for byte as it came.
    head = json.dumps(missing, separators=(",", ":"))[:-1]
    rest = text.lstrip()[1:]
    return f"{head},{rest}" if found else f"{head}{rest}"


def _missing(event: Mapping[str, Any]) -> dict[str, str]:
    defaults = {"specversion": "1.0"}
    if "id" not in event:
        # With an id of its own it may come again, and is to be the same then: without
        # a time, that of its arrival stands in.
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        defaults |= {"id": str(uuid.uuid4()), "time": now.replace("+00:00", "Z")}
    return {name: value for name, value in defaults.items() if name not in event}


class _Buffer:
    """A bounded queue whose head stays until it is settled."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self.written = 0
        self.dropped = 0
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: bytes) -> None:
        """Append an event; see ``Publisher.publish`` for what it raises."""
        with self._changed:
            if self._closed:
                raise PublisherClosed("the publisher is closed")
            size = self._bytes + len(event)
            if len(self._events) >= self._most_events or size > self._most_bytes:
                raise PublisherFull(f"{len(self._events)} events are buffered")
            self._events.append(event)
            self._bytes = size
            self._changed.notify_all()

    def head(self) -> list[bytes]:
        """Wait for events and return the first ones; none: it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            return [] if self._closed else self._batch()

    def settle(self, batch: list[bytes], kept: list[bytes]) -> None:
        """Take ``batch`` off the head, but for those of it that are to be kept."""
        with self._changed:
            for event in batch:
                self._events.popleft()
                self._bytes -= len(event)
            self._events.extendleft(reversed(kept))
            self._bytes += sum(map(len, kept))
            self.written += len(batch) - len(kept)
            self._changed.notify_all()

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until as many are written as had been put by now."""
        with self._changed:
            target = self.written + len(self._events)
            return self._changed.wait_for(lambda: self.written >= target, timeout_s)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait a while; return True, at once, if it is closed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout_s)

    def drop(self) -> int:
        """Count an event that was not put; return how many there were."""
        with self._changed:
            self.dropped += 1
            return self.dropped

    def close(self) -> int:
        """Take no more and give no more; return how many are left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return len(self._events)

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        for event in self._events:
            size += len(event)
            if batch and (len(batch) == _BATCH_EVENTS or size > _BATCH_BYTES):
                break
            batch.append(event)
        return batch


class _Seldom:
    """Says once in a while that it is time for another warning."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def due(self) -> bool:
        """Return whether the last time was long enough ago."""
        if time.monotonic() < self._next_at:
            return False
        self._next_at = time.monotonic() + _WARN_EVERY_S
        return True


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork() -> None:
    # The child has neither the parent's thread nor the right to its locks, its
    # connection or its events.
    for publisher in list(_publishers):
        publisher._begin()


def _at_exit() -> None:
    for publisher in list(_publishers):
        publisher.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
