"""axe finds nothing serious on any page: light and dark, on a desktop and a phone."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.browser.installation import TENANT, installed
from tests.browser.tours import tour

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN = """async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations
        .filter((each) => ["serious", "critical"].includes(each.impact))
        .map((each) => [each.id, each.nodes.map((node) => node.target.join(" "))]);
}"""
#: Before and behind the login, and what is shown if something is wrong.
OUTSIDE = ("/admin/login", "/portal/forged", "/admin/sso/callback")


@pytest.fixture(scope="module")
def installation(postgres_server, valkey_server, tmp_path_factory):
    name = "asc_test_accessibility"
    postgres_server.create_database(name)
    folder = tmp_path_factory.mktemp("installation")
    urls = postgres_server.url(name), valkey_server.url(63)
    with installed(*urls, folder) as made:
        yield made
    postgres_server.drop_database(name)


def findings(page, url):
    """Return what axe finds serious on a page, with the elements it is about."""
    page.goto(url)
    page.evaluate(AXE)
    return [f"{url}: {name}: {nodes[:3]}" for name, nodes in page.evaluate(RUN)]


@pytest.mark.parametrize(
    ("size", "scheme"), [*itertools.product(("desktop", "phone"), ("light", "dark"))]
)
def test_no_page_has_a_serious_finding(installation, open_page, log_in, size, scheme):
    page = open_page(size, color_scheme=scheme)
    found = [
        each for path in OUTSIDE for each in findings(page, installation.url + path)
    ]
    log_in(page, installation)
    stops = tour(page, installation.url, TENANT)
    assert len(stops) > 10, "the tour finds the pages"
    for stop in stops:
        found += findings(page, installation.url + stop.path)
    assert found == []


def test_axe_finds_what_is_wrong(installation, open_page):
    """Without this one, silence might mean that axe does not run."""
    page = open_page()
    page.goto(f"{installation.url}/admin/login")
    page.evaluate("document.querySelector('label[for=login]').remove()")
    page.evaluate(AXE)
    assert "label" in {name for name, _ in page.evaluate(RUN)}
