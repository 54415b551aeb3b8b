"""Overviews show how it stood: charts, what is now, gaps and the same as a table."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from ascwebhooks.domain.gauge_samples import Sample, Taken
from ascwebhooks.domain.keys import Role

MINUTE = timedelta(minutes=1)
OF_PLATFORM = Sample(4_321, 754.0, 98_765, 31, 41, 59_265)
OF_ACME = Sample(17, 23.0, 8, 3, 2)
TITLES = ["Due", "Oldest due", "Dead letters", "Failing endpoints"]


@pytest.fixture
def sampled(pipeline):
    """An installation with an endpoint, samples of the last minutes, and a gap."""
    pipeline.endpoint()
    with pipeline.uow() as uow:
        now = uow.now()
    for back in (9, 8, 5):
        found = Taken(OF_PLATFORM, {"acme": OF_ACME})
        pipeline.services.gauge_samples.write(now - back * MINUTE, found)


def values(page: str) -> set[str]:
    """Return what can be read from the small charts of a page."""
    figures = re.findall(r'<figure class="chart level".*?</figure>', page, re.DOTALL)
    return {
        value
        for figure in figures
        for said in re.findall(r'data-values="([^"]+)"', figure)
        for value in html.unescape(said).split("|")
    }


def titles(page: str) -> list[str]:
    return re.findall(r'class="level-title">([^<]+)<', page)


@pytest.mark.parametrize("path", ["/overview", "/overview/live"])
def test_the_overview_shows_levels_over_time(visit, sampled, path):
    shown = visit(Role.VIEWER).get(f"{path}?span=1h").text
    assert titles(shown) == [*TITLES, "On the stream"]
    assert values(shown) == {
        *("4\u202f321", "13\u00a0min", "98\u202f765", "31", "41", "59\u202f265"),
        "not sampled",
    }
    assert 'aria-label="Due, the last hour. Now 0; due at most 4\u202f321.' in shown
    assert 'class="chart-gap"' in shown
    assert "Backlog and failures, as a table" in shown


@pytest.mark.parametrize("path", ["/tenants/acme", "/tenants/acme/overview/live"])
def test_a_tenants_viewer_sees_the_tenants_levels_and_nobody_elses(
    pipeline, visit, sampled, path
):
    pipeline.services.tenants.create("globex")
    pipeline.endpoint(tenant_id="globex")
    shown = visit(Role.VIEWER, "acme").get(f"{path}?span=1h").text
    assert titles(shown) == TITLES
    assert values(shown) == {"17", "23\u00a0s", "8", "3", "2", "not sampled"}

    other = visit(Role.VIEWER, "globex")
    found = other.get(path.replace("acme", "globex") + "?span=1h").text
    assert values(found) == {"0", "0\u00a0s", "not sampled"}
    assert other.get(f"{path}?span=1h").status_code == 404


@pytest.mark.parametrize("span", ["1h", "24h", "7d", "30d"])
def test_every_span_has_them(visit, sampled, span):
    somebody = visit(Role.VIEWER)
    assert "4\u202f321" in values(somebody.get(f"/overview?span={span}").text)
    assert "17" in values(somebody.get(f"/tenants/acme?span={span}").text)


def test_before_the_first_sample_it_is_said_that_there_is_none(pipeline, visit):
    pipeline.endpoint()
    shown = visit(Role.VIEWER).get("/overview").text
    assert "Nothing was sampled in this time" in shown
    assert titles(shown) == []
