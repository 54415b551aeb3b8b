"""What pages of deliveries compute: times as parts, plans, texts, faults in JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.deliveries import Timings
from ascwebhooks.domain.rejections import find_fault
from ascwebhooks.domain.retry import planned
from ascwebhooks.domain.timings import parts
from ascwebhooks.web.admin import texts

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timings", "secure", "expected"),
    [
        pytest.param(
            Timings(1, 3, 7, 20, 25),
            True,
            [("dns", 1), ("connect", 2), ("tls", 4), ("wait", 13), ("read", 5)],
            id="whole",
        ),
        pytest.param(
            Timings(1, 3, None, 20, 25),
            False,
            [("dns", 1), ("connect", 2), ("wait", 17), ("read", 5)],
            id="without TLS",
        ),
        pytest.param(
            Timings(None, None, None, 20, 25),
            True,
            [("wait", 20), ("read", 5)],
            id="a connection that was kept",
        ),
        pytest.param(
            Timings(2, None, None, None, 5000),
            True,
            [("dns", 2), ("connect", 4998)],
            id="connecting timed out",
        ),
        pytest.param(
            Timings(None, None, None, None, 30), True, [("dns", 30)], id="no address"
        ),
        pytest.param(
            Timings(1, 2, 4, None, 9),
            True,
            [("dns", 1), ("connect", 1), ("tls", 2), ("wait", 5)],
            id="no answer",
        ),
    ],
)
def test_an_attempts_time_is_told_apart(timings, secure, expected):
    found = parts(timings, secure=secure)
    assert [(each.name, each.ms) for each in found] == expected


times = st.none() | st.floats(0, 1e6)


@given(st.builds(Timings, times, times, times, times, st.floats(0, 1e6)))
def test_parts_follow_each_other_and_sum_up(timings):
    found = parts(timings)
    assert sum(each.ms for each in found) == pytest.approx(timings.total_ms)
    for one, next_one in pairwise(found):
        assert next_one.start_ms == pytest.approx(one.start_ms + one.ms)


def test_the_attempts_to_come_follow_the_schedule():
    delays = [timedelta(seconds=each) for each in (5, 60, 300)]
    due = NOW + timedelta(seconds=9)
    assert planned(delays, 1, due) == [
        due,
        due + timedelta(seconds=60),
        due + timedelta(seconds=360),
    ]
    assert planned(delays, 3, due) == [due]


def test_json_is_laid_out_without_changing_a_number_or_a_character():
    shown = texts.show('{"a":[1.0,1e400,-0],"b":"ż\\u2028","c":{},"d":null}'.encode())
    assert shown.pretty is not None
    assert "1.0" in shown.pretty and "1e400" in shown.pretty and "-0" in shown.pretty
    assert "ż" in shown.pretty and '"d": null' in shown.pretty
    assert texts.show(b"[" * 5000).pretty is None
    assert texts.show(b"\xff").is_text is False
    assert texts.show(b"x" * 70_000).is_cut


def test_what_is_not_seen_is_spelt_out_and_the_rest_escaped():
    assert texts.visible("a<b\u202e\u2028\0") == (
        'a&lt;b<span class="unseen" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>'
        '<span class="unseen" title="LINE SEPARATOR">U+2028</span>'
        '<span class="unseen" title="a control character">U+0000</span>'
    )
    assert texts.visible("tab\tand\nline") == "tab\tand\nline"


def test_the_place_of_a_fault_in_json():
    fault = find_fault('{"a": 1,\n "b": oops}')
    assert fault is not None
    assert (fault.line, fault.column) == (2, 7)
    assert (fault.before, fault.after) == (' "b": ', "oops}")
    assert find_fault("{}") is None
    assert find_fault("[" * 100_000) is None
