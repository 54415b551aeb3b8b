"""Rows written by COPY come back as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ascwebhooks.storage.copies import copy
from ascwebhooks.storage.engine import make_engine
from ascwebhooks.storage.unit_of_work import is_bad_data, make_sessions

NAMES = ("id", "words", "bytes", "count", "share", "at")
TABLE = (
    "CREATE TEMPORARY TABLE copied (id uuid, words text, bytes bytea, count int,"
    " share float, at timestamptz)"
)
# Characters that PostgreSQL's text cannot hold are refused when events come in.
words = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


class Colour(StrEnum):
    RED = "red\t"


@pytest.fixture(scope="module")
def session(postgres_server):
    name = "asc_test_copies"
    postgres_server.create_database(name)
    engine = make_engine(postgres_server.url(name))
    with make_sessions(engine)() as session:
        session.execute(text(TABLE))
        yield session
    engine.dispose()
    postgres_server.drop_database(name)


def written(session, *rows):
    with session.begin_nested() as point:
        copy(session, "copied", NAMES, rows)
        found = session.execute(text("SELECT * FROM copied")).all()
        point.rollback()
    return [
        (*row[:2], None if row[2] is None else bytes(row[2]), *row[3:]) for row in found
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.uuids(),
            st.none() | words,
            st.none() | st.binary(),
            st.none() | st.integers(-(2**31), 2**31 - 1),
            st.none() | st.floats(allow_nan=False),
            st.none() | times,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_copied_comes_back(session, rows):
    assert written(session, *rows) == rows


def test_text_that_means_something_to_copy_is_only_text(session):
    for each in (
        "\\N",
        "\\.",
        "a\tb",
        "a\\nb",
        "line\nline",
        "\r\n",
        "\\",
        "",
        "\\x00",
    ):
        assert written(session, (None, each, None, None, None, None))[0][1] == each


def test_a_time_in_another_zone_is_the_same_moment(session):
    at = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert written(session, (None, None, None, None, None, at))[0][5] == at


def test_an_enum_is_written_like_its_base(session):
    row = (uuid4(), Colour.RED, b"", 0, 0.0, None)
    assert written(session, row)[0][1] == "red\t"


def test_an_object_is_written_as_json_and_only_text(session):
    value = {"a\tb": ["\n", "\\", "é", None], "filtered": {}}
    row = (None, value, None, None, None, None)
    assert json.loads(written(session, row)[0][1]) == value


def test_a_type_nobody_taught_it_is_refused(session):
    with pytest.raises(TypeError, match="complex"):
        copy(session, "copied", NAMES, [(None, None, None, None, 1j, None)])


@pytest.mark.parametrize("value", [2**40, "many"])
def test_a_value_the_column_refuses_is_bad_data(session, value):
    with session.begin_nested() as point:
        with pytest.raises(DBAPIError) as caught:
            copy(session, "copied", NAMES, [(None, None, None, value, None, None)])
        point.rollback()
    assert is_bad_data(caught.value)


def test_a_nul_is_bad_data(session):
    with pytest.raises(ValueError, match="NUL") as caught:
        copy(session, "copied", NAMES, [(None, "\0", None, None, None, None)])
    assert is_bad_data(caught.value)
