"""Ingestion: from the stream to ``Acceptance``, and settled only after the commit."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from threading import Event

import redis
import structlog

from ascwebhooks.errors import Unavailable
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.intakes import Postponed
from ascwebhooks.storage.streams import BEGINNING, Entry, Stream

log = structlog.get_logger()

BLOCK_MS = 1_000
FIELD = b"event"
_TAKE_OVER_EVERY_S = 15.0
_PAUSE_S = (0.05, 2.0)


class Ingestion:
    """One reader of the stream; scaling is starting another."""

    def __init__(self, stream: Stream, acceptance: Acceptance, batch: int) -> None:
        """Take the parts; ``batch`` is how many entries are read at once."""
        self._stream = stream
        self._acceptance = acceptance
        self._batch = batch
        self._stopping = Event()
        self._pause_s = 0.0
        self._took_over_at = 0.0
        self._round = BEGINNING
        self._recover = True

    def stop(self) -> None:
        """Ask ``run`` to return after the batch in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Read and accept until stopped; nothing that goes wrong ends it.

        Whatever was read and not settled is read again: after an error here by
        this reader itself, after a crash by whoever takes over.
        """
        while not self._stopping.is_set():
            try:
                self._step()
                self._pause_s = 0.0
            except redis.ResponseError as error:
                self._mend(error)
            except redis.RedisError as error:
                self._wait("stream_away", error)
            except Unavailable as error:
                self._wait("database_away", error)
            except Exception as error:
                log.exception("ingestion_failed")
                self._wait("ingestion_paused", error)
        self._leave()

    def _step(self) -> None:
        if self._recover:
            self._stream.make_group()
            after = b"0"
            while entries := self._stream.mine(self._batch, after):
                self._accept(entries)
                after = entries[-1].id
            self._recover = False
        since = time.monotonic() - self._took_over_at
        if self._round != BEGINNING or since > _TAKE_OVER_EVERY_S:
            self._take_over()
        self._accept(self._stream.read(self._batch, BLOCK_MS))

    def _take_over(self) -> None:
        """Go on with a round through all that is in hand, a batch at a time.

        Each round begun anew would never come to what is behind many entries that
        others have in hand, or that were postponed.
        """
        self._round, entries = self._stream.take_over(self._batch, self._round)
        self._accept(entries)
        if self._round == BEGINNING:
            self._stream.forget_the_dead()
            self._took_over_at = time.monotonic()

    def _accept(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        raws = [_raw(each) for each in entries]
        verdicts = self._acceptance.accept(raws, via="stream")
        settled = [
            entry.id
            for entry, verdict in zip(entries, verdicts, strict=True)
            if not isinstance(verdict, Postponed)
        ]
        # What is postponed stays in hand, and is taken over like a dead reader's.
        if settled:
            self._stream.settle(settled)

    def _mend(self, error: redis.ResponseError) -> None:
        if "NOGROUP" in str(error) or "UNBLOCKED" in str(error):
            log.warning("stream_group_made_again", error=str(error)[:200])
            self._recover = True
            return
        self._wait("stream_refused", error)

    def _wait(self, event: str, error: Exception) -> None:
        low, high = _PAUSE_S
        self._pause_s = min(high, self._pause_s * 2 or low)
        self._recover = True
        log.warning(event, error=repr(error), retry_in_s=self._pause_s)
        self._stopping.wait(self._pause_s)

    def _leave(self) -> None:
        try:
            self._stream.leave()
        except redis.RedisError as error:
            log.warning("stream_not_left", error=repr(error))


def _raw(entry: Entry) -> bytes:
    """Return the event in an entry; what has none is shown as it is, to be refused."""
    event = entry.fields.get(FIELD)
    if event is not None:
        return event
    fields = {
        name.decode(errors="replace"): value.decode(errors="replace")[:1000]
        for name, value in entry.fields.items()
    }
    return json.dumps({"no field 'event' in the stream entry": fields}).encode()
