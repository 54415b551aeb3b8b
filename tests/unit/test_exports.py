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


UNSEEN = [
    *("\0", "\x1f", "\x7f", "\x85", "\u00a0", "\u00ad", "\u034f", "\u061c", "\u115f"),
    *("\u180e", "\u2003", "\u200b", "\u200f", "\u2028", "\u202e", "\u2060", "\u2800"),
    *("\u3000", "\u3164", "\ufe0f", "\ufeff", "\U000e0001", "\ue000"),
]


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
@pytest.mark.parametrize("sign", "=+-@\uff1d")
def test_what_cannot_be_seen_hides_no_formula(unseen, sign):
    for text in (unseen + sign, f" {unseen} {unseen}{sign}1"):
        made = "".join(lines([{"x": text}], ["x"], Format.CSV))
        assert list(csv.reader(io.StringIO(made, newline="")))[1] == ["'" + text]


@pytest.mark.parametrize(
    "text", [*UNSEEN, "\u200bplain", "a=1", "\u00a0 7", "caf\u00e9"]
)
def test_what_is_no_formula_stays_as_it_is(text):
    made = "".join(lines([{"x": text}], ["x"], Format.CSV))
    assert list(csv.reader(io.StringIO(made, newline="")))[1] == [text]


@pytest.mark.parametrize(
    ("value", "cell"), [(None, ""), (7, "7"), ({"a": 1}, '{"a":1}')]
)
def test_values_that_are_no_text(value, cell):
    text = "".join(lines([{"x": value}], ["x"], Format.CSV))
    assert next(iter(list(csv.reader(io.StringIO(text)))[1])) == cell
