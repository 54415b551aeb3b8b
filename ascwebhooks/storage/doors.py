"""Doors: an endpoint that was rung a moment ago need not be rung again.

A door is a key in Valkey that a ring shuts and a turn opens.  Losing all of
them costs a few needless rings, keeping one too long costs its ten seconds, or
thirty where an endpoint is slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from uuid import UUID

import redis

SHUT_MS = 10_000
#: As long as a ring lives that nobody takes: the sweep, which comes each ten seconds,
#: adds no second message while the first one is good.
SHUT_SLOW_MS = 30_000
SLOW_S = 300
_DOOR = "ascwebhooks:door:"
_SLOW = "ascwebhooks:slow:"
_BARRED = "ascwebhooks:barred:"

# One round trip for a whole batch.  Answers, in the order of the ids: 0 was rung
# already or is barred, 1 ring it, 2 ring it on the slow queue.  Slow ones are rung
# once a door, whatever the urgency: nobody may be there to take their messages.
_SHUT = """
local answers = {}
for at, id in ipairs(ARGV) do
  if at > 3 then
    local slow = redis.call('EXISTS', KEYS[2] .. id)
    if ARGV[3] ~= '0' then redis.call('DEL', KEYS[3] .. id) end
    local ring
    if ARGV[3] == '2' and slow == 0 then
      ring = redis.call('SET', KEYS[1] .. id, '1', 'PX', ARGV[1])
    else
      ring = redis.call('EXISTS', KEYS[3] .. id) == 0
        and redis.call('SET', KEYS[1] .. id, '1', 'NX', 'PX', ARGV[1 + slow])
    end
    answers[at - 3] = ring and 1 + slow or 0
  end
end
return answers
"""


class Urgency(IntEnum):
    """Who is rung: the later, the more.

    ``USUAL``: who was not rung a moment ago and is not barred.  ``FREED``: the barred
    ones too, for the caller knows that they may be served.  ``WHATEVER``: also those
    that were rung a moment ago.
    """

    USUAL = 0
    FREED = 1
    WHATEVER = 2


class Doors:
    """The doors of all endpoints."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._shut = client.register_script(_SHUT)

    def shut(
        self, endpoint_ids: Sequence[UUID], urgency: Urgency = Urgency.USUAL
    ) -> tuple[list[UUID], list[UUID]]:
        """Shut doors; return those to be rung on the fast and on the slow queue.

        Args:
            endpoint_ids: Whose doors.
            urgency: Who is to be rung.

        Raises:
            redis.RedisError: If Valkey is away.
        """
        args: list[int | str] = [
            SHUT_MS,
            SHUT_SLOW_MS,
            int(urgency),
            *(each.hex for each in endpoint_ids),
        ]
        answers = self._shut(keys=[_DOOR, _SLOW, _BARRED], args=args)
        pairs = list(zip(endpoint_ids, answers, strict=True))
        fast = [each for each, answer in pairs if answer == 1]
        slow = [each for each, answer in pairs if answer == 2]
        return fast, slow

    def open(self, endpoint_ids: Sequence[UUID]) -> None:
        """Open doors: whatever is committed from now on rings again.

        Raises:
            redis.RedisError: If Valkey is away.
        """
        self._client.delete(*(_DOOR + each.hex for each in endpoint_ids))

    def mark(self, slow: Sequence[UUID], well: Sequence[UUID]) -> None:
        """Note which endpoints are slow and which are no longer.

        Raises:
            redis.RedisError: If Valkey is away.
        """
        pipe = self._client.pipeline(transaction=False)
        for each in slow:
            pipe.set(_SLOW + each.hex, "1", ex=SLOW_S)
        if well:
            pipe.delete(*(_SLOW + each.hex for each in well))
        pipe.execute()

    def bar(self, barred: Mapping[UUID, float]) -> None:
        """Note for how many seconds these endpoints need not be rung.

        Raises:
            redis.RedisError: If Valkey is away.
        """
        pipe = self._client.pipeline(transaction=False)
        for each, wait_s in barred.items():
            pipe.set(_BARRED + each.hex, "1", px=max(1, int(wait_s * 1000)))
        pipe.execute()
