"""Mappings: files of YAML, what is wrong with them, and what they make of records."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import mapping_files, mapping_paths, otlp
from ascwebhooks.domain.event_fields import FIELDS
from ascwebhooks.domain.mapping_targets import TARGETS
from ascwebhooks.errors import MappingInvalid
from ascwebhooks.integrations.allowed import NotMapped

HEAD = "id: id\ntype: request.completed\nsource: {value: /x}\ntenant: org\n"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def load(text: str):
    return mapping_files.load("own", text, file="own.yaml")


def data(rules: str, **record: object) -> dict:
    """Return the data that some rules make of a record."""
    lines = "".join(f"  {line}\n" for line in rules.splitlines())
    event = load(f"{HEAD}data:\n{lines}").event({"id": "1", "org": "acme", **record})
    return event["data"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "line 1: it is empty.", id="empty"),
        pytest.param("a: [", "line 1: it is not YAML", id="not YAML"),
        pytest.param("- a", "line 1: it has keys and values.", id="a list"),
        pytest.param("id: id", "line 1, type: it is missing.", id="missing"),
        pytest.param(HEAD + "id: x", "line 5, id: it stands twice.", id="twice"),
        pytest.param(HEAD + "tenants: x", "line 5, tenants: it is not", id="typo"),
        pytest.param(
            HEAD + "data:\n  prompt: messages",
            "line 6, data.prompt: the catalogue has no such field",
            id="a field of its own",
        ),
        pytest.param(
            HEAD + "data:\n  gen_ai.input.messages: messages",
            "line 6, data.gen_ai.input.messages: the catalogue has no such field",
            id="a prompt",
        ),
        pytest.param(
            HEAD + "data:\n  duration_ms: a..b",
            "line 6, data.duration_ms: 'a..b' is no path",
            id="no path",
        ),
        pytest.param(
            HEAD + "data:\n  route: {from: a, times: 2}",
            "line 6, data.route.times: only a number can be multiplied",
            id="a text times two",
        ),
        pytest.param(
            HEAD + "data:\n  duration_ms: {from: a, times: .inf}",
            "line 6, data.duration_ms.times: it is no number.",
            id="times infinity",
        ),
        pytest.param(
            HEAD + "data:\n  duration_ms: {from: a, as: text}",
            "line 6, data.duration_ms.as: it is one of",
            id="as it is",
        ),
        pytest.param(
            HEAD + "data:\n  cost.amount: a",
            "line 6, data: cost.amount takes a cost.currency",
            id="no currency",
        ),
        pytest.param(
            HEAD + "data:\n  route: {value: a, from: b}",
            "line 6, data.route: 'value' stands alone.",
            id="constant and path",
        ),
        pytest.param(
            HEAD + "time: {from: a, as: money}", "line 5, time: 'as' is", id="no time"
        ),
        pytest.param(HEAD + "reads: xml", "line 5, reads: it is one of", id="reads"),
        pytest.param(
            HEAD.replace("{value: /x}", "gateway"),
            "line 3, source: give a value",
            id="no source",
        ),
        pytest.param(
            HEAD.replace("request.completed", "'request.*'"),
            "line 2, type: a type of event",
            id="a pattern",
        ),
        pytest.param("&a [*a]", "line 1: it holds itself.", id="holds itself"),
        pytest.param("? [a]\n: b", "line 1: a key is a word.", id="a key that is none"),
        pytest.param(HEAD + "only: []", "line 5, only: it is empty.", id="no one"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_key(text, problem):
    with pytest.raises(MappingInvalid) as caught:
        load(text)

    assert str(caught.value).startswith(f"own.yaml, {problem}")


@pytest.mark.parametrize("name", ["litellm", "Own", "a/b", "", "x" * 33])
def test_a_mapping_has_a_name_that_a_path_can_have(name):
    with pytest.raises(MappingInvalid, match="no name for a mapping"):
        mapping_files.load(name, HEAD, file="own.yaml")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b[0].c-d", ("a", "b", 0, "c-d")),
        ('a["b c.d"][2]', ("a", "b c.d", 2)),
        ("$", ()),
        ("$.a", ("a",)),
    ],
)
def test_paths(text, steps):
    assert mapping_paths.parse(text).steps == steps


@given(st.text(max_size=20))
def test_a_text_is_a_path_or_is_said_to_be_none(text):
    try:
        path = mapping_paths.parse(text)
    except ValueError:
        return
    assert path.find({}) in (None, {})


def test_each_field_is_read_as_what_it_is():
    rules = 'http_status: s\nduration_ms: d\nscope.user_id: u\ncache_hit: "yes"'

    assert data(rules, s="200", d=1.5, u="a b", yes=True) == {
        "http_status": 200,
        "duration_ms": 1.5,
        "scope": {"user_id": "sha256:c8687a08aa5d6ed2044328fa6a697ab8"},
        "cache_hit": True,
    }
    assert data(rules, s="x", d="soon", u={}, yes=1) == {}


def test_the_first_path_that_leads_somewhere_counts():
    rules = "route: {from: [a.b, c], default: /none}"

    assert data(rules, a={"b": "/x"}, c="/y") == {"route": "/x"}
    assert data(rules, a={"b": None}, c="/y") == {"route": "/y"}
    assert data(rules, a=3) == {"route": "/none"}


def test_words_are_renamed_and_others_are_nothing():
    rules = "action: {from: a, values: {deny: block, 1: flag}}"

    assert data(rules, a="deny") == {"action": "block"}
    assert data(rules, a=1) == {"action": "flag"}
    assert data(rules, a="odd") == {}


def test_a_cost_without_an_amount_is_none():
    rules = "cost.amount: {from: cents, times: 0.01}\ncost.currency: {value: EUR}"

    assert data(rules, cents=0.3) == {"cost": {"amount": "0.003", "currency": "EUR"}}
    assert data(rules, cents="free") == {}


def test_a_record_without_an_id_or_an_owner_is_refused():
    mapping = load(HEAD)

    for record in ({"org": "acme"}, {"id": "1"}, [], None, "text"):
        with pytest.raises(NotMapped):
            mapping.event(record)
    assert mapping.event({"id": "1"}, "acme")["tenantid"] == "acme"


@given(anything)
def test_any_record_is_an_event_or_refused(record):
    mapping = load(HEAD + "data:\n  route: '$'\n  scope.tags: a\n  duration_ms: a[0]")
    try:
        event = mapping.event({"id": "1", "org": "acme", "a": record})
    except NotMapped:
        return
    json.dumps(event, allow_nan=False)


def test_whatever_a_mapping_may_fill_in_is_the_catalogues():
    """And none of it is a text that anybody could write a prompt into."""
    for name in TARGETS:
        assert name in FIELDS or name.partition(".")[0] in ("scope", "cost")
    assert not [name for name in TARGETS if "message" in name or "prompt" in name]


@given(anything)
def test_no_export_request_breaks_the_reader(body):
    for made in (body, {"resourceSpans": [{"scopeSpans": [{"spans": [body]}]}]}):
        try:
            spans = otlp.spans(made)
        except ValueError:
            continue
        assert all(isinstance(each["attributes"], dict) for each in spans)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"stringValue": "a"}, "a"),
        ({"intValue": "12"}, 12),
        ({"intValue": 12}, 12),
        ({"intValue": "x"}, None),
        ({"doubleValue": 0.5}, 0.5),
        ({"boolValue": False}, False),
        ({"arrayValue": {"values": [{"intValue": "1"}]}}, [1]),
        ({"bytesValue": "AA=="}, None),
        ({}, None),
        (None, None),
    ],
)
def test_values_lose_their_tags(given, expected):
    assert otlp.value(given) == expected
