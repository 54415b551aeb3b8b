"""The style sheet: a rule that is not closed takes all that follow with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import ascwebhooks

STATIC = Path(ascwebhooks.__file__).parent / "web" / "admin" / "static"


@pytest.mark.parametrize(
    "path", sorted(STATIC.glob("*.css")), ids=lambda each: each.name
)
def test_every_rule_is_closed_before_the_next_begins(path):
    depth, at_media = 0, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        at_media = at_media or line.lstrip().startswith(("@media", "@keyframes"))
        for each in line:
            depth += (each == "{") - (each == "}")
            assert 0 <= depth <= 1 + at_media, f"{path.name}:{number}"
        at_media = at_media and depth > 0
    assert depth == 0, path.name
