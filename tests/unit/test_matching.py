from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import ids
from ascwebhooks.domain.filters import Facts, compile
from ascwebhooks.domain.matching import (
    Chosen,
    Matcher,
    Subscription,
    choose,
    pattern_problem,
)

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)

# Few letters, so that patterns and types meet; some that mean something to a regex.
letters = "ab.+[(\\^$"
types = st.text(letters, min_size=1, max_size=8)
patterns = st.text(letters + "*", min_size=1, max_size=8)


def fits(pattern: str, text: str) -> bool:
    """Say whether a glob fits: a table over both, with nothing of the code's way."""
    reach = {0}
    for sign in pattern:
        if sign == "*":
            reach = set(range(min(reach), len(text) + 1)) if reach else set()
        else:
            reach = {at + 1 for at in reach if at < len(text) and text[at] == sign}
    return len(text) in reach


def wants(event_type: str, *event_types: str) -> bool:
    return bool(Matcher([Subscription(ONE, event_types)]).match(event_type).endpoints)


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("budget.exceeded", "budget.exceeded", True),
        ("budget.exceeded", "budget.exceeded2", False),
        ("budget.exceeded", "Budget.exceeded", False),
        ("budget.exceeded", "budgetxexceeded", False),
        ("budget.*", "budget.exceeded", True),
        ("budget.*", "budget.team.exceeded", True),
        ("budget.*", "budget.", True),
        ("budget.*", "budget", False),
        ("budget.*", "my.budget.exceeded", False),
        ("*.failed", "request.failed", True),
        ("*.failed", "request.failed.twice", False),
        ("*", "anything:at/all", True),
        ("***", "x", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*a*", "bab", True),
        ("a*b*c", "axbxbxc", True),
        ("a*b*c", "axcxb", False),
        ("[ab]", "a", False),
        ("a?", "ab", False),
    ],
)
def test_globs(pattern, event_type, expected):
    assert wants(event_type, pattern) is expected
    assert fits(pattern, event_type) is expected, "the model agrees"


@given(patterns, types)
def test_a_glob_fits_as_the_model_says(pattern, event_type):
    assert wants(event_type, pattern) is fits(pattern, event_type)


@given(
    st.lists(
        st.tuples(st.sampled_from([ONE, TWO, THREE]), st.lists(patterns, max_size=3)),
        max_size=6,
    ),
    st.lists(types, min_size=1, max_size=5),
)
def test_each_endpoint_is_found_once_and_in_order(subscriptions, event_types):
    """Also when two of its subscriptions want the event, and when asked again."""
    matcher = Matcher(Subscription(each, tuple(some)) for each, some in subscriptions)

    for event_type in event_types * 2:
        expected = {
            endpoint
            for endpoint, some in subscriptions
            if any(fits(pattern, event_type) for pattern in some)
        }
        assert matcher.match(event_type).endpoints == tuple(sorted(expected))


def test_no_subscription_no_endpoint():
    assert Matcher([]).match("a").endpoints == ()
    assert not wants("a")


def test_answers_stay_right_when_more_types_come_than_are_remembered():
    matcher = Matcher([Subscription(ONE, ("a.*",)), Subscription(TWO, ("a.7",))])

    for _ in range(2):
        for number in range(1_500):
            expected = (ONE, TWO) if number == 7 else (ONE,)
            assert matcher.match(f"a.{number}").endpoints == expected
            assert matcher.match(f"b.{number}").endpoints == ()


@pytest.mark.timeout(20)
def test_no_pattern_makes_the_matcher_backtrack():
    """A tenant's ``*a*a*…b`` would stop accepting for everybody.

    A matcher that tries every way needs 126 over 42 steps here: it never ends.
    """
    event_type = "a" * 128
    for pattern in ("*a" * 42 + "*b", "a*" * 42 + "b", "*" + "a*a" * 30 + "*b"):
        assert not wants(event_type, pattern)
    assert wants(event_type, "*a" * 42 + "*")


@pytest.mark.parametrize("pattern", ["a", "*", "budget.*", "~!", "a" * 128, "[x]"])
def test_what_may_be_subscribed_to(pattern):
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["", " ", "a b", "é", "a\n", "\0", "a" * 129, "a\x7f"]
)
def test_what_may_not(pattern):
    assert "visible ASCII" in pattern_problem(pattern)


def only(text: str | None, number: int, endpoint: UUID = ONE) -> Subscription:
    made = None if text is None else compile(text)
    return Subscription(endpoint, ("*",), UUID(int=number), made)


def chosen(*subscriptions: Subscription, data: bytes = b'{"spend": 5}') -> Chosen:
    facts = Facts(
        type="a",
        source="s",
        subject=None,
        time=datetime(2026, 11, 24, tzinfo=UTC),
        tenant="acme",
        data=data,
    )
    return choose(Matcher(subscriptions).match("a"), facts)


def sub(number: int) -> str:
    return ids.show(ids.Kind.SUBSCRIPTION, UUID(int=number))


def test_one_subscription_that_takes_it_is_enough_and_nothing_else_is_noted():
    yes, no, bad = only("data.spend > 1", 1), only("false", 2), only("data.x", 3)
    assert chosen(yes, no, bad) == Chosen((ONE,))
    assert chosen(no, bad, yes) == Chosen((ONE,))
    assert chosen(only(None, 4), no, bad) == Chosen((ONE,))


def test_what_kept_an_event_back_is_noted_for_endpoints_that_get_nothing():
    made = chosen(
        only("data.spend > 9", 1, ONE),
        only("data.gone > 9", 2, ONE),
        only("data.spend > 9", 3, TWO),
        only("data.spend > 1", 4, TWO),
        only("false", 5, THREE),
    )
    assert made.endpoints == (TWO,)
    assert made.not_sent == {
        "filtered": [sub(1), sub(5)],
        "failed": {sub(2): "there is no key 'gone'"},
    }


def test_filters_are_asked_of_types_that_fit_and_where_nothing_else_decides():
    """Where none is asked, the data is not even read."""
    filtered = Subscription(ONE, ("a", "*"), UUID(int=1), compile("true"))
    plain = Subscription(ONE, ("b",), UUID(int=2))
    matcher = Matcher([filtered, plain])

    assert matcher.match("a").asked == ((ONE, UUID(int=1), filtered.filter),)
    assert matcher.match("b") == ((ONE,), ())
    assert Matcher([plain]).match("a") == ((), ())
    assert matcher.match("a") is matcher.match("a"), "remembered"
