"""Events: from a gateway's bytes to what is kept, and to what a receiver gets.

An event is a CloudEvent 1.0 in JSON.  Its ``data`` is never encoded again: the
bytes that came are the bytes that leave.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_DATA_BYTES = 256 * 1024
MAX_EVENT_BYTES = MAX_DATA_BYTES + 64 * 1024
MAX_DEPTH = 64
MAX_KEYS = 10_000
MAX_ATTRIBUTE_CHARACTERS = {
    "id": 256,
    "source": 512,
    "type": 128,
    "tenantid": 64,
    "subject": 512,
    "dataschema": 512,
    "traceparent": 128,
    "tracestate": 512,
    "severitytext": 32,
    "correlationid": 256,
}
_REQUIRED = ("specversion", "id", "source", "type", "tenantid")
_TYPE = re.compile(r"[!-)+-~]+\Z")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_JSON_TYPE = re.compile(r"application/([a-z0-9.+-]+\+)?json\s*(;.*)?\Z", re.IGNORECASE)
#: Any of these in the text is worth a closer look; without them it is skipped.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class Rejected(Exception):
    """An event is not valid; ``code`` is stable, ``detail`` says what to mend."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both apart."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A valid event, before it has an id of ours."""

    tenant_id: str
    type: str
    source: str
    source_id: str
    subject: str | None
    time: datetime | None
    time_text: str | None
    traceparent: str | None
    tracestate: str | None
    dataschema: str | None
    severitytext: str | None
    correlationid: str | None
    data: bytes


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What of an event is sealed beside its data."""

    subject: str | None
    time_text: str
    traceparent: str | None
    tracestate: str | None
    dataschema: str | None
    severitytext: str | None
    correlationid: str | None


class _Envelope(msgspec.Struct):
    """Where msgspec finds the bytes of ``data``; types are checked afterwards."""

    data: msgspec.Raw = msgspec.Raw(b"null")


_envelope = msgspec.json.Decoder(_Envelope)
_kept = msgspec.json.Decoder(Kept)
_encode = msgspec.json.Encoder().encode


def parse(raw: bytes) -> Event:
    """Return the event in ``raw``.

    Args:
        raw: One CloudEvent 1.0 in JSON (structured mode), UTF-8.

    Raises:
        Rejected: If it is not valid; nothing else is ever raised.

    Source:
        CloudEvents 1.0 §3 "Context attributes"; JSON event format 1.0 §3.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected(
            "event_too_large", f"{len(raw)} bytes; at most {MAX_EVENT_BYTES}."
        )
    attributes = _decode(raw)
    _check_attributes(attributes)
    _check_suspects(raw, attributes)
    data = bytes(_envelope.decode(raw).data)
    if len(data) > MAX_DATA_BYTES:
        raise Rejected(
            "data_too_large", f"data has {len(data)} bytes; at most {MAX_DATA_BYTES}."
        )
    return _event(attributes, data)


def _event(attributes: dict[str, Any], data: bytes) -> Event:
    get = attributes.get
    time_text = get("time")
    return Event(
        tenant_id=attributes["tenantid"],
        type=attributes["type"],
        source=attributes["source"],
        source_id=attributes["id"],
        subject=get("subject"),
        time=None if time_text is None else _time(time_text),
        time_text=time_text,
        traceparent=get("traceparent"),
        tracestate=get("tracestate"),
        dataschema=get("dataschema"),
        severitytext=get("severitytext"),
        correlationid=get("correlationid"),
        data=data,
    )


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Rejected("not_utf8", f"byte {error.start} is not UTF-8.") from error
    try:
        value = _load(text)
    except RecursionError as error:
        raise Rejected("too_deep", f"nested deeper than {MAX_DEPTH}.") from error
    except json.JSONDecodeError as error:
        raise Rejected("not_json", f"{error}."[:300]) from error
    except ValueError as error:
        # Python's own bound: the time that digits take grows with their square.
        digits = sys.get_int_max_str_digits()
        raise Rejected(
            "number_too_long",
            f"an integer has more than {digits:,} digits; send it as a string.",
        ) from error
    if not isinstance(value, dict):
        raise Rejected("not_an_object", "an event is a JSON object.")
    # Each level takes a bracket: few brackets cannot be deep.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        # Counted at once: there may be 40,000 of which the last two are equal.
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise Rejected("duplicate_key", f"the key {twice[:100]!r} stands twice.")
    if len(pairs) > MAX_KEYS:
        raise Rejected("too_many_keys", f"an object has more than {MAX_KEYS} keys.")
    return value


def _no_constant(name: str) -> None:
    raise Rejected("not_a_number", f"{name} is not JSON.")


_load = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise Rejected("too_deep", f"nested deeper than {MAX_DEPTH}.")
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]


def _check_attributes(attributes: dict[str, Any]) -> None:
    for name in _REQUIRED:
        if attributes.get(name) in (None, ""):
            raise Rejected("missing_attribute", f"{name} is required.")
    if attributes["specversion"] != "1.0":
        raise Rejected("unsupported_specversion", 'specversion must be "1.0".')
    if "data_base64" in attributes:
        raise Rejected("data_base64_unsupported", "send JSON in data instead.")
    for name, limit in MAX_ATTRIBUTE_CHARACTERS.items():
        if attributes.get(name) is not None:
            _check_text(name, attributes[name], limit)
    if not _TYPE.match(attributes["type"]):
        raise Rejected(
            "invalid_attribute", "type takes visible ASCII characters other than '*'."
        )
    _check_content_type(attributes.get("datacontenttype"))


def _check_text(name: str, value: Any, limit: int) -> None:
    if not isinstance(value, str):
        raise Rejected("invalid_attribute", f"{name} must be a string.")
    if len(value) > limit:
        raise Rejected("invalid_attribute", f"{name} is longer than {limit}.")
    if not value.isprintable():
        raise Rejected("invalid_attribute", f"{name} has unprintable characters.")


def _check_content_type(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not _JSON_TYPE.match(value):
        raise Rejected("unsupported_datacontenttype", "datacontenttype must be JSON's.")


def _time(value: Any) -> datetime:
    if not isinstance(value, str) or not _TIME.match(value):
        raise Rejected("invalid_attribute", "time must be RFC 3339 with a zone.")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Rejected("invalid_attribute", f"time: {error}.") from error


def _check_suspects(raw: bytes, attributes: dict[str, Any]) -> None:
    if not _SUSPECT.search(raw):
        return
    for text in _strings(attributes):
        if "\0" in text:
            raise Rejected("nul_character", r"\u0000 cannot be stored or sent.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Rejected(
                "lone_surrogate", "half of a surrogate pair is not a character."
            ) from error


def _strings(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            stack.extend(each)
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)


def digest(source: str, source_id: str) -> bytes:
    """Return the key by which an event is known again, within its tenant."""
    return hashlib.sha256(f"{source}\0{source_id}".encode()).digest()


def content(event: Event) -> bytes:
    """Return what must be the same when the same id comes again.

    The attributes that a receiver sees and the bytes of ``data``; neither the
    order of the attributes nor the trace that carried it.
    """
    head = (event.type, event.subject, event.time_text, event.dataschema)
    return _encode(head) + event.data


def keep(event: Event, arrival: datetime) -> bytes:
    """Return what is sealed of an event; ``arrival`` stands in for a missing time."""
    head = Kept(
        event.subject,
        event.time_text or iso(arrival),
        event.traceparent,
        event.tracestate,
        event.dataschema,
        event.severitytext,
        event.correlationid,
    )
    return _encode(head) + b"\n" + event.data


def unpack(kept: bytes) -> tuple[Kept, bytes]:
    """Return the attributes and the data in what ``keep`` returned."""
    head, _, data = kept.partition(b"\n")
    return _kept.decode(head), data


def standard_body(
    *, type: str, source: str, source_id: str, tenant_id: str, kept: Kept, data: bytes
) -> bytes:
    """Return the body of format ``standard``: the same bytes at every attempt.

    Source:
        Standard Webhooks 1.0, "Payload structure"; CONTRACT "A receiver gets".
    """
    head = {
        "type": type,
        "timestamp": kept.time_text,
        "id": source_id,
        "source": source,
        "subject": kept.subject,
        "tenant_id": tenant_id,
    }
    return b'%b,"data":%b}' % (_encode(head)[:-1], data)


def iso(when: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with milliseconds."""
    text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
