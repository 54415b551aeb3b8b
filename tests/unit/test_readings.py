"""What a filter reads of the data, and that no weight is guessed too low."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import readings, tokens
from ascwebhooks.domain.readings import Data


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("type", []),
        ("data", [()]),
        ("data.a.b > 1", [("a", "b")]),
        ('data["a b"].c', [("a b", "c")]),
        ("data['a']", [("a",)]),
        (r'data["a\x62"].c', [()]),
        ('data["""a"""]', [()]),
        ('data[r"a"].b', [()]),
        ("data.a[0].b", [("a",)]),
        ("data.a[data.b]", [("a",), ("b",)]),
        ("data.a.contains('x')", [("a",)]),
        ("size(data.a) + data.a", [("a",), ("a",)]),
        ("data /* no comment */ .a", [()]),
        ("data // a comment\n.a", [("a",)]),
        ("type.data", []),
        ("has(data.a)", [("a",)]),
    ],
)
def test_what_is_read(text, paths):
    assert list(readings.paths(tokens.split(text))) == paths


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=200),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=80), inner),
    max_leaves=30,
)


@given(values, st.booleans())
def test_no_part_weighs_more_than_the_quick_look_says(value, ascii):
    data = Data(json.dumps(value, ensure_ascii=ascii).encode(errors="surrogatepass"))
    assert data.weight() <= data.most
    if isinstance(value, dict):
        for key in value:
            assert data.weight((key,)) < data.weight()


@pytest.mark.parametrize(
    ("path", "weight"),
    [
        ((), 15),
        (("n",), 1),
        (("l",), 4),
        (("l", "x"), 4),
        (("t",), 2),
        (("é",), 3),
        (("gone",), 1),
        (("gone", "on"), 1),
        (("n", "a"), 1),
    ],
)
def test_the_weight_of_a_part(path, weight):
    value = {"n": 1, "l": [1, [2]], "t": "a" * 64, "é": "é" * 64}
    assert Data(json.dumps(value).encode()).weight(path) == weight
