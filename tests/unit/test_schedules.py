"""Retry schedules as people write and see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import schedules
from ascwebhooks.domain.retry import DEFAULT_SCHEDULE_S, MAX_DELAY_S
from ascwebhooks.errors import InvalidInput

DELAYS = st.lists(st.integers(1, MAX_DELAY_S), max_size=20)


@given(DELAYS)
def test_what_is_shown_can_be_written_again(delays):
    assert schedules.parse(schedules.show(delays)) == delays


@pytest.mark.parametrize(
    ("text", "delays"),
    [
        ("", []),
        ("5 s, 5min; 2 Hours\n1d", [5, 300, 7200, 86400]),
        ("90", [90]),
        ("1 h 30 min", [5400]),
        (" , 3m,", [180]),
    ],
)
def test_delays_are_read_as_people_write_them(text, delays):
    assert schedules.parse(text) == delays


@pytest.mark.parametrize(
    "text", ["soon", "5 weeks", "-5 s", "1.5 h", "5 s 2 min x", "5 5", "9" * 10]
)
def test_what_is_no_delay_is_said(text):
    with pytest.raises(InvalidInput, match="is no delay") as raised:
        schedules.parse(f"5 s, {text}")
    assert raised.value.context["field"] == "retry_schedule_s"


def test_a_long_text_is_read_in_time_in_proportion_to_it():
    with pytest.raises(InvalidInput):
        schedules.parse("1 " * 100_000 + "!")


@given(DELAYS)
def test_a_picture_has_all_attempts_in_order_from_edge_to_edge(delays):
    found = schedules.planned(delays)
    assert [each.number for each in found] == list(range(1, len(delays) + 2))
    places = [each.x for each in found]
    assert places == sorted(places)
    assert places[0] == 0
    assert not delays or places[-1] == 100
    assert found[-1].has_room
    assert found[-1].after_s == sum(delays)


def test_the_usual_schedule_is_shown_in_short_words():
    assert schedules.show(DEFAULT_SCHEDULE_S) == (
        "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 1 d"
    )
    last = schedules.planned(DEFAULT_SCHEDULE_S)[-1]
    assert (last.after, last.about) == ("3 d 3 h 35 min 5 s", "3 d")
