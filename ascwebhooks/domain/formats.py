"""How an event leaves: the body, and the headers that belong to it, by format.

An endpoint chooses one of three.  All are signed the same way, over the bytes of
the body; in binary mode the attributes are headers and are not signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from ascwebhooks.domain.events import Kept, standard_body

#: What stays as it is in a header: U+0021 to U+007E but for '"' and '%'.
_PLAIN = "".join(chr(each) for each in range(0x21, 0x7F) if chr(each) not in '"%')
_encode = msgspec.json.Encoder().encode

Headers = tuple[tuple[str, str], ...]


class Format(StrEnum):
    """What a receiver gets."""

    STANDARD = "standard"
    CLOUDEVENTS = "cloudevents"
    CLOUDEVENTS_BINARY = "cloudevents-binary"


CONTENT_TYPES: dict[str, str] = {
    Format.STANDARD: "application/json",
    Format.CLOUDEVENTS: "application/cloudevents+json",
    Format.CLOUDEVENTS_BINARY: "application/json",
}


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event, opened."""

    type: str
    source: str
    source_id: str
    tenant_id: str
    kept: Kept
    data: bytes


class Content(NamedTuple):
    """A body, and the headers that the event adds to those of its endpoint."""

    body: bytes
    headers: Headers = ()


def content(format: str, event: Original) -> Content:
    """Return what is sent of an event in a format: the same at every attempt."""
    return _WRITERS[format](event)


def format_sent(headers: Iterable[tuple[str, str]]) -> Format:
    """Return the format of a request that was made, by its headers."""
    found = {name.lower(): value for name, value in headers}
    if "ce-specversion" in found:
        return Format.CLOUDEVENTS_BINARY
    if found.get("content-type") == CONTENT_TYPES[Format.CLOUDEVENTS]:
        return Format.CLOUDEVENTS
    return Format.STANDARD


def header_value(text: str) -> str:
    """Return an attribute's value as a header has it.

    Source:
        CloudEvents HTTP binding 1.0.2 §3.1.3.2 "HTTP Header Values".
    """
    return quote(text, safe=_PLAIN)


def _standard(event: Original) -> Content:
    body = standard_body(
        type=event.type,
        source=event.source,
        source_id=event.source_id,
        tenant_id=event.tenant_id,
        kept=event.kept,
        data=event.data,
    )
    return Content(body)


def _structured(event: Original) -> Content:
    """Write structured mode.

    Source:
        CloudEvents JSON event format 1.0.2 §3; HTTP binding 1.0.2 §3.2.
    """
    head = _encode(_attributes(event))
    return Content(b'%b,"data":%b}' % (head[:-1], event.data))


def _binary(event: Original) -> Content:
    """Write binary mode: ``datacontenttype`` is the content type, and no header.

    Source:
        CloudEvents HTTP binding 1.0.2 §3.1.
    """
    attributes = _attributes(event)
    del attributes["datacontenttype"]
    headers = [(f"ce-{each}", header_value(attributes[each])) for each in attributes]
    return Content(event.data, tuple(headers))


def _attributes(event: Original) -> dict[str, str]:
    kept = event.kept
    attributes = {
        "specversion": "1.0",
        "id": event.source_id,
        "source": event.source,
        "type": event.type,
        "subject": kept.subject,
        "time": kept.time_text,
        "tenantid": event.tenant_id,
        "datacontenttype": "application/json",
        "dataschema": kept.dataschema,
        "traceparent": kept.traceparent,
        "tracestate": kept.tracestate,
        "severitytext": kept.severitytext,
        "correlationid": kept.correlationid,
    }
    # CloudEvents knows no empty attribute: it is absent.
    return {name: value for name, value in attributes.items() if value}


_WRITERS: dict[str, Callable[[Original], Content]] = {
    Format.STANDARD: _standard,
    Format.CLOUDEVENTS: _structured,
    Format.CLOUDEVENTS_BINARY: _binary,
}
