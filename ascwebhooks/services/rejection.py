"""What can be told of an event that is not valid."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

_SHOWN_CHARACTERS = 256
_HIDDEN = re.compile(r"[^ -~\u00a0-\ud7ff\ue000-\ufffd]")


class Peeked(NamedTuple):
    """The attributes that could be read, cut short and made printable."""

    tenant_id: str | None
    type: str | None
    source: str | None
    source_id: str | None


class _Loose(msgspec.Struct):
    tenantid: object = None
    type: object = None
    source: object = None
    id: object = None


_decode = msgspec.json.Decoder(_Loose).decode
_MAX_PEEKED_BYTES = 2 * 1024 * 1024


def peek(raw: bytes) -> Peeked:
    """Return what of an invalid event can be read, to find it by."""
    try:
        loose = _decode(raw) if len(raw) <= _MAX_PEEKED_BYTES else _Loose()
    except (msgspec.DecodeError, RecursionError, ValueError):
        loose = _Loose()
    return Peeked(
        tenant_id=_text(loose.tenantid),
        type=_text(loose.type),
        source=_text(loose.source),
        source_id=_text(loose.id),
    )


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return _HIDDEN.sub("\ufffd", value[:_SHOWN_CHARACTERS])
