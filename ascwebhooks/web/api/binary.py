"""Binary mode: one event whose attributes are headers, and whose body is its data.

It is put together as the structured mode would have it, the data byte for byte,
and judged where every event is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import msgspec
from flask import Request
from werkzeug.exceptions import UnsupportedMediaType

from ascwebhooks.domain.events import MAX_EVENT_BYTES
from ascwebhooks.errors import UnreadableHeader
from ascwebhooks.web.api import batches, bodies

_PREFIX = "ce-"
_NAME = re.compile(r"[a-z0-9]+\Z")
_TAKEN = frozenset({"data", "datacontenttype"})
_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json\Z")
_VISIBLE = re.compile(r"[\x20-\x7e]*\Z")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\Z')
_encode = msgspec.json.Encoder().encode


def event(request: Request) -> bytes:
    """Return the event in a request, in structured mode.

    Args:
        request: Its headers are read in any case; the body is read up to what an
            event may have.  Without a body it is an event without data.

    Raises:
        UnsupportedMediaType: If it has no ``ce-*`` header, or its data is not JSON.
        UnreadableHeader: If a ``ce-*`` header cannot be decoded.
        UnreadableBody: If the body is not one JSON value.
        PayloadTooLarge: If the body is larger than an event may be.

    Source:
        CloudEvents HTTP binding 1.0.2 §3.1 "Binary Content Mode".
    """
    attributes = _attributes(request.headers.items())
    if not attributes:
        raise UnsupportedMediaType
    if request.mimetype and not _JSON.match(request.mimetype):
        raise UnsupportedMediaType
    body = bodies.read(request, MAX_EVENT_BYTES)
    if not body:
        return _encode(attributes)
    # Without a content type, as the older SDKs send it, data has to be JSON too.
    data = batches.value(body)
    return b'%b,"data":%b}' % (_encode(attributes)[:-1], data)


def _attributes(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    names = ((name.lower(), value) for name, value in headers)
    return {
        _attribute(name): _decoded(name, value)
        for name, value in names
        if name.startswith(_PREFIX)
    }


def _attribute(header: str) -> str:
    name = header.removeprefix(_PREFIX)
    if not _NAME.match(name):
        raise _refusal(header, "an attribute's name has a-z and 0-9 alone.")
    if name in _TAKEN:
        raise _refusal(header, "data is the body, and content-type says its type.")
    return name


def _decoded(header: str, value: str) -> str:
    """Return an attribute's value: one round of decoding, no more.

    Source:
        CloudEvents HTTP binding 1.0.2 §3.1.3.2; RFC 9110 §5.6.4 "Quoted Strings".
    """
    if not _VISIBLE.match(value):
        raise _refusal(header, "percent-encode what is not visible ASCII.")
    quoted = _QUOTED.match(value)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    if _BROKEN.search(text):
        raise _refusal(header, "'%' begins two hexadecimal digits; it is %25 itself.")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise _refusal(header, "what is percent-encoded is not UTF-8.") from error


def _refusal(header: str, problem: str) -> UnreadableHeader:
    return UnreadableHeader(f"{header[:100]}: {problem}", field=header[:100])
