"""axe finds nothing serious on any page: light and dark, on a desktop and a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from tests.browser.installation import TENANT, installed
from tests.browser.secrets_shown import each_shown
from tests.browser.tours import tour

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN = """async (options) => {
    const found = await axe.run(document, { resultTypes: ["violations"], ...options });
    return found.violations
        .filter((each) => ["serious", "critical"].includes(each.impact))
        .map((each) => [each.id, each.nodes.map((node) => node.target.join(" "))]);
}"""
#: Light and dark differ in colours alone, so all the rest is looked at once.
SCHEMES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
SIZES = ("desktop", "phone")
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


@pytest.fixture
def open_page(browsing, installation):
    """Opens pages of the installation; no other server is started."""
    with browsing() as open_:
        yield open_


def findings(page, url):
    """Return what axe finds serious on a page, with the elements it is about."""
    page.goto(url)
    return found_here(page)


def found_here(page):
    """Return what axe finds on the page as it is now, light and dark."""
    page.evaluate(AXE)
    return [
        f"{page.url} ({scheme}): {name}: {nodes[:3]}"
        for scheme, options in SCHEMES.items()
        for name, nodes in found_in(page, scheme, options)
    ]


def found_in(page, scheme, options):
    # Without motion no colour is on its way from one to the other.
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
    return page.evaluate(RUN, options)


@pytest.mark.parametrize("size", SIZES)
def test_no_page_has_a_serious_finding(installation, open_page, log_in, size):
    page = open_page(size)
    found = [
        each for path in OUTSIDE for each in findings(page, installation.url + path)
    ]
    log_in(page, installation)
    stops = tour(page, installation.url, TENANT)
    assert len(stops) > 10, "the tour finds the pages"
    opened = {each.name.rpartition("-")[2] for each in stops}
    assert opened >= {"opened", "verify"}, "requests, answers and payloads among them"
    for path in (*(each.path for each in stops), installation.test):
        found += findings(page, installation.url + path)
    assert found == []


@pytest.mark.parametrize("size", SIZES)
def test_what_forms_are_answered_with_has_none(installation, open_page, log_in, size):
    """Secrets that are shown once, errors next to their fields, dry runs."""
    page = open_page(size)
    log_in(page, installation)
    found = []

    def send(path, button, told, values=None):
        page.goto(installation.admin(path))
        for label, value in (values or {}).items():
            page.get_by_label(label, exact=True).fill(value)
        # The server is to say what is wrong, not the browser.
        page.evaluate("document.querySelector('form.form').noValidate = true")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text(told).first).to_be_visible()
        found.extend(found_here(page))

    inside = f"/tenants/{TENANT}"
    login = f"{size}@example.com"
    wrong = "look at what is marked"
    send("/new/tenant", "Create tenant", wrong, {"Id": "not an id"})
    send("/new/user", "Create user", wrong, {"Login": "no login!"})
    send("/new/user", "Create user", "it is shown this once", {"Login": login})
    send("/new/key", "Create key", "it is shown this once")
    send("/account", "Change password", wrong)
    send(f"{inside}/new/endpoint", "Create endpoint", wrong, {"URL": "ftp://x"})
    send(f"{inside}/new/subscription", "Create subscription", wrong)
    send(f"{inside}/delete", "Delete this tenant", wrong)
    here = {"URL": "http://127.0.0.1:9009/hook"}
    send(f"{inside}/new/endpoint", "Create endpoint", "shown this once", here)
    page.get_by_role("link", name="Go to the endpoint").click()
    page.get_by_role("link", name="Rotate").click()
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_text("shown this once")).to_be_visible()
    found.extend(found_here(page))
    # What had arrived can be sent again at any time; what died may be on its way now.
    (arrived,) = installation.services.deliveries.page(
        TENANT, status="delivered", limit=1
    )
    again = f"{inside}/new/replay?delivery={ids.show(Kind.DELIVERY, arrived.id)}"
    page.goto(installation.admin(again))
    expect(page.get_by_text("Nothing is sent yet")).to_be_visible()
    found.extend(found_here(page))
    page.get_by_text("At a rate").click()
    page.get_by_label("Deliveries a second").fill("none")
    page.get_by_role("button", name="Replay").last.click()
    expect(page.get_by_text("A whole number from 1").first).to_be_visible()
    found.extend(found_here(page))
    assert found == []


def test_no_page_scrolls_sideways_on_the_smallest_phone(
    installation, open_page, log_in
):
    """Wide tables and texts scroll in frames of their own, the page does not.

    Source:
        WCAG 2.2, 1.4.10 (Reflow): 320 CSS pixels.
    """
    page = open_page(viewport={"width": 320, "height": 640})
    log_in(page, installation)
    wide = {}

    def measure(name):
        # Times are as long as they get once a script has shown them.
        expect(page.locator("time[datetime]:not([data-shown])")).to_have_count(0)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > 320:
            wide[name] = width

    stops = tour(page, installation.url, TENANT)
    assert len(stops) > 10, "the tour finds the pages"
    for path in (*(each.path for each in stops), installation.test):
        page.goto(installation.url + path)
        measure(path)
    for name in each_shown(page, installation, "narrow"):
        measure(name)
    assert wide == {}


def test_a_viewers_pages_have_none(installation, open_page, log_in):
    """Other pages than an administrator's: without buttons, and without payloads."""
    password = "correct horse battery"
    grants = [Grant(Role.VIEWER, TENANT)]
    installation.services.people.create("vic", grants=grants, password=password)
    page = open_page("phone")
    log_in(page, installation, "vic", password)
    assert toured(page, installation.url) == []


def test_a_portals_pages_have_none(installation, open_page):
    """From the page that asks to the last link, and when the visit is over."""
    _, token = installation.services.portals.create_link(TENANT, role=Role.ADMIN)
    page = open_page()
    found = findings(page, f"{installation.url}/portal/{token}")
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(installation.admin(f"/tenants/{TENANT}"))
    found += toured(page, installation.url)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("Your visit is over")).to_be_visible()
    assert found + found_here(page) == []


def test_an_installation_without_anything_has_none(site, browsing, log_in):
    """Empty states on every page."""
    with browsing() as open_:
        page = open_("phone")
        log_in(page, site)
        found = toured(page, site.url, "acme")
        site.services.tenants.delete("acme")
        assert found + findings(page, site.admin("/tenants")) == []


def toured(page, url, tenant_id=TENANT):
    """Return what axe finds on all pages that somebody reaches."""
    stops = tour(page, url, tenant_id)
    assert len(stops) > 8, "the tour finds the pages"
    return [each for stop in stops for each in findings(page, url + stop.path)]


def test_axe_finds_what_is_wrong(installation, open_page):
    """Without this one, silence might mean that axe does not run."""
    page = open_page()
    page.goto(f"{installation.url}/admin/login")
    page.evaluate("document.querySelector('label[for=login]').remove()")
    assert "label:" in " ".join(found_here(page))


def test_axe_finds_what_is_wrong_in_the_dark_alone(installation, open_page):
    page = open_page()
    page.goto(f"{installation.url}/admin/login")
    page.evaluate("document.querySelector('h1').style.color = '#222'")
    (found,) = found_here(page)
    assert "(dark): color-contrast" in found
