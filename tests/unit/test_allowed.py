"""What of a gateway's record may be kept."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.integrations import allowed

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
readers = st.sampled_from(
    [
        allowed.identifier,
        allowed.model,
        allowed.code,
        allowed.route,
        allowed.money,
        allowed.number,
        allowed.count,
        allowed.http_status,
        allowed.moment,
        allowed.tags,
    ]
)


@given(anything, readers)
def test_whatever_comes_it_is_read_as_something_plain_or_not_at_all(value, reader):
    """Never an error, and JSON that any receiver takes."""
    found = reader(value)

    assert found is None or isinstance(found, str | int | float | list)
    json.dumps(found, allow_nan=False).encode("ascii")


@given(st.text(min_size=1))
def test_a_sentence_never_gets_through(text):
    """A blank is enough to tell one: what is kept is its digest, or nothing."""
    sentence = f"{text} {text}"

    for reader in (allowed.identifier, allowed.model, allowed.code, allowed.route):
        found = reader(sentence)
        assert found is None or found.startswith("sha256:")
    assert allowed.tags([sentence]) == []


@pytest.mark.parametrize(
    "text",
    ["a@example.com", "192.0.2.7", "2001:db8::1", "sk-abc", "Anna Bel", "-", "é"],
)
def test_what_may_name_somebody_becomes_the_same_digest_each_time(text):
    found = allowed.identifier(text)

    assert found != text
    assert found == allowed.identifier(text) == allowed.pseudonym(text)


@pytest.mark.parametrize(
    "text",
    ["northwind", "end-user-0", "chatcmpl-1", "a|b", "org/team:1", "7f" * 32, "1.2.3"],
)
def test_identifiers_are_kept_as_they_are(text):
    assert allowed.identifier(text) == text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("openai/gpt-4o-mini", True),
        ("claude-3-5-sonnet@20241022", True),
        ("bedrock/us.anthropic.claude-v2:1", True),
        ("somebody@example.com", False),
        ("write a test", False),
    ],
)
def test_a_models_name_may_have_a_version_and_no_host(name, kept):
    assert (allowed.model(name) == name) is kept


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_money_is_the_floats_own_digits(value):
    """No more and no fewer, without an exponent; sums of such are exact."""
    found = allowed.money(value)

    if value and not 1e-40 < abs(value) < 1e40:
        return
    assert found is not None
    assert "e" not in found.lower()
    assert Decimal(found) == Decimal(repr(value))
    assert float(found) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5.1e-06, "0.0000051"),
        (0.0, "0.0"),
        (-0.25, "-0.25"),
        (3, "3"),
        (Decimal("1.50"), "1.50"),
        ("0.1", "0.1"),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ("free", None),
        (None, None),
        ("1e999999999", None),
        ("9" * 100, None),
    ],
)
def test_money(value, expected):
    assert allowed.money(value) == expected


@pytest.mark.parametrize(
    ("value", "unit_s", "expected"),
    [
        (1795419709.789386, 1, "2026-11-23T07:41:49.789Z"),
        (1795419709789, 1e-3, "2026-11-23T07:41:49.789Z"),
        (1e30, 1, None),
        ("soon", 1, None),
        (math.nan, 1, None),
    ],
)
def test_moments(value, unit_s, expected):
    assert allowed.moment(value, unit_s) == expected


def test_tags_are_words_each_once_and_not_too_many():
    many = [f"t{number}" for number in range(100)]

    assert allowed.tags(["bu:retail", "User-Agent: curl", 7, "bu:retail"]) == [
        "bu:retail"
    ]
    assert len(allowed.tags(many)) == allowed.MAX_TAGS
    assert allowed.tags("words") == allowed.tags({"a": 1}) == allowed.tags(None) == []
