"""Text from outside, so that what it holds can be seen."""

from __future__ import annotations

import pytest

from ascwebhooks.web.admin.texts import spelled_out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "plain, \u00e9, \u65e5, \U0001f600\n\t",
            "plain, \u00e9, \u65e5, \U0001f600\n\t",
        ),
        ("a\u202eb", "a[U+202E]b"),
        ("a\u2028b", "a[U+2028]b"),
        ("a\0\x1b[31m", "a[U+0000][U+001B][31m"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        (None, ""),
        (5, "5"),
    ],
)
def test_what_cannot_be_seen_is_named_in_attributes(text, shown):
    assert spelled_out(text) == shown
