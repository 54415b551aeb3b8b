"""Exports that no spreadsheet runs."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.exports import Format, lines

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@given(st.lists(texts, min_size=1, max_size=3))
def test_no_cell_begins_a_formula_and_nothing_else_changes(values):
    columns = [str(at) for at in range(len(values))]
    row = dict(zip(columns, values, strict=True))
    text = "".join(lines([row], columns, Format.CSV))
    _, cells = csv.reader(io.StringIO(text, newline=""))
    for cell, value in zip(cells, values, strict=True):
        assert cell in (value, "'" + value)
        assert not cell.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))  # noqa: RUF001


@pytest.mark.parametrize(
    ("value", "cell"), [(None, ""), (7, "7"), ({"a": 1}, '{"a":1}')]
)
def test_values_that_are_no_text(value, cell):
    text = "".join(lines([{"x": value}], ["x"], Format.CSV))
    assert next(iter(list(csv.reader(io.StringIO(text)))[1])) == cell
