"""What is said to be wrong first, and when all is well."""

from __future__ import annotations

import pytest

from ascwebhooks.domain.verdicts import LAGGING, STALE_S, Level, Signs, Topic, concerns

WELL = Signs(
    due=3, oldest_due_s=0.2, new_dead=0, barred=0, failing=0, disabled=0, span="hour"
)


def topics(**signs):
    return [each.topic for each in concerns(WELL._replace(**signs))]


def test_nothing_is_said_when_all_is_well():
    assert concerns(WELL) == []


@pytest.mark.parametrize(
    ("signs", "topic"),
    [
        pytest.param({"broker_answers": False}, Topic.BROKER, id="no broker"),
        pytest.param({"stream_lag": LAGGING + 1}, Topic.STREAM, id="a long stream"),
        pytest.param({"lag_is_known": False}, Topic.STREAM, id="a lag nobody knows"),
        pytest.param({"oldest_due_s": STALE_S + 1}, Topic.BACKLOG, id="late"),
        pytest.param({"due": None}, Topic.BACKLOG, id="not counted"),
        pytest.param({"barred": 1}, Topic.BREAKERS, id="an open breaker"),
        pytest.param({"failing": 2}, Topic.FAILING, id="failing"),
        pytest.param({"new_dead": 1}, Topic.DEAD_LETTERS, id="new dead letters"),
        pytest.param({"disabled": 1}, Topic.DISABLED, id="disabled"),
    ],
)
def test_each_sign_is_a_concern_of_its_own(signs, topic):
    assert topics(**signs) == [topic]


@pytest.mark.parametrize("what", ["barred", "failing"])
def test_what_waits_is_spoken_of_only_where_something_does(what):
    (waits,) = concerns(WELL._replace(**{what: 1}))
    (idle,) = concerns(WELL._replace(**{what: 1, f"{what}_wait": False}))
    assert waits.advice.startswith(("The breaker is open: del", "Deliveries are"))
    assert idle.advice.lower().endswith("nothing waits there now.")


def test_dead_letters_concern_nobody_once_there_are_none():
    """All that died in the span has been replayed since."""
    assert topics(new_dead=40, dead=0) == []
    assert topics(new_dead=40, dead=1) == [Topic.DEAD_LETTERS]
    assert topics(new_dead=40, dead=None) == [Topic.DEAD_LETTERS], "it is not known"


@pytest.mark.parametrize(
    ("dead", "advice"),
    [
        (None, "Once the receiver is well, replay them."),
        (41, "Once the receiver is well, replay them."),
        (1, "1 of any time is left."),
        (39, "39 of any time are left."),
    ],
)
def test_it_is_said_how_many_are_left_once_some_were_replayed(dead, advice):
    (concern,) = concerns(WELL._replace(new_dead=40, dead=dead))
    assert concern.advice == advice


@pytest.mark.parametrize(
    "signs", [{"stream_lag": LAGGING}, {"oldest_due_s": STALE_S}, {"due": 100_000}]
)
def test_what_is_usual_is_no_concern(signs):
    assert topics(**signs) == []


def test_what_concerns_everybody_comes_first_and_acting_before_watching():
    found = concerns(
        WELL._replace(
            disabled=1, new_dead=9, barred=1, oldest_due_s=9_000.0, stream_lag=5_000
        )
    )
    assert [each.topic for each in found[:3]] == [
        Topic.STREAM,
        Topic.BACKLOG,
        Topic.BREAKERS,
    ]
    levels = [each.level for each in found]
    assert levels == sorted(levels, key=lambda each: each is not Level.ACT)
    assert "2 hours" in found[1].what
