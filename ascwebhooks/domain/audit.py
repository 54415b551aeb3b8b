"""The audit log: who acts, what an entry says, and the chain of hashes.

An entry's hash is SHA-256 over the hash of the entry before it (32 bytes; zeros
before the first) followed by the entry in its canonical encoding: a JSON array in
UTF-8 without white space and with sorted keys of

``[seq, at, actor_kind, actor_id, actor_name, action, resource_kind, resource_id,
tenant_id, address, request_id, detail]``

where ``at`` is RFC 3339 in UTC with six digits of a second and ``tenant_id`` may be
null.  Whoever holds a copy of a hash can tell later whether anything up to there was
changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

#: Before the first entry.
GENESIS = bytes(32)
_LONGEST_TEXT = 500


class ActorKind(StrEnum):
    """How somebody comes to act."""

    PERSON = "person"
    PORTAL = "portal"
    API_KEY = "api_key"
    COMMAND = "command"
    SYSTEM = "system"


class Actor(NamedTuple):
    """Who acts, from where, in which request."""

    kind: ActorKind
    id: str
    name: str
    address: str = ""
    request_id: str = ""


SYSTEM = Actor(ActorKind.SYSTEM, "system", "ascwebhooks")


class Wanted(NamedTuple):
    """What an entry is to say, before it has its place in the chain."""

    action: str
    resource_kind: str
    resource_id: str
    tenant_id: str | None
    detail: Mapping[str, Any]


class Entry(Protocol):
    """An entry of the log, as it is stored."""

    seq: Any
    at: Any
    actor_kind: Any
    actor_id: Any
    actor_name: Any
    action: Any
    resource_kind: Any
    resource_id: Any
    tenant_id: Any
    address: Any
    request_id: Any
    detail: Any
    previous: Any
    hash: Any


class Broken(NamedTuple):
    """Where a chain is broken, and how that shows."""

    seq: int
    why: str


def encoded(entry: Entry) -> bytes:
    """Return an entry in its canonical encoding."""
    return json.dumps(
        [
            entry.seq,
            _moment(entry.at),
            entry.actor_kind,
            entry.actor_id,
            entry.actor_name,
            entry.action,
            entry.resource_kind,
            entry.resource_id,
            entry.tenant_id,
            entry.address,
            entry.request_id,
            entry.detail,
        ],
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    ).encode()


def chained(previous: bytes, entry: Entry) -> bytes:
    """Return the hash of an entry that follows on ``previous``."""
    return hashlib.sha256(previous + encoded(entry)).digest()


class Chain:
    """Walks a chain, from its beginning, and stops where it is broken."""

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS

    def follow(self, entries: Iterable[Entry]) -> Broken | None:
        """Return where the next entries do not follow on what was there, if anywhere.

        Args:
            entries: In the order of ``seq``.
        """
        for entry in entries:
            expected = self.seq + 1
            if entry.seq != expected:
                return Broken(expected, f"it is missing; {entry.seq} comes next")
            if bytes(entry.previous) != self.hash:
                return Broken(entry.seq, "it does not follow on the entry before it")
            if bytes(entry.hash) != chained(self.hash, entry):
                return Broken(entry.seq, "it was changed after it was written")
            self.seq, self.hash = entry.seq, bytes(entry.hash)
        return None


def clean(value: Any) -> Any:
    """Return a detail as it can be kept: JSON without floats, NUL or long text.

    PostgreSQL may write a float differently from how it came, and the hash would
    not fit any more.
    """
    if isinstance(value, Mapping):
        return {clean(str(name)): clean(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        ordered = (
            sorted(value, key=str) if isinstance(value, set | frozenset) else value
        )
        return [clean(each) for each in ordered]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return _moment(value)
    return text(str(value))


def text(value: str) -> str:
    """Return text without NUL and lone surrogates, and cut if it is long."""
    kept = value.replace("\0", "").encode(errors="replace").decode()
    return kept if len(kept) <= _LONGEST_TEXT else kept[:_LONGEST_TEXT] + "…"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


#: The columns of an export, in order.
COLUMNS = (
    "seq",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "action",
    "resource_kind",
    "resource_id",
    "tenant_id",
    "address",
    "request_id",
    "detail",
    "previous",
    "hash",
)


def shown(entry: Entry) -> dict[str, Any]:
    """Return an entry as exports have it: times in RFC 3339, hashes in hexadecimal."""
    row = {name: getattr(entry, name) for name in COLUMNS}
    for name in ("previous", "hash"):
        row[name] = bytes(row[name]).hex()
    return {**row, "at": _moment(entry.at)}
