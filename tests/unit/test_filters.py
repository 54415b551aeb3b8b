"""Filters: what they take, what is refused, and that nothing they do ends a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ascwebhooks.domain import bounds, filters, tokens
from ascwebhooks.domain.filters import Answer, Facts
from ascwebhooks.errors import InvalidInput

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DATA = {
    "spend": 85,
    "share": 0.5,
    "team": "search",
    "zero": 0,
    "none": None,
    "yes": True,
    "models": ["gpt", "claude"],
    "calls": [{"cost": 1}, {"cost": 20}],
    "gen_ai.provider.name": "anthropic",
}


def facts(data: object = DATA, **attributes: object) -> Facts:
    whole = {
        "type": "budget.exceeded",
        "source": "/gateway",
        "subject": None,
        "time": NOON,
        "tenant": "acme",
        "data": data if isinstance(data, bytes) else json.dumps(data).encode(),
    }
    return Facts(**{**whole, **attributes})


def answer(text: str, data: object = DATA) -> Answer:
    return filters.compile(text).answer(facts(data))


@pytest.mark.parametrize(
    "text",
    [
        "true",
        'type == "budget.exceeded" && source == "/gateway" && tenant == "acme"',
        "subject == null",
        'time > timestamp("2026-01-01T00:00:00Z") && time.getFullYear() == 2026',
        "data.spend > 80 && data.spend == 85.0",
        'data["gen_ai.provider.name"] == "anthropic"',
        'has(data.team) && data.team.startsWith("sea")',
        'has(data.gone) && data.gone > 1 || data.team in ["search", "ads"]',
        'data.models.exists(m, m == "claude")',
        "data.calls.all(call, call.cost < 50)",
        "data.calls.exists_one(call, call.cost > 10)",
        '["budget", "key"].exists(p, type.startsWith(p))',
        r'type.matches("^budget\\.\\w+$")',
        r'"2026-11-24".matches(r"^\d{4}-\d{2}-\d{2}$")',
        "data.yes",
        '"" == "" // data.x.map(i, i).map(j, j)',
        '"""a".map(b, c).map(d, e)""" != type',
        "double(data.spend) * data.share > 40.0",
    ],
)
def test_what_a_filter_can_say(text):
    assert answer(text) == Answer(True)


@pytest.mark.parametrize(
    "text", ["data.spend", "data.team", "1", "data", "null", '"true"', "data.calls"]
)
def test_nothing_but_true_is_a_match(text):
    """And it is said that such a filter never will be one."""
    assert answer(text) == Answer(False, "the filter gives neither true nor false")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0 == 1", "division by zero"),
        ("data.spend % data.zero == 1", "division by zero"),
        ("data.gone == 1", "there is no key 'gone'"),
        ("data[data.team] == 1", "there is no such key"),
        ('data.team > 5 || data.team == "x"', "the types do not go together"),
        ("data.spend * 1.5 > 1.0", "the types do not go together"),
        ("data.none > 1", "the types do not go together"),
        ("data.models[7] == 1", "an index is out of bounds"),
        ("data.spend * 9223372036854775807 > 1", "a number is too large"),
        ("timestamp(data.team) < time", "a function does not take this value"),
        ('subject.startsWith("a")', "a function does not take this value"),
        ('type.matches("(")', "a function does not take this value"),
        ("data.calls.all(call, call.price > 1)", "there is no key 'price'"),
    ],
)
def test_an_error_is_no_match_and_says_what_it_was(text, error):
    made = answer(text)
    assert made.matched is False
    assert made.error is not None
    assert made.error.startswith(error)


def test_an_error_shows_nothing_of_the_data():
    """It is kept in clear, and the data is sealed."""
    planted = {"k": "hunter2", "n": 4611686018427387904}
    for text in (
        "data[data.k] == 1",
        "timestamp(data.k) < time",
        "duration(data.k) > duration('1s')",
        "int(data.k) == 1",
        "data.n * data.n > 1",
    ):
        made = answer(text, planted)
        assert made.error, text
        assert "hunter2" not in made.error
        assert "4611686018427387904" not in made.error


@pytest.mark.parametrize("data", [b"1e999", b"1" + b"0" * 400])
def test_a_value_that_cel_has_not_is_an_error(data):
    made = answer("data == 1", data)
    assert (made.matched, bool(made.error)) == (False, True)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a +", 1, 4, "mismatched input"),
        ("", 1, 1, "mismatched input"),
        ('type == "a" &&\n && true', 2, 2, "extraneous input"),
        ("spend > 1", 1, 1, "'spend' is unknown"),
        ("true &&\n  nonsense(type)", 2, 3, "no function 'nonsense'"),
        ("_own(type)", 1, 1, "no function '_own'"),
        ("data.x.map(i, i) == []", 1, 8, "map is not supported"),
        ("data.x . filter (i, i) == []", 1, 10, "filter is not supported"),
        ("data.x.//\nmap(i, i) == []", 2, 1, "map is not supported"),
        ("data.x.exists(i, i.all(j, j))", 1, 20, "only one exists"),
        ("data.x.all(i, i) && data.y.existsOne(j, j)", 1, 28, "only one exists"),
        ("(data.x + data.x).exists(i, i)", 1, 19, "walks a list in the event"),
        ("data.x[data.n].exists(i, i)", 1, 16, "walks a list in the event"),
        ("[[1], [2]][0].exists(i, i == 1)", 1, 15, "walks a list in the event"),
        ("data.x.exists(type, type)", 1, 1, "'type' is the event's"),
        ('data.x.exists(i, i.matches("a"))', 1, 20, "no matches within"),
        ("type.matches(data.pattern)", 1, 6, "a pattern in quotes"),
        ('type.matches("a" + "b")', 1, 6, "a pattern in quotes"),
        (r'type.matches("\\w{200}")', 1, 14, "pattern is too large"),
        ('type.matches("(a{1,50}){1,50}b")', 1, 14, "pattern is too large"),
        (r'type.matches("\x5cw{200}")', 1, 14, "coded characters"),
        ('type.matches("(?x)a{ 9 9 }")', 1, 14, "coded characters"),
        ("(" * 33 + "1" + ")" * 33, 1, 33, "nested deeper than 32"),
        ("+".join(["data.s"] * 10) + ' == ""', 1, 63, "at most 8 '+'"),
    ],
)
def test_a_filter_that_is_refused_names_the_place_of_the_fault(
    text, line, column, said
):
    with pytest.raises(InvalidInput) as caught:
        filters.compile(text)
    assert said in str(caught.value)
    context = caught.value.context
    assert (context["field"], context["line"], context["column"]) == (
        "filter",
        line,
        column,
    )


def test_a_filter_has_1024_characters_at_most():
    whole = "true" + " " * 1_020
    assert answer(whole).matched
    with pytest.raises(InvalidInput, match="1025 characters; at most 1,024"):
        filters.compile(whole + " ")


def test_a_stored_filter_that_is_not_taken_any_more_fails_on_each_event():
    made = filters.stored("data.x.map(i, i) == []").answer(facts())
    assert (made.matched, bool(made.error)) == (False, True)


def test_a_macro_walks_1000_items_at_most():
    text = "data.x.exists(i, i == 999)"
    assert answer(text, {"x": list(range(1_000))}) == Answer(True)
    made = answer(text, {"x": list(range(1_001))})
    assert (made.matched, made.error) == (
        False,
        "a list of 1001 items: at most 1,000 are walked",
    )
    assert answer(text, {"x": {str(n): n for n in range(1_001)}}).error == made.error
    assert answer("data.y == 1", {"x": list(range(9_999)), "y": 1}).matched, (
        "not walked"
    )
    guarded = "has(data.x) && data.x.exists(i, true)"
    assert answer(guarded, {}) == Answer(False), "no length, no walk, no error"


def most(part, around="{}"):
    """Return a filter that is as long as one may be, of a part again and again."""
    count = (filters.MAX_CHARACTERS - len(around)) // (len(part) + 2)
    return around.format("||".join([part] * count))


EACH = "data.x.exists(i, {})"
#: What took up to 10 s before it was bounded.
SLOW = [
    EACH.format("+".join(["data.s"] * 9) + ' == "a"'),
    EACH.format("+".join(["[data.l]"] * 9) + " == 1"),
    *(most(part, EACH) for part in (
        "data.l != data.l", "data.s > data.s", 'data.s.contains("ab")', "i != i",
        "[i,i,i,i]==[]", "i in [1,2,3,4,5,6,7,8,9]", "i in data.l", "size(data.l)==0",
    )),
    *(most(part) for part in (
        "data != data", "data.l != data.x", "[data]==[]", "{1:data.l}!={1:data.x}",
        "size(data.l)==0", "1.5 in data.l", "data.l in [data.x] && false",
        'data.s.contains("zz")', 'data.l[0] == "c"', 'data["l"] != data.l',
    )),
    "+".join(["data.l"] * 9) + " == data.s",
    "(" + "+".join(["data.s"] * 9) + r').matches("(?:.?.?){9}[qr]")',
    'data.s.matches("(a{1,17}){1,10}b")',
    "||".join([f'data.s.matches("{n}a.*b")' for n in range(30)]),
    *(f'data.s.matches("{pattern}")' for pattern in (
        "a(?:.?.?.?.?.?.?.?.?){6}[qr]", r".*\\b.*\\b.*\\b.*\\bz", r"(?:\\w|\\b)*[qr]",
        r"(?:\\b|a|.)*\\b[qr]", "(?:a|b|ab|ba)*[qr]",
    )),
    "||".join([r'type.matches("\\w")'] * 24),
    '"a"+' * 8 + "data.s == data.s",
]  # fmt: skip
TEXT = "abé " * 63_000
#: 256 KiB each, or as much as filters are asked about.
LARGE = {
    "one text": {"s": TEXT[:200_000], "x": [1], "l": [1]},
    "a text of 30 KB": {"s": "ab" * 15_000, "x": list(range(1_000)), "l": [1]},
    "a text of 90 KB": {
        "s": "".join(Random(1).choices("ab", k=90_000)),
        "x": [1],
        "l": [1],
    },
    "a text of 3 KB": {"s": "ab" * 1_500, "x": list(range(1_000)), "l": [""] * 40},
    "texts": {"s": TEXT[:30_000], "x": list(range(1_000)), "l": ["b" * 40] * 1_000},
    "no texts": {"s": "", "x": [""] * 9_900, "l": [""] * 9_900},
    "nested": {"s": "", "x": [[[[1]]]] * 1_000, "l": [[[[1]]]] * 1_000},
    "objects": {"s": "", "x": [{"a": 1}] * 1_000, "l": [{"a": 1}] * 2_000},
    "lists": {"s": "", "x": [[1] * 18] * 1_000, "l": [1]},
    "too much": {"s": "", "x": [""] * 40_000, "l": [""] * 40_000},
}

#: JSON that takes about 5 ms to read.
YARDSTICK = json.dumps([{"n": n, "text": "x" * 20} for n in range(20_000)])


@pytest.mark.parametrize("name", LARGE)
def test_no_filter_holds_the_process_for_long(name, subtests):
    """The library lets nobody else run meanwhile: 50 ms at most, each measured thrice.

    That is on the machine that the bounds are from, where ``YARDSTICK`` takes 5 ms; so
    machines are measured by it, and the double is allowed.
    """
    yard_s = min(_took_s(json.loads, YARDSTICK) for _ in range(5))
    for text in SLOW:
        assert len(text) <= filters.MAX_CHARACTERS
        try:
            made = filters.compile(text)
        except InvalidInput:
            continue
        with subtests.test(text[:60]):
            large = facts(LARGE[name])
            took_s = min(_took_s(made.answer, large) for _ in range(3))
            assert took_s < 20 * yard_s


def _took_s(work, given):
    began = time.process_time()
    work(given)
    return time.process_time() - began


@pytest.mark.parametrize("data", [[""] * 19_000, "a," * 100_000, {"a": "[" * 9_000}])
def test_data_of_20000_values_is_looked_into(data):
    assert answer("data != null", data).matched


def test_data_of_more_values_is_not():
    made = answer("data != null", [""] * 20_001)
    assert made == Answer(False, "the data holds too many values for a filter")


def test_a_plain_reading_of_one_thing_is_not_charged_for_what_stands_beside_it():
    data = {"x": [{"n": n} for n in range(1_000)], "limit": 999, "o": {"p": [1]}}
    large = {**data, "prompt": "a" * 100_000, "l": [1] * 9_000}
    text = "data.x.exists(i, i.n == data.limit || i.n in data['o'].p && false)"
    assert answer(text, large).matched
    refused = answer("data.x.exists(i, i.n in data.l)", large)
    assert (
        refused.error
        == "the data that the filter reads is too large, or read too often"
    )


pieces = st.sampled_from(
    [
        *("data", "data.x", "data.s", "type", "time", "i", "j", "1", "0", '"a"', "[]"),
        *(".exists(i, ", ".all(j, ", ".map(i, ", ".filter(k, ", ".exists_one(i,"),
        *("(", ")", "[", "]", "{", "}", ",", ".", "!", "-", " ", "\n", "//", '"""'),
        *(" && ", " || ", " + ", " / ", " % ", " == ", " > ", " in ", " ? ", " : "),
        *("size(", "has(", 'r"', "'", '"', "\\", ".map(", ".startsWith(", "true"),
        *('.matches("a+")', "timestamp(", "duration(", "int(", "double(", "null"),
    ]
)
texts = st.lists(pieces, max_size=25).map("".join) | st.text(max_size=60)


@settings(deadline=None, max_examples=300)
@given(texts)
@example("\ud800")
@example("\0")
def test_any_text_is_a_filter_or_refused_and_never_anything_else(text):
    try:
        made = filters.compile(text)
    except InvalidInput as error:
        assert error.context["field"] == "filter"
        return
    found = made.answer(facts({"x": [1, "a", None], "s": "b"}))
    assert found.matched in (True, False)
    assert not (found.matched and found.error)


names = st.sampled_from(["exists", "all", "exists_one", "existsOne", "map", "filter"])
spaces = st.sampled_from(["", " ", "\n", "//x\n", ' // "\n', "\t// '''\n"])
quoted = st.sampled_from(
    ['"', "'", '"""', "'''", 'r"', "b'", 'r"""', 'bR"', "R'''", 'rb"']
)
inner = st.sampled_from(["", "\\", '\\"', "\\'", "'", '"', "//", "a", "''", '""', "\n"])
literals = st.builds(
    lambda opening, some: f"{opening}{''.join(some)}{opening.lstrip('rRbB')}",
    quoted,
    st.lists(inner, max_size=4),
)


@settings(deadline=None, max_examples=600)
@given(st.lists(st.tuples(names, spaces, spaces, literals, spaces), max_size=3))
def test_no_macro_escapes_the_tokens(parts):
    """Texts and comments around each; the library itself tells what it bound."""
    whole = "true"
    for at, (name, before, after, literal, end) in enumerate(parts):
        walk = f"data.{before}{name}{after}(v{at}, v{at} == {literal})"
        whole += f"{end} && {literal} != {walk}"
    try:
        program = filters._parse(whole)
    except InvalidInput:
        return
    bound = {each for each in program.variables() if each.startswith("v")}
    known = {
        token.text
        for before, token in zip(
            tokens.split(whole)[1:], tokens.split(whole)[2:], strict=False
        )
        if before.kind == "(" and token.kind == tokens.NAME
    }
    assert bound <= known
    if len(bound) > 1:
        with pytest.raises((bounds.Refusal, InvalidInput)):
            filters.compile(whole)


DANGEROUS = """
import json, sys
from datetime import UTC, datetime
from ascwebhooks.domain import filters
from ascwebhooks.errors import InvalidInput

deep = 1
for _ in range(62):
    deep = [deep]
many = [
    "(" * 511 + "1" + ")" * 511, "[" * 512 + "]" * 512, "!" * 1020 + "true",
    "-" * 1020 + "1", "data" + ".a" * 510, "data" + "[0]" * 340,
    "{1:" * 200 + "1" + "}" * 200,
    "true" + "&&true" * 170, "true?" * 120 + "1" + ":1" * 120, "(" * 1024, "[(" * 512,
    "size(" * 160 + "type" + ")" * 160, "\\\\" * 1024, '"' * 1023, "data == data",
    "data.exists(i, i == data)", "time" + '-duration("2562047h")' * 40 + " > time",
    "-9223372036854775808 / -1 == 1", "-9223372036854775808 % -1 == 1", "a" * 1024,
]
for text in many:
    try:
        made = filters.compile(text)
    except InvalidInput:
        continue
    for data in (deep, {"a": 1}, None):
        made.answer(filters.Facts(type="t", source="s", subject=None, tenant="a",
            time=datetime.now(UTC), data=json.dumps(data).encode()))
print("alive")
"""


def test_nothing_dangerous_ends_the_process():
    """In a process of its own, on a thread with the small stack that a worker has."""
    threaded = (
        "import threading; threading.stack_size(512 * 1024)\n"
        f"thread = threading.Thread(target=exec, args=({DANGEROUS!r}, {{}}))\n"
        "thread.start(); thread.join()"
    )
    done = subprocess.run(  # noqa: PLW1510 - looked at below
        [sys.executable, "-c", threaded], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-500:]


def test_a_panic_of_the_library_is_an_error_like_any_other():
    """Its class is a ``BaseException``; others of those still get through."""

    def panic(kind):
        raise kind

    with pytest.raises(filters.Failed, match="crashed"):
        filters._guarded(panic, type("PanicException", (BaseException,), {}))
    with pytest.raises(KeyboardInterrupt):
        filters._guarded(panic, KeyboardInterrupt)
