from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.headers import MAX_TOTAL_BYTES, check_headers
from ascwebhooks.errors import InvalidInput

RESERVED = """host content-length transfer-encoding connection te upgrade expect proxy-x
    proxy-authorization webhook-id webhook-signature webhook-anything ce-id ce-x
    traceparent trailer keep-alive content-type content-encoding accept-encoding
    user-agent"""


def test_values_lose_their_outer_blanks_and_names_keep_their_case():
    given_headers = {
        "Authorization": " Bearer a\tb ",
        "x-empty": "",
        "X_1.~!#$%&'*+^|": '~!"',
    }

    assert check_headers(given_headers) == {
        "Authorization": "Bearer a\tb",
        "x-empty": "",
        "X_1.~!#$%&'*+^|": '~!"',
    }
    assert check_headers({}) == {}


@pytest.mark.parametrize("name", RESERVED.split())
def test_reserved_names_are_refused_in_any_case(name):
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(InvalidInput, match=spelling):
            check_headers({spelling: "x"})


@pytest.mark.parametrize("name", ["te-x", "hostname", "x-webhook-id", "cent", "proxy"])
def test_names_that_only_resemble_reserved_ones_are_fine(name):
    assert check_headers({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name", ["", "a b", "a:", "a\n", "a\r\nb", "é", "a\x00", "(a)", "a`b", ":path", 7]
)
def test_malformed_names_are_refused(name):
    with pytest.raises(InvalidInput, match="header name"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r\nx: y", "a\n", "\r", "é", "\x00", "\x7f", "\u2028", "\x1b"]
)
def test_values_that_could_split_a_request_are_refused_and_not_shown(value):
    with pytest.raises(InvalidInput, match="'X-A'") as caught:
        check_headers({"X-A": "secret" + value})

    assert "secret" not in str(caught.value)
    assert caught.value.context == {"field": "headers", "header": "'X-A'"}


def test_a_value_that_is_not_text_is_refused():
    with pytest.raises(InvalidInput, match="not text"):
        check_headers({"x-a": 1})


def test_one_name_in_two_cases_is_refused():
    with pytest.raises(InvalidInput, match="twice"):
        check_headers({"x-a": "1", "X-A": "2"})


def test_at_most_twenty():
    headers = {f"x-{each}": "" for each in range(20)}
    assert len(check_headers(headers)) == 20
    with pytest.raises(InvalidInput, match="at most 20"):
        check_headers({**headers, "x-20": ""})


def test_at_most_eight_kib():
    room = MAX_TOTAL_BYTES - len("x-a: \r\n")
    assert check_headers({"x-a": "v" * room})
    with pytest.raises(InvalidInput, match="'x-a' takes"):
        check_headers({"x-a": "v" * (room + 1)})


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_what_passes_can_split_nothing(headers):
    try:
        checked = check_headers(headers)
    except InvalidInput:
        return
    for name, value in checked.items():
        line = f"{name}: {value}"
        assert line.isascii()
        assert not set(line) & set("\r\n\0")
        assert ":" not in name
