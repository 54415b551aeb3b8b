"""Filters that offer choices: a value that is none of them is named, with those."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

import ascwebhooks.web.admin
from ascwebhooks.domain.keys import Role

INSIDE = "/tenants/acme"
DEAD = ("reason", "attempts_exhausted"), ("error", "timeout")
AGO = ("died", "24h"), ("within", "7d")
#: By the pages of lists: the choices they offer, each with a value that there is.
CHOICES = {
    f"{INSIDE}/budgets": [("scope_type", "team")],
    f"{INSIDE}/dead-letters": [*DEAD, *AGO],
    f"{INSIDE}/dead-letters/deliveries": [*DEAD, *AGO],
    f"{INSIDE}/dead-letters/groups": [*DEAD, *AGO],
    f"{INSIDE}/deliveries": [("status", "cancelled"), *DEAD, ("range", "24h")],
    f"{INSIDE}/endpoints": [("state", "failing")],
    f"{INSIDE}/events": [("range", "own")],
    f"{INSIDE}/incidents": [
        ("state", "resolved"),
        ("kind", "outage"),
        ("severity", "warning"),
        ("range", "30d"),
    ],
    f"{INSIDE}/replays": [("state", "paused")],
    f"{INSIDE}/rules": [("kind", "outage"), ("enabled", "false")],
}
CASES = [
    pytest.param(path, name, value, id=f"{path.removeprefix(INSIDE)[1:]} {name}")
    for path, choices in CHOICES.items()
    for name, value in choices
]
#: Those of names that are not fixed: endpoints, and what the audit log has seen.
FREE = {"endpoint_id", "action"}
TEMPLATES = Path(ascwebhooks.web.admin.__file__).parent / "templates"


@pytest.mark.parametrize(("path", "name", "value"), CASES)
def test_a_value_that_there_is_not_is_named_with_those_that_there_are(
    visit, path, name, value
):
    visitor = visit(Role.VIEWER, "acme")
    refused = visitor.get(f"{path}?{name}=zzz")
    assert refused.status_code == 422, name
    told = html.unescape(refused.text)
    if not path.endswith("groups"):
        assert re.search(rf"'zzz' is none of [^.]*\b{value}\b", told), told
    assert visitor.get(f"{path}?{name}={value}").status_code == 200


def test_no_choice_of_a_list_is_forgotten_here():
    """A filter that is added later is to be in the table too."""
    found = {
        name
        for file in TEMPLATES.rglob("*.html")
        for name in re.findall(r'forms\.filter_select\("(\w+)"', file.read_text())
    }
    assert found - FREE == {
        name for choices in CHOICES.values() for name, _ in choices
    } - {"range", "severity"}


def test_a_result_of_a_replay_that_there_is_not_is_refused_too(visit, pipeline):
    made = pipeline.services.replays.create("acme", filter={"event_type": "none"})
    visitor = visit(Role.VIEWER, "acme")
    listed = visitor.get(f"{INSIDE}/replays").text
    page = re.search(rf'href="/admin({INSIDE}/replays/rpl_[^"]+)"', listed)[1]
    assert visitor.get(f"{page}?result=skipped").status_code == 200
    refused = visitor.get(f"{page}?result=zzz")
    assert refused.status_code == 422
    assert "is none of delivered, pending" in html.unescape(refused.text)
    assert made


def test_an_action_that_was_never_recorded_is_shown_as_chosen(visit):
    page = visit(Role.ADMIN).get("/audit?action=zzz")
    assert '<option value="zzz" selected>' in page.text
