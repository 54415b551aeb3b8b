from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import ascwebhooks.embedded
from ascwebhooks.domain.events import (
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_DATA_BYTES,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_KEYS,
    Rejected,
    content,
    digest,
    keep,
    parse,
    standard_body,
    unpack,
)

ARRIVAL = datetime(2026, 11, 23, 7, 41, 49, 223_000, UTC)
SAMPLES = Path(ascwebhooks.embedded.__file__).with_name("sample_events.jsonl")

VALID = {
    "specversion": "1.0",
    "id": "a-1",
    "source": "/gateways/one",
    "type": "budget.exceeded",
    "tenantid": "acme",
}
LONGEST = {
    name: "x" * limit
    for name, limit in MAX_ATTRIBUTE_CHARACTERS.items()
    if name != "traceparent"
}


def event(data: str | bytes | None = None, /, **attributes: object) -> bytes:
    """Return an event; an attribute that is ``...`` is left out."""
    kept = {k: v for k, v in {**VALID, **attributes}.items() if v is not ...}
    head = json.dumps(kept).encode()
    if data is None:
        return head
    value = data.encode() if isinstance(data, str) else data
    return head[:-1] + b', "data": ' + value + b"}"


def code_of(raw: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        parse(raw)
    assert caught.value.detail, "a rejection says what to mend"
    assert len(caught.value.detail) < 1000, "and does not repeat the event"
    return caught.value.code


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


def test_a_whole_event_is_read():
    raw = event(
        '{"a": 1}',
        subject="team/é",
        time="2026-11-23T08:41:49.5+01:00",
        traceparent="00-1bce8a179d2a4e698d470840bec83ee4-b7ad6b7169203331-01",
        tracestate="vendor=1",
        dataschema="https://example.com/schema",
        severitytext="WARN",
        correlationid="c-1",
        datacontenttype="application/json",
        someextension="kept by nobody",
    )

    read = parse(raw)

    assert read.tenant_id == "acme"
    assert (read.type, read.source, read.source_id) == (
        "budget.exceeded",
        "/gateways/one",
        "a-1",
    )
    assert read.time == datetime(2026, 11, 23, 7, 41, 49, 500_000, UTC)
    assert read.time_text == "2026-11-23T08:41:49.5+01:00"
    assert read.subject == "team/é"
    assert read.traceparent.startswith("00-1bce")
    assert (read.tracestate, read.dataschema) == (
        "vendor=1",
        "https://example.com/schema",
    )
    assert (read.severitytext, read.correlationid) == ("WARN", "c-1")
    assert read.data == b'{"a": 1}'


def test_absent_data_is_null():
    assert parse(event()).data == b"null"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"", "not_json", id="nothing"),
        pytest.param(b"hello", "not_json", id="a word"),
        pytest.param(event()[:-1], "not_json", id="cut off"),
        pytest.param(event() + b"x", "not_json", id="something after it"),
        pytest.param(event() + event(), "not_json", id="two in one"),
        pytest.param(b"\xef\xbb\xbf" + event(), "not_json", id="byte order mark"),
        pytest.param(event('"a\nb"'), "not_json", id="raw line break in a string"),
        pytest.param(event("01"), "not_json", id="leading zero"),
        pytest.param(event("{'a': 1}"), "not_json", id="single quotes"),
        pytest.param(event('"\\x41"'), "not_json", id="unknown escape"),
        pytest.param(event("[1,]"), "not_json", id="trailing comma"),
        pytest.param(event("٣"), "not_json", id="a digit of another script"),
        pytest.param(b"\xff" + event(), "not_utf8", id="not UTF-8"),
        pytest.param(event(b'"\xc3\x28"'), "not_utf8", id="broken UTF-8 in data"),
        pytest.param(event(b'"\xed\xa0\x80"'), "not_utf8", id="surrogate as bytes"),
        pytest.param(event(b'"\xc0\x80"'), "not_utf8", id="overlong NUL"),
        pytest.param(event().decode().encode("utf-16"), "not_utf8", id="UTF-16"),
        pytest.param(b"[]", "not_an_object", id="an array"),
        pytest.param(b"null", "not_an_object", id="null"),
        pytest.param(b'"x"', "not_an_object", id="a string"),
        pytest.param(b"7", "not_an_object", id="a number"),
        pytest.param(event(specversion=...), "missing_attribute", id="no specversion"),
        pytest.param(event(id=...), "missing_attribute", id="no id"),
        pytest.param(event(source=...), "missing_attribute", id="no source"),
        pytest.param(event(type=...), "missing_attribute", id="no type"),
        pytest.param(event(tenantid=...), "missing_attribute", id="no tenant"),
        pytest.param(event(tenantid=""), "missing_attribute", id="empty tenant"),
        pytest.param(event(id=None), "missing_attribute", id="null id"),
        pytest.param(b"{}", "missing_attribute", id="nothing in it"),
        pytest.param(event(specversion="0.3"), "unsupported_specversion", id="0.3"),
        pytest.param(event(specversion=1.0), "unsupported_specversion", id="a number"),
        pytest.param(event(specversion=["1.0"]), "unsupported_specversion", id="list"),
        pytest.param(
            event(data_base64="aGk="), "data_base64_unsupported", id="data_base64"
        ),
        pytest.param(
            event(data_base64=None), "data_base64_unsupported", id="null data_base64"
        ),
        pytest.param(event(id=5), "invalid_attribute", id="id is a number"),
        pytest.param(event(source={}), "invalid_attribute", id="source is an object"),
        pytest.param(event(tenantid=["a"]), "invalid_attribute", id="tenant is a list"),
        pytest.param(event(subject=True), "invalid_attribute", id="subject is true"),
        pytest.param(event(type="budget.*"), "invalid_attribute", id="glob as type"),
        pytest.param(event(type="a b"), "invalid_attribute", id="blank in the type"),
        pytest.param(event(type="é"), "invalid_attribute", id="type is not ASCII"),
        pytest.param(event(id="a\nb"), "invalid_attribute", id="line break in the id"),
        pytest.param(event(source="\x7f"), "invalid_attribute", id="DEL in source"),
        pytest.param(event(subject="\u202e"), "invalid_attribute", id="bidi override"),
        pytest.param(event(subject="\u2028"), "invalid_attribute", id="line separator"),
        pytest.param(event(id="\0"), "invalid_attribute", id="NUL in the id"),
        pytest.param(
            event(subject="\ud800"), "invalid_attribute", id="half in subject"
        ),
        pytest.param(
            event(time=1700000000), "invalid_attribute", id="time is a number"
        ),
        pytest.param(
            event(datacontenttype="text/xml"), "unsupported_datacontenttype", id="XML"
        ),
        pytest.param(
            event(datacontenttype="application/jsonp"),
            "unsupported_datacontenttype",
            id="almost JSON",
        ),
        pytest.param(
            event(datacontenttype=["application/json"]),
            "unsupported_datacontenttype",
            id="content type is a list",
        ),
        pytest.param(event("NaN"), "not_a_number", id="NaN"),
        pytest.param(event('{"a": [NaN]}'), "not_a_number", id="NaN further down"),
        pytest.param(event("Infinity"), "not_a_number", id="Infinity"),
        pytest.param(event("-Infinity"), "not_a_number", id="minus Infinity"),
        pytest.param(event("9" * 4_301), "number_too_long", id="4,301 digits"),
        pytest.param(
            event("[-" + "9" * 200_000 + "]"), "number_too_long", id="200,000"
        ),
        pytest.param(event(r'"\u0000"'), "nul_character", id="NUL in data"),
        pytest.param(event(r'"a\u0000b"'), "nul_character", id="NUL within a word"),
        pytest.param(event(r'{"\u0000": 1}'), "nul_character", id="NUL in a key"),
        pytest.param(event(r'[[{"a": "\u0000"}]]'), "nul_character", id="NUL deep"),
        pytest.param(event(r'"\\\u0000"'), "nul_character", id="NUL after a backslash"),
        pytest.param(event(myext="\0"), "nul_character", id="NUL in an extension"),
        pytest.param(event(r'"\ud800"'), "lone_surrogate", id="high half"),
        pytest.param(event(r'"\uDC00"'), "lone_surrogate", id="low half"),
        pytest.param(event(r'"\udc00\ud800"'), "lone_surrogate", id="halves reversed"),
        pytest.param(event(r'"\ud800\ud800\udc00"'), "lone_surrogate", id="and a pair"),
        pytest.param(event(r'{"\ud83d": 1}'), "lone_surrogate", id="half in a key"),
        pytest.param(event('{"a": 1, "a": 1}'), "duplicate_key", id="twice in data"),
        pytest.param(event('[{"b": {"a": 1, "a": 2}}]'), "duplicate_key", id="deep"),
        pytest.param(
            event(r'{"a": 1, "\u0061": 2}'), "duplicate_key", id="spelled differently"
        ),
        pytest.param(event()[:-1] + b',"id":"b"}', "duplicate_key", id="two ids"),
        pytest.param(event("1")[:-1] + b',"data":2}', "duplicate_key", id="two data"),
        pytest.param(
            event("1")[:-1] + rb',"\u0064ata":2}',
            "duplicate_key",
            id="two data, one in disguise",
        ),
        pytest.param(event(nested(200)), "too_deep", id="200 levels"),
        pytest.param(
            event(nested(200, '{"a":', "}")[:-200] + "1" + "}" * 200),
            "too_deep",
            id="200 levels of objects",
        ),
        pytest.param(event(nested(MAX_DEPTH)), "too_deep", id="one level too many"),
        pytest.param(event(nested(100_000)), "too_deep", id="100,000 levels"),
        pytest.param(
            event(json.dumps(dict.fromkeys(map(str, range(MAX_KEYS + 1))))),
            "too_many_keys",
            id="too many keys",
        ),
        pytest.param(
            event(json.dumps("x" * 300 * 1024)), "data_too_large", id="300 KiB of data"
        ),
        pytest.param(
            event(b'"' + b"x" * (MAX_DATA_BYTES - 1) + b'"'),
            "data_too_large",
            id="a byte too many",
        ),
        pytest.param(
            event(json.dumps("x" * 10_000_000)), "event_too_large", id="10 MB"
        ),
        pytest.param(b" " * (MAX_EVENT_BYTES + 1), "event_too_large", id="only blanks"),
    ],
)
def test_what_is_wrong_is_rejected_with_a_code(raw, code):
    """Codes are stable: operators and gateways look for them."""
    assert code_of(raw) == code


@pytest.mark.parametrize("name", [n for n in MAX_ATTRIBUTE_CHARACTERS if n != "type"])
def test_attributes_may_be_as_long_as_said_and_no_longer(name):
    limit = MAX_ATTRIBUTE_CHARACTERS[name]

    assert parse(event(**{name: "é" * limit}))
    assert code_of(event(**{name: "é" * (limit + 1)})) == "invalid_attribute"


def test_all_attributes_at_their_limit_leave_room_for_the_data():
    """What is allowed one by one is allowed together."""
    data = b'"' + b"x" * (MAX_DATA_BYTES - 2) + b'"'

    assert parse(event(data, **LONGEST)).data == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(r'"\\u0000"', id="a backslash, then u0000"),
        pytest.param(r'"\\\\u0000 \\\\ud800"', id="two backslashes"),
        pytest.param(r'"\ud83d\ude00"', id="a whole pair"),
        pytest.param('"\U0001f600 \u2028 \u202e \x7f"', id="anything printable or not"),
        pytest.param("[1.0, 1.00, 1e5, 1E+05, -0, -0.0, 1e999]", id="numbers"),
        pytest.param("123456789012345678901234567890", id="a long number"),
        pytest.param("0." + "1" * 400, id="many places"),
        pytest.param(' {\t"b" : 1 ,\r\n "a":\n[ ] } ', id="blanks within"),
        pytest.param(r'{"\u0061":"\/\b\f\n\r\t\"\\"}', id="escapes"),
        pytest.param('{"": {"": ""}}', id="empty keys"),
        pytest.param('[{"a": 1}, {"a": 1}]', id="the same key in two objects"),
        pytest.param(nested(MAX_DEPTH - 1), id="as deep as may be"),
        pytest.param('"' + "[" * 300 + '"', id="brackets in a string are not depth"),
        pytest.param(json.dumps([[]] * 300), id="wide is not deep"),
        pytest.param('"' + "x" * (MAX_DATA_BYTES - 2) + '"', id="as large as may be"),
        pytest.param(
            json.dumps(dict.fromkeys(map(str, range(MAX_KEYS)))), id="as many keys"
        ),
        pytest.param('"NaN"', id="NaN as a word"),
        pytest.param("null", id="null"),
        pytest.param("false", id="false"),
    ],
)
def test_data_comes_back_as_it_came(data):
    """Blanks around it are not its own; everything within it is."""
    assert parse(event(data)).data == data.strip().encode()


def test_data_may_stand_anywhere():
    raw = b' { "data" : {"a":  1} , ' + event().lstrip(b"{")

    assert parse(raw).data == b'{"a":  1}'


def test_a_key_in_disguise_is_still_the_data():
    raw = rb'{"\u0064ata": [1], ' + event().lstrip(b"{")

    assert parse(raw).data == b"[1]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T07:41:49Z", datetime(2026, 11, 23, 7, 41, 49, tzinfo=UTC)),
        ("2026-11-23t07:41:49z", datetime(2026, 11, 23, 7, 41, 49, tzinfo=UTC)),
        ("2026-11-23T07:41:49.2Z", datetime(2026, 11, 23, 7, 41, 49, 200_000, UTC)),
        (
            "2026-11-23T07:41:49.123456789Z",
            datetime(2026, 11, 23, 7, 41, 49, 123_456, UTC),
        ),
        (
            "2026-11-23T00:00:00-08:30",
            datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
        ),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_rfc_3339(text, expected):
    read = parse(event(time=text))

    assert read.time == expected
    assert read.time_text == text, "it is sent as it came"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T07:41Z",
        "2026-11-23 07:41:49Z",
        "2026-11-23T07:41:49",
        "2026-11-23T07:41:49+0100",
        "20261123T074149Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T07:41:61Z",
        "2026-11-23T07:41:49.Z",
        "2026-11-23T07:41:49+24:00",
        "2026-11-23T07:41:49Z\n",
        "٢٠٢٦-11-23T07:41:49Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-W48-1T00:00:00Z",
    ],
)
def test_other_times_are_rejected(text):
    assert code_of(event(time=text)) == "invalid_attribute"


@pytest.mark.parametrize(
    "text",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json ;charset=utf-8",
        "application/vnd.acme.v1+json",
        "application/cloudevents+json",
    ],
)
def test_json_content_types_are_taken(text):
    assert parse(event(datacontenttype=text))


def test_all_recorded_events_are_valid():
    """254 events made of what a real gateway handed its callbacks."""
    lines = SAMPLES.read_bytes().splitlines()
    assert len(lines) == 254

    for line in lines:
        read, expected = parse(line), json.loads(line)
        assert json.loads(read.data) == expected["data"]
        assert line.endswith(b'"data":' + read.data + b"}"), "byte for byte"
        assert read.source_id == expected["id"]


def test_a_repeated_key_at_the_end_of_many_is_found_in_time():
    """Looking for it pair by pair would take a core for many seconds an event."""

    def seconds(keys: int) -> float:
        body = ",".join(f'"{each}":0' for each in range(keys))
        raw = event(f'{{{body},"{keys - 1}":1}}')
        started = time.process_time()
        code_of(raw)
        return time.process_time() - started

    def least(keys: int) -> float:
        # A collection of garbage may take longer than what is measured.
        return min(seconds(keys) for _ in range(3))

    assert least(25_000) < 40 * max(least(2_500), 0.002)


@given(st.binary(max_size=300))
def test_nothing_but_a_verdict_comes_of_any_bytes(raw):
    with pytest.raises(Rejected):
        parse(raw)


@given(
    st.binary(max_size=40),
    st.integers(0, 400),
    st.integers(0, 20),
)
def test_nothing_but_a_verdict_comes_of_a_damaged_event(noise, at, cut):
    whole = event('{"a": ["\\u0041", 1.5, null]}', time="2026-11-23T07:41:49Z")
    damaged = whole[:at] + noise + whole[at + cut :]
    try:
        read = parse(damaged)
    except Rejected:
        return
    assert json.loads(read.data) == json.loads(damaged).get("data")


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=20,
)
spellings = st.builds(
    lambda value, ascii_only, indent, sort: json.dumps(
        value, ensure_ascii=ascii_only, indent=indent, sort_keys=sort
    ),
    values,
    st.booleans(),
    st.sampled_from([None, 0, 3, "\t"]),
    st.booleans(),
)


@given(spellings)
def test_any_data_leaves_byte_for_byte_as_it_came(data):
    """Through parsing, keeping, unpacking and the body a receiver gets."""
    read = parse(event(data))
    kept, back = unpack(keep(read, ARRIVAL))
    body = standard_body(
        type=read.type,
        source=read.source,
        source_id=read.source_id,
        tenant_id=read.tenant_id,
        kept=kept,
        data=back,
    )

    assert read.data == back == data.encode()
    assert body.endswith(b',"data":' + data.encode() + b"}")
    assert json.loads(body)["data"] == json.loads(data)


@given(
    subject=st.none() | st.text(max_size=20).filter(str.isprintable),
    source=st.text(min_size=1, max_size=20).filter(str.isprintable),
)
def test_the_body_says_what_the_contract_says(subject, source):
    read = parse(event("[1]", subject=subject, source=source))
    kept, data = unpack(keep(read, ARRIVAL))

    body = standard_body(
        type=read.type,
        source=read.source,
        source_id=read.source_id,
        tenant_id=read.tenant_id,
        kept=kept,
        data=data,
    )

    assert list(json.loads(body).items()) == [
        ("type", "budget.exceeded"),
        ("timestamp", "2026-11-23T07:41:49.223Z"),
        ("id", "a-1"),
        ("source", source),
        ("subject", subject),
        ("tenant_id", "acme"),
        ("data", [1]),
    ]


def test_arrival_stands_in_for_a_missing_time_in_utc():
    east = ARRIVAL.astimezone(timezone(timedelta(hours=5, minutes=30)))

    kept, _ = unpack(keep(parse(event()), east))

    assert kept.time_text == "2026-11-23T07:41:49.223Z"


def test_what_is_kept_survives_line_breaks_in_the_data():
    read = parse(event('{\n"a":\n1}', subject="s", traceparent="00-a"))

    kept, data = unpack(keep(read, ARRIVAL))

    assert data == b'{\n"a":\n1}'
    assert (kept.subject, kept.traceparent) == ("s", "00-a")


def test_an_event_is_known_again_by_source_and_id():
    assert digest("/a", "1") == digest("/a", "1")
    assert digest("/a", "1") != digest("/a", "2")
    assert digest("/a", "b1") != digest("/ab", "1"), "the border counts"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"traceparent": "00-other"}, True, id="the trace that carried it"),
        pytest.param({"correlationid": "c"}, True, id="the correlation id"),
        pytest.param({"someextension": "x"}, True, id="what nobody keeps"),
        pytest.param({"type": "budget.reset"}, False, id="the type"),
        pytest.param({"subject": "s"}, False, id="the subject"),
        pytest.param({"time": "2026-11-23T07:41:49Z"}, False, id="the time"),
        pytest.param({"dataschema": "s"}, False, id="the schema"),
    ],
)
def test_what_counts_as_other_content(change, same):
    one, other = parse(event("[1]")), parse(event("[1]", **change))

    assert (content(one) == content(other)) is same


@given(spellings, spellings)
def test_other_data_is_other_content(one, other):
    assume(one != other)
    assert content(parse(event(one))) != content(parse(event(other)))


def test_the_order_of_attributes_does_not_count():
    pairs = list(json.loads(event("[1]")).items())
    reversed_event = json.dumps(dict(reversed(pairs))).encode()

    assert content(parse(reversed_event)) == content(parse(event("[1]")))


def test_types_may_be_anything_visible():
    """Types are open: what nobody has heard of is taken."""
    for each in ("x", "com.acme/Thing:v1", "~", "a" * 128):
        assert re.fullmatch(r"[!-~]+", each)
        assert parse(event(type=each)).type == each
    assert code_of(event(type="a" * 129)) == "invalid_attribute"
