"""Ids: UUIDv7 inside, TypeIDs (``evt_01h2xcejqtf2nbrexx3vqjhp41``) outside.

Partitions are days of the ids' own milliseconds, so an id alone says where its
row lies; a delivery's id carries the millisecond of its event's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, SafeUUID

from typeid import TypeID
from typeid.codecs import base32
from typeid.errors import TypeIDException

from ascwebhooks.errors import NotFound

_RANDOM_BITS = 74
_RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_new, _set = object.__new__, object.__setattr__
# Python 3.11 finds a member of an enum by running Python code each time.
_UNKNOWN = SafeUUID.unknown


class Kind(StrEnum):
    """The prefix of each kind of id."""

    EVENT = "evt"
    DELIVERY = "dlv"
    ATTEMPT = "att"
    ENDPOINT = "ep"
    SUBSCRIPTION = "sub"
    SECRET = "sec"  # noqa: S105 - a prefix
    API_KEY = "key"
    REJECTED_EVENT = "rej"
    REPLAY = "rpl"
    USER = "usr"
    SESSION = "ses"
    PORTAL_LINK = "lnk"
    BUDGET = "bud"
    RULE = "rul"
    INCIDENT = "inc"


def uuid7(ms: int, random: bytes) -> UUID:
    """Return the UUIDv7 of a millisecond.

    Args:
        ms: Milliseconds since 1970-01-01 UTC.
        random: Ten random bytes; 74 bits of them are used.

    Source:
        RFC 9562 §5.7.
    """
    return _compose(ms, int.from_bytes(random, "big") >> 6)


def uuid7_batch(ms: int, random: bytes) -> list[UUID]:
    """Return UUIDv7s of one millisecond in ascending order.

    Args:
        ms: Milliseconds since 1970-01-01 UTC.
        random: Ten random bytes for each id wanted.
    """
    chances = sorted(
        int.from_bytes(random[at : at + _RANDOM_BYTES], "big") >> 6
        for at in range(0, len(random), _RANDOM_BYTES)
    )
    return [_compose(ms, chance) for chance in chances]


def _compose(ms: int, chance: int) -> UUID:
    high, low = chance >> 62, chance & ((1 << 62) - 1)
    return from_int(ms << 80 | 0x7000 << 64 | high << 64 | 0b10 << 62 | low)


def from_int(value: int) -> UUID:
    """Return ``UUID(int=value)`` at half the price: five are made for a delivery.

    Args:
        value: Within 128 bits; nobody looks.
    """
    made = _new(UUID)
    _set(made, "int", value)
    _set(made, "is_safe", _UNKNOWN)
    return made


def from_text(text: str) -> UUID:
    """Return the UUID in PostgreSQL's spelling of one, which needs no checks."""
    return from_int(int(text.replace("-", ""), 16))


def random_bytes(count: int) -> int:
    """Return how many random bytes ``uuid7_batch`` takes for ``count`` ids."""
    return count * _RANDOM_BYTES


def milliseconds(value: UUID) -> int:
    """Return the milliseconds since 1970-01-01 UTC that a UUIDv7 carries."""
    return value.int >> 80


def moment(value: UUID) -> datetime:
    """Return the time that a UUIDv7 carries, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=milliseconds(value))


def day(value: UUID) -> date:
    """Return the day (UTC) of a UUIDv7: its partition."""
    return moment(value).date()


def day_text(value: UUID) -> str:
    """Return the day (UTC) of a UUIDv7 as ``2026-07-01``."""
    return _day_text(milliseconds(value) // _DAY_MS)


@lru_cache(maxsize=128)
def _day_text(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def lowest(moment: datetime) -> UUID:
    """Return the lower bound of every UUIDv7 made at ``moment`` or after.

    It is not a valid UUIDv7 itself; it serves as a bound only.
    """
    return UUID(int=((moment - _EPOCH) // timedelta(milliseconds=1)) << 80)


def show(kind: Kind, value: UUID) -> str:
    """Return the id as people see it."""
    return kind + "_" + base32.encode(value.bytes)


def read(kind: Kind, text: str) -> UUID:
    """Return the UUID in a TypeID of the kind that is expected.

    Raises:
        NotFound: If it is no such id; there cannot be anything behind it.
    """
    try:
        parsed = TypeID.from_string(text)
    except TypeIDException as error:
        raise NotFound(f"{text[:64]!r} is not an id of the form {kind}_….") from error
    if parsed.prefix != kind.value:
        raise NotFound(f"{text[:64]!r} is not an id of the form {kind}_….")
    return UUID(int=parsed.uuid.int)


class Window(NamedTuple):
    """Bounds of the ids that may be kept: statements over partitions name them."""

    low: UUID
    high: UUID


def window(now: datetime, retention: timedelta) -> Window:
    """Return the bounds within which rows are kept.

    A day is added on either side, so that neither a clock that is off nor a day
    that is about to be dropped matters.
    """
    slack = timedelta(days=1)
    return Window(lowest(now - retention - slack), lowest(now + slack))


def same_millisecond(value: UUID) -> Window:
    """Return the bounds of the ids that carry the same millisecond as ``value``."""
    ms = milliseconds(value)
    return Window(UUID(int=ms << 80), UUID(int=(ms + 1) << 80))
