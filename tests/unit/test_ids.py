from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import NotFound

moments_ms = st.integers(0, 2**48 - 1)
chances = st.binary(min_size=10, max_size=10)
kinds = st.sampled_from(Kind)


@given(moments_ms, chances)
def test_an_id_is_a_uuid_of_version_7(ms, random):
    made = ids.uuid7(ms, random)

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert ids.milliseconds(made) == ms


@given(moments_ms, chances, chances)
def test_other_chances_make_other_ids(ms, one, other):
    """74 bits of the ten bytes count; the last six do not."""
    same = int.from_bytes(one) >> 6 == int.from_bytes(other) >> 6

    assert (ids.uuid7(ms, one) == ids.uuid7(ms, other)) is same


@given(moments_ms, st.lists(chances, min_size=2, max_size=50, unique=True))
def test_a_batch_of_one_millisecond_ascends(ms, randoms):
    """So events of one batch are listed in the order in which they came."""
    made = ids.uuid7_batch(ms, b"".join(randoms))

    assert len(made) == len(randoms)
    assert made == sorted(made)
    assert {ids.milliseconds(each) for each in made} == {ms}
    assert set(made) == {ids.uuid7(ms, each) for each in randoms}


def test_a_batch_takes_as_many_bytes_as_it_says():
    assert len(ids.uuid7_batch(1, bytes(ids.random_bytes(7)))) == 7
    assert ids.uuid7_batch(1, b"") == []


@given(st.integers(0, 2**48 - 2), chances, chances)
def test_a_later_millisecond_sorts_after_whatever_the_chance(ms, one, other):
    assert ids.uuid7(ms, one) < ids.uuid7(ms + 1, other)


@given(kinds, moments_ms, chances)
def test_what_is_shown_reads_back(kind, ms, random):
    made = ids.uuid7(ms, random)
    shown = ids.show(kind, made)

    assert shown.startswith(f"{kind.value}_")
    assert len(shown) == len(kind.value) + 1 + 26
    assert ids.read(kind, shown) == made


@given(kinds, kinds, moments_ms, chances)
def test_the_id_of_another_kind_is_not_found(kind, other, ms, random):
    """An endpoint's id where a delivery's belongs: there is nothing behind it."""
    shown = ids.show(kind, ids.uuid7(ms, random))
    if kind is other:
        return
    with pytest.raises(NotFound, match=rf"{other.value}_"):
        ids.read(other, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt",
        "evt_",
        "_01h2xcejqtf2nbrexx3vqjhp41",
        "01h2xcejqtf2nbrexx3vqjhp41",
        "evt_01h2xcejqtf2nbrexx3vqjhp4",
        "evt_01h2xcejqtf2nbrexx3vqjhp411",
        "evt_01H2XCEJQTF2NBREXX3VQJHP41",
        "EVT_01h2xcejqtf2nbrexx3vqjhp41",
        "evt_81h2xcejqtf2nbrexx3vqjhp41",
        "evt_01h2xcejqtf2nbrexx3vqjhpil",
        "evt-01h2xcejqtf2nbrexx3vqjhp41",
        "evt_é1h2xcejqtf2nbrexx3vqjhp41",
        "evt_01h2xcejqtf2nbrexx3vqjhp41\n",
        "0189b5d2-4b5a-7f00-8000-000000000000",
        "evt_" + "0" * 10_000,
    ],
)
def test_what_is_no_id_is_not_found(text):
    with pytest.raises(NotFound) as caught:
        ids.read(Kind.EVENT, text)

    assert len(str(caught.value)) < 150, "the message does not repeat all of it"


@given(st.text(max_size=60))
def test_reading_raises_nothing_else(text):
    with pytest.raises(NotFound):
        ids.read(Kind.EVENT, text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)), chances)
def test_bounds_hold_whatever_is_made_at_a_moment(naive, random):
    """Partitions are days of ids: an id lies where its millisecond says."""
    moment = naive.replace(tzinfo=UTC)
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    made = ids.uuid7(ms, random)

    assert ids.lowest(moment) <= made
    assert made < ids.lowest(moment + timedelta(milliseconds=1))
    assert ids.day(made) == moment.date()
    assert ids.moment(made) <= moment < ids.moment(made) + timedelta(milliseconds=1)


@given(moments_ms.filter(lambda ms: ms < 2**48 - 1), chances, chances)
def test_what_came_with_an_event_lies_within_its_millisecond(ms, one, other):
    event_id = ids.uuid7(ms, one)
    low, high = ids.same_millisecond(event_id)

    assert low <= ids.uuid7(ms, other) < high
    assert ids.uuid7(ms + 1, other) >= high
    assert ms == 0 or ids.uuid7(ms - 1, other) < low


def test_the_window_is_retention_and_a_day_on_either_side():
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    window = ids.window(now, timedelta(days=30))

    assert ids.moment(window.low) == now - timedelta(days=31)
    assert ids.moment(window.high) == now + timedelta(days=1)
