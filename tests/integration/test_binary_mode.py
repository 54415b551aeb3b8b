"""Events that come in binary mode: attributes in headers, data as the body."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings.http import to_binary_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_binary
from cloudevents.v1.http import CloudEvent as OlderCloudEvent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "event-1",
    "ce-source": "/gateways/one",
    "ce-type": "budget.exceeded",
    "ce-tenantid": "acme",
}
DATA = b'{"spend" : 103.20, "n":1.0e2}'


def post(api, body=DATA, content_type="application/json", **headers):
    """Publish in binary mode; an attribute of None is left out."""
    more = {f"ce-{name}": value for name, value in headers.items()}
    whole = {name: each for name, each in (HEADERS | more).items() if each is not None}
    return api.post("/events", data=body, content_type=content_type, headers=whole)


def accepted(api, answer):
    """Return the one event that was accepted, as the API shows it."""
    assert answer.status_code == 202, answer.text
    (one,) = answer.json["accepted"]
    return api.get(f"/tenants/acme/events/{one['id']}")


def kept_rejections(api):
    return api.get("/rejected-events").json["items"]


def test_what_the_reference_sdk_sends_is_accepted_whole(api):
    attributes = {
        "id": "event-1",
        "source": "/gateways/one",
        "type": "budget.exceeded",
        "tenantid": "acme",
        "subject": 'team "Süd" 100% 🎈',
        "datacontenttype": "application/json; charset=utf-8",
        "traceparent": TRACE,
        "severitytext": "WARN",
        "correlationid": "r %41",
        "specversion": "1.0",
    }
    message = to_binary_event(CloudEvent(attributes, {"spend": 103.2}))
    found = accepted(
        api, api.post("/events", data=message.body, headers=message.headers)
    ).json

    assert found["source_id"] == "event-1"
    for name in ("source", "type", "subject", "traceparent", "severitytext"):
        assert found[name] == attributes[name]
    assert found["correlationid"] == "r %41", "decoded once, and no more"
    assert found["data"] == {"spend": 103.2}


def test_what_the_older_sdk_sends_is_accepted(api):
    attributes = {"source": "/a", "type": "a.b", "tenantid": "acme", "subject": "a b"}
    headers, body = to_binary(OlderCloudEvent(attributes, {"a": 1}))
    assert "content-type" not in headers
    answer = api.post("/events", data=body, headers=headers)
    assert accepted(api, answer).json["subject"] == "a b"


@pytest.mark.parametrize("data", [DATA, b' {"a":1}\n', b"null", b"1.0", b'"a,\\"b"'])
def test_data_is_kept_byte_for_byte(api, data):
    found = accepted(api, post(api, data))
    assert b'"data":' + data.strip() + b"," in found.data


def test_both_modes_are_the_same_event(api, event):
    """The same event in the other mode is a duplicate."""
    assert post(api, DATA).json["accepted"][0]["duplicate"] is False
    again = api.publish_body(event(DATA.decode()), "application/cloudevents+json")
    assert again.json["accepted"][0]["duplicate"] is True


@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_no_body_is_no_data(api, content_type):
    found = accepted(api, post(api, b"", content_type))
    assert found.json["data"] is None


@pytest.mark.parametrize(
    ("given", "decoded"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("a b", "a b"),
        ("%41%62", "Ab"),
        ("%2541", "%41"),
        ('"a \\"b\\" c"', 'a "b" c'),
        ('"%22"', '"'),
        ("+", "+"),
    ],
)
def test_a_header_is_decoded_as_the_binding_says(api, given, decoded):
    assert accepted(api, post(api, subject=given)).json["subject"] == decoded


def test_an_unknown_extension_does_no_harm(api):
    assert post(api, region="eu").status_code == 202


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "%FF"),
        ("subject", "%ED%A0%80"),
        ("subject", "100%"),
        ("subject", "%4"),
        ("subject", "%zz"),
        ("subject", "S\u00fcd"),
        ("my-own", "a"),
        ("data", "1"),
        ("datacontenttype", "application/json"),
    ],
)
def test_a_header_that_cannot_be_read_is_named_and_leaves_no_row(api, name, value):
    refused = post(api, **{name: value})
    assert (refused.status_code, refused.json["code"]) == (400, "unreadable_header")
    assert list(refused.json["errors"]) == [f"ce-{name}"]
    assert kept_rejections(api) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": None}, "missing_attribute"),
        ({"id": ""}, "missing_attribute"),
        ({"specversion": "0.3"}, "unsupported_specversion"),
        ({"time": "yesterday"}, "invalid_attribute"),
        ({"subject": "%00"}, "invalid_attribute"),
        ({"type": "a" * 129}, "invalid_attribute"),
        ({"tenantid": "nobody"}, "unknown_tenant"),
    ],
)
def test_an_event_that_is_not_valid_is_rejected_with_a_row(api, change, code):
    """As in the other modes: what could be read is kept, to be mended."""
    refused = post(api, **change)
    assert (refused.status_code, refused.json["code"]) == (422, "events_rejected")
    assert [each["code"] for each in refused.json["rejected"]] == [code]
    assert [each["code"] for each in kept_rejections(api)] == [code]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"plain text",
        b" ",
        b"1 2",
        b'1,"subject":"smuggled"',
        b'1}{"a":2',
        b"[" * 100_000 + b"]" * 100_000 + b',"subject":"smuggled"',
    ],
)
def test_a_body_that_is_not_one_json_value_is_400(api, body):
    """Nothing in a body becomes an attribute."""
    refused = post(api, body)
    assert (refused.status_code, refused.json["code"]) == (400, "unreadable_body")
    assert kept_rejections(api) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b"NaN", "not_a_number"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'"\\u0000"', "nul_character"),
        (b'"\xff"', "not_utf8"),
        (b'"' + b"a" * 262_144 + b'"', "data_too_large"),
    ],
)
def test_poison_in_data_is_rejected_with_its_reason(api, body, code):
    refused = post(api, body)
    assert refused.status_code == 422
    assert [each["code"] for each in refused.json["rejected"]] == [code]


def test_a_body_larger_than_an_event_is_413(api):
    refused = post(api, b'"' + b"a" * 400_000 + b'"')
    assert (refused.status_code, refused.json["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/octet-stream"]
)
def test_data_that_is_not_json_is_415(api, content_type):
    refused = post(api, DATA, content_type)
    assert refused.status_code == 415
    assert refused.json["code"] == "unsupported_media_type"


def test_json_without_an_attribute_is_415(api):
    refused = api.post("/events", json.loads(DATA))
    assert refused.status_code == 415


def test_structured_mode_wins_over_headers(api, event):
    """By its content type; headers that happen to be there say nothing."""
    answer = post(api, event("2", id="other"), "application/cloudevents+json")
    assert answer.json["accepted"][0]["source_id"] == "other"
