"""The stream that gateways write to, read through a consumer group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

#: A reader that is gone for so long has lost what it had in hand.
TAKE_OVER_MS = 60_000
#: Where a round of taking over begins, and where it is when it is through.
BEGINNING = b"0-0"
#: A consumer without anything in hand is removed after so long.
FORGET_MS = 3_600_000


class Entry(NamedTuple):
    """One entry of the stream."""

    id: bytes
    fields: dict[bytes, bytes]


class Stream:
    """One reader's view of the stream.

    Every method may raise redis.RedisError when Valkey is away.
    """

    def __init__(
        self, client: redis.Redis, stream: str, group: str, consumer: str
    ) -> None:
        self._client = client
        self._stream = stream
        self._group = group
        self._consumer = consumer

    def make_group(self) -> None:
        """Make the group, from the first entry on, unless it is there."""
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Return what is new, waiting for it up to ``block_ms``."""
        answer = self._client.xreadgroup(
            self._group,
            self._consumer,
            {self._stream: ">"},
            count=count,
            block=block_ms,
        )
        return _entries(answer)

    def mine(self, count: int, after: bytes = b"0") -> list[Entry]:
        """Return what this reader was given ``after`` an entry and has not settled."""
        answer = self._client.xreadgroup(
            self._group, self._consumer, {self._stream: after}, count=count
        )
        return _entries(answer)

    def take_over(self, count: int, start: bytes) -> tuple[bytes, list[Entry]]:
        """Take over some of what dead readers left for a minute.

        One call looks at ten times ``count`` entries in hand at most, so a round
        takes several where many are.

        Args:
            count: How many to take at most.
            start: ``BEGINNING``, or what the call before returned.

        Returns:
            Where to go on, ``BEGINNING`` after the last, and what was taken.
        """
        answer: Any = self._client.xautoclaim(
            self._stream,
            self._group,
            self._consumer,
            min_idle_time=TAKE_OVER_MS,
            start_id=start,
            count=count,
        )
        taken = [Entry(entry_id, fields or {}) for entry_id, fields in answer[1]]
        return answer[0], taken

    def settle(self, entry_ids: Sequence[bytes]) -> None:
        """Acknowledge and delete entries, together."""
        pipe = self._client.pipeline(transaction=True)
        pipe.xack(self._stream, self._group, *entry_ids)
        pipe.xdel(self._stream, *entry_ids)
        pipe.execute()

    def forget_the_dead(self) -> int:
        """Remove consumers that are long gone and have nothing in hand."""
        removed = 0
        for consumer in self._client.xinfo_consumers(self._stream, self._group):
            if consumer["pending"] == 0 and consumer["idle"] > FORGET_MS:
                self._client.xgroup_delconsumer(
                    self._stream, self._group, consumer["name"]
                )
                removed += 1
        return removed

    def leave(self) -> None:
        """Remove this reader, if it has nothing in hand."""
        if not self.mine(1):
            self._client.xgroup_delconsumer(self._stream, self._group, self._consumer)

    def lag(self) -> tuple[int | None, int]:
        """Return how many entries nobody has read, and how many are unsettled.

        Valkey does not tell the first once an entry was deleted behind one that still
        stands, as what is postponed does.  Settling deletes, so what is there and not
        in hand is unread; less than that if others delete or trim what is in hand.

        Returns:
            The first is None if it cannot be told.
        """
        pipe = self._client.pipeline(transaction=True)
        pipe.xinfo_groups(self._stream)
        pipe.xlen(self._stream)
        try:
            groups, length = pipe.execute()
        except redis.ResponseError as error:
            if "no such key" not in str(error):
                raise
            # Nobody has written to it or read it yet.
            return 0, 0
        for group in groups:
            if group["name"] in (self._group, self._group.encode()):
                told, in_hand = group.get("lag"), int(group["pending"])
                return _unread(length, in_hand) if told is None else told, in_hand
        return length, 0


def _unread(length: int, in_hand: int) -> int | None:
    return length - in_hand if length >= in_hand else None


def _entries(answer: Any) -> list[Entry]:
    if not answer:
        return []
    streams = answer.items() if isinstance(answer, dict) else answer
    found: list[Entry] = []
    for _, batch in streams:
        # RESP3 wraps the entries of a stream in one more list.
        entries = batch[0] if batch and isinstance(batch[0], list) else batch
        found.extend(Entry(entry_id, fields or {}) for entry_id, fields in entries)
    return found
