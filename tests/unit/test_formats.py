"""What leaves in each format, read back by the reference SDK."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import events, formats
from ascwebhooks.domain.formats import CONTENT_TYPES, Format, Original

DATA = b'{"spend" : 103.20, "n":1.0e2, "name":"caf\\u00e9"}'
#: Printable in Python's sense: what an event may have in an attribute.
TEXT = st.text(min_size=1, max_size=40).filter(str.isprintable)
EVERYTHING = {
    "subject": 'team "Süd" 100% 🎈',
    "time": "2026-11-23T11:18:28.5+01:00",
    "dataschema": "https://example.com/schema.json#/a%20b",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1,b=2",
    "severitytext": "WARN",
    "correlationid": "r-1",
}


def original(data=DATA, **attributes):
    """An event as it is after it was accepted, sealed and opened."""
    whole = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/gateway/eu-1",
        "type": "budget.exceeded",
        "tenantid": "acme",
        **attributes,
    }
    raw = json.dumps(whole).encode()[:-1] + b',"data":' + data + b"}"
    parsed = events.parse(raw)
    arrival = datetime(2026, 11, 23, tzinfo=UTC)
    kept, kept_data = events.unpack(events.keep(parsed, arrival))
    return Original(
        type=parsed.type,
        source=parsed.source,
        source_id=parsed.source_id,
        tenant_id=parsed.tenant_id,
        kept=kept,
        data=kept_data,
    )


def read(format, content):
    headers = {"content-type": CONTENT_TYPES[format], **dict(content.headers)}
    return from_http_event(HTTPMessage(headers=headers, body=content.body))


@pytest.mark.parametrize("format", [Format.CLOUDEVENTS, Format.CLOUDEVENTS_BINARY])
def test_the_reference_sdk_reads_every_attribute(format):
    """Both modes carry all that was accepted, extensions too."""
    found = read(format, formats.content(format, original(**EVERYTHING)))

    assert found.get_id() == "e-1"
    assert found.get_source() == "/gateway/eu-1"
    assert found.get_type() == "budget.exceeded"
    assert found.get_specversion() == "1.0"
    assert found.get_datacontenttype() == "application/json"
    assert found.get_time() == datetime.fromisoformat(EVERYTHING["time"])
    assert found.get_subject() == EVERYTHING["subject"]
    assert found.get_dataschema() == EVERYTHING["dataschema"]
    assert found.get_extension("tenantid") == "acme"
    for name in ("traceparent", "tracestate", "severitytext", "correlationid"):
        assert found.get_extension(name) == EVERYTHING[name]
    assert found.get_data() == json.loads(DATA)


@pytest.mark.parametrize("format", [Format.CLOUDEVENTS, Format.CLOUDEVENTS_BINARY])
def test_what_an_event_does_not_have_is_absent(format):
    """An empty attribute is none either; a missing time is the arrival."""
    found = read(format, formats.content(format, original(subject="")))

    assert set(found.get_attributes()) == {
        *("specversion", "id", "source", "type", "time", "tenantid"),
        "datacontenttype",
    }
    assert found.get_time() == datetime(2026, 11, 23, tzinfo=UTC)


def test_data_leaves_byte_for_byte():
    structured = formats.content(Format.CLOUDEVENTS, original())
    binary = formats.content(Format.CLOUDEVENTS_BINARY, original())

    assert structured.body.endswith(b',"data":' + DATA + b"}")
    assert structured.headers == ()
    assert binary.body == DATA


def test_the_standard_format_adds_no_headers():
    content = formats.content(Format.STANDARD, original(**EVERYTHING))
    assert content.headers == ()
    assert content.body.endswith(b',"data":' + DATA + b"}")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),  # the binding's own example
        ('a"b', "a%22b"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("/a?b=c&d#e:f;g,h'(~)", "/a?b=c&d#e:f;g,h'(~)"),
        ("\u00a0", "%C2%A0"),
    ],
)
def test_headers_are_encoded_as_the_binding_says(text, header):
    assert formats.header_value(text) == header


@given(subject=TEXT, source=TEXT)
def test_any_attribute_survives_binary_mode(subject, source):
    """Whatever an event may hold comes back, and never breaks out of its header."""
    content = formats.content(
        Format.CLOUDEVENTS_BINARY, original(subject=subject, source=source)
    )
    for _, value in content.headers:
        assert all("\x21" <= each <= "\x7e" for each in value)
    found = read(Format.CLOUDEVENTS_BINARY, content)
    assert (found.get_subject(), found.get_source()) == (subject, source)


@given(subject=TEXT)
def test_structured_mode_is_an_event_that_we_would_accept(subject):
    """What leaves in structured mode is what comes in: parsing it changes nothing."""
    event = original(subject=subject)
    again = events.parse(formats.content(Format.CLOUDEVENTS, event).body)
    assert (again.subject, again.data) == (subject, event.data)
    assert msgspec.structs.asdict(again)["time_text"] == event.kept.time_text


@pytest.mark.parametrize("format", list(Format))
def test_the_format_of_a_request_that_was_made_is_known_by_its_headers(format):
    content = formats.content(format, original())
    sent = (("Content-Type", CONTENT_TYPES[format]), ("x-own", "a"), *content.headers)
    assert formats.format_sent(sent) is format
