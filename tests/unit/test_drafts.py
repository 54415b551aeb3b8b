"""Rows that describe endpoints: the same fields and bounds as the API has."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import drafts
from ascwebhooks.domain.drafts import Draft
from ascwebhooks.web.api.endpoints import NewEndpoint

URL = "https://hooks.example.com/in"


def test_a_row_has_the_fields_that_the_api_has():
    assert {each.name for each in msgspec.structs.fields(Draft)} == set(
        NewEndpoint().fields
    )


def test_all_that_is_wrong_is_told_at_once():
    draft, errors = drafts.read({"url": 5, "timeout_s": "15", "x": 1, "filter": ""})
    assert draft is None
    assert set(errors) == {"url", "timeout_s", "x", "filter"}
    assert errors["timeout_s"] == ["Expected `int`, got `str`."]


@pytest.mark.parametrize("name", ["url", "event_types", "headers", "format", "region"])
def test_null_is_no_value(name):
    assert set(drafts.read({"url": URL, name: None})[1]) == {name}


def test_a_filter_may_be_null():
    assert drafts.read({"url": URL, "filter": None})[0] == Draft(url=URL)


rows = st.dictionaries(
    st.sampled_from([*Draft.__struct_fields__, "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)


@given(rows)
def test_any_row_is_a_draft_or_names_its_fields(row):
    draft, errors = drafts.read(row)
    assert (draft is None) is bool(errors)
    assert set(errors) <= {*row, "url"}
