"""The state machine of incidents, by a table and against a simple model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.incidents import (
    NOTHING,
    Ended,
    NoData,
    Phase,
    Reading,
    Standing,
    Tell,
    Terms,
    advance,
    noticed,
    pass_time,
    resolve,
)

BEGIN = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TERMS = Terms(threshold=0.5, resolve_threshold=0.2, minimum=10, repeat=60 * SECOND)


def run(terms, readings, step=5 * SECOND):
    """Return what is told, by the number of the reading."""
    standing, told = None, []
    for number, reading in enumerate(readings):
        standing, tell = advance(standing, reading, terms, BEGIN + number * step)
        if standing is not None and standing.phase is Phase.RESOLVED:
            told.append((number, tell, standing.ended))
            standing = None
        elif tell is not None:
            told.append((number, tell, None))
    return told


def test_a_value_that_wobbles_between_the_lines_opens_once():
    values = [0.5, 0.49, 0.51, 0.2, 0.6, 0.19, 0.49]
    assert run(TERMS, [Reading(10, each) for each in values]) == [
        (0, Tell.OPENED, None),
        (5, Tell.RESOLVED, Ended.RECOVERED),
    ]


def test_too_few_requests_open_nothing_and_still_resolve():
    readings = [Reading(9, 1.0), Reading(10, 1.0), Reading(1, 1.0), Reading(1, 0.0)]
    assert run(TERMS, readings) == [
        (1, Tell.OPENED, None),
        (3, Tell.RESOLVED, Ended.RECOVERED),
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (NoData.RESOLVE, [(0, Tell.OPENED, None), (1, Tell.RESOLVED, Ended.NO_DATA)]),
        (NoData.KEEP, [(0, Tell.OPENED, None)]),
        (NoData.ALERT, [(0, Tell.OPENED, None)]),
    ],
)
def test_an_empty_window_means_what_the_rule_says(mode, expected):
    terms = Terms(threshold=0.5, resolve_threshold=0.2, no_data=mode)
    assert run(terms, [Reading(10, 0.9), NOTHING, NOTHING]) == expected


def test_silence_alone_opens_where_the_rule_says_so():
    terms = Terms(threshold=0.5, resolve_threshold=0.2, no_data=NoData.ALERT)
    assert run(terms, [NOTHING, Reading(1, 0.0)]) == [
        (0, Tell.OPENED, None),
        (1, Tell.RESOLVED, Ended.RECOVERED),
    ]


def test_a_clock_that_goes_back_tells_nothing_twice():
    opened = advance(None, Reading(10, 1.0), TERMS, BEGIN).standing
    earlier = advance(opened, Reading(10, 1.0), TERMS, BEGIN - 3600 * SECOND)
    assert earlier == (opened, None)


def test_what_signals_show_is_over_when_they_stop():
    terms = Terms(quiet=60 * SECOND, repeat=600 * SECOND)
    standing, tell = noticed(None, terms, BEGIN)
    assert tell is Tell.OPENED
    standing, tell = noticed(standing, terms, BEGIN + 59 * SECOND)
    assert tell is None
    assert pass_time(standing, terms, BEGIN + 118 * SECOND) == (standing, None)
    over, tell = pass_time(standing, terms, BEGIN + 119 * SECOND)
    assert (tell, over.ended) == (Tell.RESOLVED, Ended.QUIET)


def test_what_signals_show_waits_as_long_as_the_rule_says():
    terms = Terms(for_=10 * SECOND)
    standing, tell = noticed(None, terms, BEGIN)
    assert (standing.phase, tell) == (Phase.PENDING, None)
    assert pass_time(standing, terms, BEGIN + 9 * SECOND) == (standing, None)
    assert pass_time(standing, terms, BEGIN + 10 * SECOND).tell is Tell.OPENED
    assert resolve(standing, Ended.RECOVERED, BEGIN) == (None, None)


class Model:
    """The same by intervals: written without looking at the code under test.

    It keeps all readings, and answers each time from the whole history.
    """

    def __init__(self, terms):
        self.terms = terms
        self.history = []
        self.opened = None
        self.last = None

    def see(self, at, total, value):
        self.history.append((at, self._bad(total, value)))
        if self.opened is None:
            run_began = None
            for when, bad in reversed(self.history):
                if not bad:
                    break
                run_began = when
            if run_began is not None and at - run_began >= self.terms.for_:
                self.opened = self.last = at
                return "opened"
            return None
        gone = value is None and self.terms.no_data == "resolve"
        fine = value is not None and value < self.terms.resolve_threshold
        if gone or fine:
            self.opened, self.history = None, []
            return "resolved"
        if self.terms.repeat is not None and at >= self.last + self.terms.repeat:
            self.last = at
            return "repeated"
        return None

    def _bad(self, total, value):
        if value is None:
            return self.terms.no_data == "alert"
        return total >= self.terms.minimum and value >= self.terms.threshold


shares = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
readings = st.one_of(st.just(NOTHING), st.builds(Reading, st.integers(1, 20), shares))
seconds = st.integers(0, 120).map(lambda each: each * SECOND)
all_terms = st.builds(
    lambda lines, **rest: Terms(
        threshold=max(lines), resolve_threshold=min(lines), **rest
    ),
    lines=st.tuples(shares.filter(bool), shares),
    minimum=st.integers(1, 15),
    for_=seconds,
    repeat=st.none() | st.integers(1, 100).map(lambda each: each * SECOND),
    no_data=st.sampled_from(list(NoData)),
)


@given(all_terms, st.lists(st.tuples(st.integers(1, 60), readings), max_size=60))
def test_it_tells_what_a_simple_model_tells(terms, steps):
    model, standing, at = Model(terms), None, BEGIN
    for gap, reading in steps:
        at += gap * SECOND
        standing, tell = advance(standing, reading, terms, at)
        assert (tell and str(tell)) == model.see(at, *reading)
        if standing is not None and standing.phase is Phase.RESOLVED:
            standing = None


@given(all_terms, st.lists(readings, max_size=40), st.integers(1, 4))
def test_evaluating_more_than_once_at_a_time_changes_nothing(terms, seen, times):
    once, often = None, None
    for number, reading in enumerate(seen):
        at = BEGIN + number * 7 * SECOND
        once = _alive(advance(once, reading, terms, at).standing)
        for _ in range(times):
            step = advance(often, reading, terms, at)
            often = _alive(step.standing)
            if step.tell is Tell.RESOLVED:
                break
        assert (once is None) == (often is None)
        assert once is None or once.repeats == often.repeats


def _alive(standing: Standing | None) -> Standing | None:
    resolved = standing is not None and standing.phase is Phase.RESOLVED
    return None if resolved else standing
