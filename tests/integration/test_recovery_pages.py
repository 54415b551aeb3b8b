"""Pages of recovery: overviews, dead letters, replays, settings and health."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.domain.statistics import Span
from ascwebhooks.services import dead_letters
from ascwebhooks.services.overviews import Overviews
from ascwebhooks.storage import partitions
from ascwebhooks.storage.dead_letters import DeadLetterRepository
from ascwebhooks.web.app import create_app
from tests.integration.dead import plant

PASSWORD = "correct horse battery"
FORM = '<form method="post" class="panel form" data-draft>'
HIDDEN = r'<input type="hidden" name="([^"]+)" value="([^"]*)"'
NEW = "/tenants/acme/new/replay"


class Browser:
    """Somebody's browser, logged in."""

    def __init__(self, app, token):
        self.client = app.test_client()
        self.client.set_cookie("ascw_session", token)

    def get(self, path, **query):
        whole = f"/admin{path}" + (f"?{urlencode(query, True)}" if query else "")
        return self.client.get(whole)

    def post(self, path, form=None, **more):
        data = {"_csrf": self.csrf, **(form or {}), **more}
        return self.client.post(f"/admin{path}", data=data)

    @property
    def csrf(self):
        return re.search(r'name="_csrf" value="([^"]+)"', self.get("/tenants").text)[1]

    def dry_run(self, **query):
        """Open the dry run; return what its form would send."""
        page = self.get(NEW, **query).text
        form = re.search(
            r'<form method="post" class="panel form" data-draft>(.*?)</form>',
            page,
            re.S,
        )
        pairs = re.findall(
            r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1]
        )
        found = {}
        for name, value in pairs:
            found.setdefault(name, []).append(unescape(value))
        return found


@pytest.fixture
def app(pipeline):
    return create_app(pipeline.services, pipeline.settings)


@pytest.fixture
def browser(pipeline, app):
    """Makes browsers of somebody with a role, everywhere or in some tenants."""

    def make(role=Role.OPERATOR, *tenant_ids, login=None):
        login = login or "-".join([role, *tenant_ids])
        grants = [Grant(role, each) for each in tenant_ids or (None,)]
        services = pipeline.services
        services.people.create(login, grants=grants, password=PASSWORD)
        token = services.sessions.log_in(login, PASSWORD, address="127.0.0.1")
        return Browser(app, token)

    return make


@pytest.fixture
def endpoint(pipeline):
    return pipeline.endpoint()


def dlv(delivery_id):
    return ids.show(Kind.DELIVERY, delivery_id)


def replays(pipeline):
    return [each.replay for each in pipeline.services.replays.page("acme")]


def replay_of(answer):
    assert answer.status_code == 303, answer.text
    return answer.location.rpartition("/")[2]


def test_of_very_many_the_newest_are_shown_while_the_others_are_counted(
    pipeline, browser, endpoint, monkeypatch
):
    """Nothing is hidden meanwhile: it says so, and where to look without scripts."""
    older = pipeline.endpoint()
    plant(pipeline, older, 30, days_ago=0.01, reason="residency")
    plant(pipeline, endpoint, 40)
    viewer, path = browser(Role.VIEWER), "/tenants/acme/dead-letters"
    few = viewer.get(path).text
    assert "<strong>70</strong> dead letters" in few and "data-counting" not in few

    monkeypatch.setattr(pipeline.services.dead_letters, "_glance", 25)
    page = viewer.get(path).text
    assert "Of the newest <strong>25</strong> dead letters" in page
    assert "25+</td>" in page and page.count("data-row") == 1
    assert (
        f'hx-get="/admin{path}/groups"' in page
        and f'href="/admin{path}?whole=1"' in page
    )
    assert "Show each" in page
    for whole in (viewer.get(f"{path}/groups").text, viewer.get(path, whole=1).text):
        assert "<strong>70</strong> dead letters" in whole
        assert "data-counting" not in whole and whole.count("data-row") == 2
    narrowed = viewer.get(path, reason="attempts_exhausted").text
    assert f'{path}/groups?reason=attempts_exhausted"' in narrowed
    assert "data-counting" not in viewer.get(path, type="no.such").text


def test_what_cannot_be_looked_through_at_a_glance_is_looked_through(
    pipeline, browser, endpoint, monkeypatch
):
    plant(pipeline, endpoint, 3)
    monkeypatch.setattr(dead_letters, "GLANCE_WITHIN", timedelta(microseconds=1))
    monkeypatch.setattr(
        DeadLetterRepository, "groups", lambda *_, newest=None, **__: newest and None
    )
    page = browser(Role.VIEWER).get("/tenants/acme/dead-letters").text
    assert "Looking through all of them" in page and "Show each" in page
    assert "No dead letters" not in page


# Who sees and does what


PAGES = [
    "/tenants/acme",
    "/tenants/acme/overview/live",
    "/tenants/acme/dead-letters",
    "/tenants/acme/dead-letters/groups",
    "/tenants/acme/dead-letters/deliveries",
    "/tenants/acme/replays",
    "/tenants/acme/replays/{replay}",
    "/tenants/acme/replays/{replay}/progress",
]
PLATFORM = ["/overview", "/overview/live", "/health"]


@pytest.fixture
def replay(pipeline, endpoint):
    plant(pipeline, endpoint, 3)
    made = pipeline.services.replays.create("acme", filter={}, created_by="ann")
    return ids.show(Kind.REPLAY, made.replay.id)


@pytest.mark.parametrize("path", PAGES)
def test_a_tenants_pages_open_to_its_viewers_and_to_nobody_elses(
    pipeline, browser, replay, path
):
    pipeline.services.tenants.create("globex")
    path = path.format(replay=replay)
    assert browser(Role.VIEWER, "acme").get(path).status_code == 200
    assert browser(Role.ADMIN, "globex").get(path).status_code == 404


@pytest.mark.parametrize("path", PLATFORM)
def test_the_platforms_pages_are_for_those_with_a_role_for_all_tenants(browser, path):
    assert browser(Role.VIEWER).get(path).status_code == 200
    assert browser(Role.ADMIN, "acme").get(path).status_code == 404


def test_a_viewer_is_offered_no_replay_and_refused_one(browser, replay):
    viewer = browser(Role.VIEWER, "acme")
    for path in ("/tenants/acme/dead-letters", "/tenants/acme/dead-letters/deliveries"):
        assert "new/replay" not in viewer.get(path).text
    assert "Pause" not in viewer.get(f"/tenants/acme/replays/{replay}").text
    assert viewer.get(NEW).status_code == 403
    assert viewer.post(NEW).status_code == 403
    for verb in ("pause", "resume", "cancel"):
        path = f"/tenants/acme/replays/{replay}/{verb}"
        assert viewer.post(path).status_code == 403


def test_another_tenants_replay_is_not_there(pipeline, browser, replay):
    pipeline.services.tenants.create("globex")
    admin = browser(Role.ADMIN)
    for path in ("", "/progress"):
        found = admin.get(f"/tenants/globex/replays/{replay}{path}")
        assert found.status_code == 404
    for verb in ("pause", "cancel"):
        answer = admin.post(f"/tenants/globex/replays/{replay}/{verb}")
        assert answer.status_code == 404


def test_somebody_of_one_tenant_begins_there_and_of_all_at_the_overview(browser):
    assert browser(Role.VIEWER, "acme").get("/").location == "/admin/tenants/acme"
    assert browser(Role.VIEWER).get("/").location == "/admin/overview"


def test_without_its_token_no_form_changes_anything(pipeline, browser, replay):
    operator = browser()
    for path in (NEW, f"/tenants/acme/replays/{replay}/cancel"):
        assert operator.post(path, _csrf="forged").status_code == 400
    assert [each.state for each in replays(pipeline)] == ["running"]


# Choosing


def test_groups_say_where_and_of_what_and_lead_to_the_deliveries(
    pipeline, browser, endpoint
):
    plant(pipeline, endpoint, 3)
    (gone,) = plant(pipeline, endpoint, reason="gone")
    viewer = browser(Role.VIEWER)
    page = viewer.get("/tenants/acme/dead-letters").text
    assert "All attempts failed" in page
    assert "HTTP 503" in page
    link = re.search(r'href="/admin(/tenants/acme/dead-letters/del[^"]+gone)"', page)
    one_by_one = viewer.get(unescape(link[1])).text
    assert dlv(gone) in one_by_one
    assert one_by_one.count(" data-row ") == 1


def test_a_filter_that_makes_no_sense_is_said_and_left_out(pipeline, browser, endpoint):
    plant(pipeline, endpoint, 2)
    query = {
        "status_code": "abc",
        "since": "yesterday",
        "endpoint_id": "ep_x",
        "reason": "<script>",
        "within": "3y",
        "died": "soon",
        "died_since": "tomorrow",
    }
    operator = browser()
    page = operator.get("/tenants/acme/dead-letters", **query)
    assert page.status_code == 422
    assert "That was left out" in page.text
    assert "<script>&#34;" not in page.text
    assert "new/replay" not in page.text.partition("<table")[0], "not more than asked"
    for name, value in query.items():
        answer = operator.post(NEW, {name: value})
        assert answer.status_code == 422, name
    assert replays(pipeline) == []


def test_a_filter_that_matches_nothing_offers_nothing(pipeline, browser, endpoint):
    plant(pipeline, endpoint)
    operator = browser()
    assert (
        "No dead letter matches"
        in operator.get("/tenants/acme/dead-letters", type="nothing").text
    )
    page = operator.get(NEW, type="nothing").text
    assert "Nothing to replay" in page
    assert FORM not in page
    assert operator.post(NEW, type="nothing").status_code == 422
    assert replays(pipeline) == []


def test_the_dry_run_counts_and_warns_of_endpoints_that_take_nothing(
    pipeline, browser, endpoint
):
    paused, disabled, deleted = (pipeline.endpoint() for _ in range(3))
    for count, each in enumerate((endpoint, paused, disabled, deleted), 1):
        plant(pipeline, each, count)
    states = pipeline.services.endpoint_states
    states.pause("acme", paused)
    states.disable("acme", disabled, "gone")
    states.delete("acme", deleted)
    page = browser().get(NEW).text
    assert "Replay 3 deliveries" in page
    assert "They wait there until it is resumed" in page
    assert "Skipped: resume the endpoint first" in page
    assert "Skipped: it was deleted" in page


def test_what_cannot_be_sent_at_all_is_not_replayed(pipeline, browser, endpoint):
    plant(pipeline, endpoint, 2)
    pipeline.services.endpoint_states.disable("acme", endpoint, "gone")
    answer = browser().post(NEW)
    assert answer.status_code == 422
    assert "None of these can be sent now" in answer.text


@pytest.mark.parametrize("bad", ["dlv_nonsense", "ep_01kb0c6v4ze8tbc5t6q1s2n3xy"])
def test_a_bad_id_is_no_delivery(browser, bad):
    assert browser().get(NEW, delivery=bad).status_code == 404


def test_anothers_delivery_cannot_be_chosen(pipeline, browser):
    pipeline.services.tenants.create("globex")
    theirs = plant(pipeline, pipeline.endpoint(tenant_id="globex"), tenant_id="globex")
    operator = browser(Role.OPERATOR, "acme")
    assert operator.get(NEW, delivery=dlv(theirs[0])).status_code == 404
    assert operator.post(NEW, delivery=dlv(theirs[0])).status_code == 404


def test_choosing_nothing_leads_back(browser):
    answer = browser().get(NEW, selected="1", reason="gone")
    assert answer.location.startswith("/admin/tenants/acme/dead-letters/deliveries?")


# Creating


def test_some_by_hand_are_replayed_at_a_rate(pipeline, browser, endpoint):
    first, second, left = plant(pipeline, endpoint, 3)
    operator = browser(login="ann")
    form = operator.dry_run(delivery=[dlv(first), dlv(second)])
    operator.post(NEW, form, pace="rate", rate_per_s="7")
    (made,) = replays(pipeline)
    assert (made.total, made.rate_per_s, made.created_by) == (2, 7, "ann")
    pipeline.services.walking.walk()
    assert pipeline.delivery(left).status == "dead_lettered"


def test_a_filter_is_replayed_as_the_dry_run_showed_it(pipeline, browser, endpoint):
    """ "In the last hour" is since when the dry run was made, not since the sending."""
    plant(pipeline, endpoint, 2)
    operator = browser()
    form = operator.dry_run(within="1h", type="budget.exceeded")
    assert "within" not in form
    replay_of(operator.post(NEW, form, pace="at_once"))
    (made,) = replays(pipeline)
    assert made.total == 2
    assert set(made.criteria["filter"]) == {"status", "event_type", "since"}


@pytest.mark.parametrize(
    "held", ["breaker_openings = 1", "held_until = now() + interval '1 hour'"]
)
def test_a_dry_run_says_that_a_receiver_holds_them_up(
    pipeline, browser, endpoint, held
):
    """Or they would be waited for, and nobody knew what for."""
    plant(pipeline, endpoint, 2)
    operator = browser()
    wait = "They wait there: its breaker is open"
    assert wait not in operator.get(NEW).text
    pipeline.do(f"UPDATE mailbox SET {held}")
    assert wait in operator.get(NEW).text
    (note,) = pipeline.services.replays.preview("acme", filter={}).notes
    assert note.startswith("2 deliveries are made pending, to wait: ep_")


def test_dead_letters_are_found_by_when_they_died(pipeline, browser, endpoint):
    """Their events came days before: a schedule takes three of them."""
    with pipeline.engine.begin() as connection:
        partitions.make(connection, (datetime.now(UTC) - timedelta(days=3)).date())
    fresh = plant(pipeline, endpoint, 2, days_ago=3, ago="10 minutes")
    (stale,) = plant(pipeline, endpoint, days_ago=3, ago="30 hours")
    operator, path = browser(), "/tenants/acme/dead-letters"
    assert "No dead letter matches" in operator.get(path, within="24h").text
    assert "<strong>2</strong> dead letters" in operator.get(path, died="24h").text
    shown = operator.get(f"{path}/deliveries", died="1h").text
    assert all(dlv(each) in shown for each in fresh)
    assert dlv(stale) not in shown
    (news,) = re.findall(r'data-tail="([^"]+)"', shown)
    asked = parse_qs(urlsplit(unescape(news)).query)
    assert set(asked) == {"news", "died_since"}, "an hour later it has the same rows"
    (replay,) = re.findall(r'href="([^"]+)"[^>]*>Replay all of this filter', shown)
    meant = parse_qs(urlsplit(unescape(replay)).query)
    assert meant == {"died_since": asked["died_since"]}
    wrong = operator.get(f"{path}/deliveries", died="2h").text
    (news,) = re.findall(r'data-tail="([^"]+)"', wrong)
    assert "died=2h" in news, "that it was left out is said again"
    since = f"{datetime.now(UTC) - timedelta(hours=31):%Y-%m-%dT%H:%MZ}"
    assert dlv(stale) in operator.get(f"{path}/deliveries", died_since=since).text

    form = operator.dry_run(died="24h")
    assert "died" not in form, "it stays since when it was shown"
    replay_of(operator.post(NEW, form, pace="at_once"))
    pipeline.services.walking.walk()
    pending = [each for each in fresh if pipeline.delivery(each).status == "pending"]
    assert pending == fresh
    assert pipeline.delivery(stale).status == "dead_lettered"
    (made,) = replays(pipeline)
    assert set(made.criteria["filter"]) == {"status", "died_since"}


@pytest.mark.parametrize("rate", ["", "0", "1.5", "many", "1000000"])
def test_a_rate_that_is_none_is_said_at_its_field(pipeline, browser, endpoint, rate):
    plant(pipeline, endpoint)
    answer = browser().post(NEW, pace="rate", rate_per_s=rate)
    assert answer.status_code == 422
    assert "invalid-feedback" in answer.text
    assert replays(pipeline) == []


def test_a_form_that_is_sent_twice_makes_one_replay(pipeline, browser, endpoint):
    plant(pipeline, endpoint, 2)
    operator = browser()
    form = operator.dry_run()
    answers = [operator.post(NEW, form, pace="at_once") for _ in range(2)]
    assert len({replay_of(each) for each in answers}) == 1
    assert len(replays(pipeline)) == 1
    other = operator.post(NEW, form, pace="rate", rate_per_s="5")
    assert other.status_code == 422
    assert "sent before with other values" in other.text


def test_two_who_want_the_same_at_once_make_one_replay(
    pipeline, app, browser, endpoint
):
    """The second is told whose it is, and may go on beside it if they insist."""
    plant(pipeline, endpoint, 5)
    people = [browser(login=each) for each in ("ann", "bob")]
    forms = [each.dry_run() for each in people]
    answers = {}

    def send(who):
        answers[who] = people[who].post(NEW, forms[who], pace="at_once")

    threads = [Thread(target=send, args=(who,)) for who in (0, 1)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.status_code for each in answers.values()) == [303, 409]
    (made,) = replays(pipeline)
    loser = next(who for who, each in answers.items() if each.status_code == 409)
    told = answers[loser].text
    assert f"<strong>{made.created_by}</strong> has taken some of these already" in told
    assert ids.show(Kind.REPLAY, made.id) in told
    again = people[loser].post(NEW, people[loser].dry_run(), pace="at_once", beside="1")
    replay_of(again)


def test_what_another_replay_has_finished_with_is_said_to_be_taken(
    pipeline, browser, endpoint
):
    plant(pipeline, endpoint, 2)
    operator = browser(login="bob")
    form = operator.dry_run()
    pipeline.services.replays.create("acme", filter={}, created_by="ann")
    while replays(pipeline)[0].state == "running":
        pipeline.services.walking.walk()
    answer = operator.post(NEW, form, pace="at_once")
    assert answer.status_code == 409
    assert "by ann has taken these already" in answer.text
    assert "<strong>ann</strong> has taken these already" in answer.text


def test_what_is_still_dead_was_not_taken_by_anybody(pipeline, browser, endpoint):
    """It cannot be sent because of its endpoint, whose page the dry run leads to."""
    services = pipeline.services
    services.replays.create("acme", filter={"event_type": "none"}, created_by="ann")
    services.walking.walk()
    plant(pipeline, endpoint, 2)
    services.endpoint_states.disable("acme", endpoint, "gone")
    page = browser().get(NEW).text
    assert "resume the endpoint first" in page
    assert "taken these already" not in page
    shown = ids.show(Kind.ENDPOINT, endpoint)
    assert f'href="/admin/tenants/acme/endpoints/{shown}"' in page


# Following


def test_a_replays_page_says_what_became_of_each(pipeline, browser, endpoint):
    disabled = pipeline.endpoint()
    plant(pipeline, endpoint, 2)
    plant(pipeline, disabled, 1)
    pipeline.services.endpoint_states.disable("acme", disabled, "gone")
    operator = browser()
    shown = replay_of(operator.post(NEW, operator.dry_run(), pace="at_once"))
    while replays(pipeline)[0].state == "running":
        pipeline.services.walking.walk()
    done = pipeline.rows("SELECT id FROM delivery WHERE status = 'pending' ORDER BY id")
    pipeline.do(
        "UPDATE delivery SET status = 'delivered', completed_at = now(),"
        " last_error = NULL, last_status_code = 200 WHERE id = :id",
        id=done[0].id,
    )
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', completed_at = now(),"
        " dead_reason = 'attempts_exhausted' WHERE id = :id",
        id=done[1].id,
    )
    path = f"/tenants/acme/replays/{shown}"
    page = operator.get(path).text
    assert "3 of 3" in page
    assert 'id="n-delivered">1<' in page
    assert 'id="n-dead">1<' in page
    assert 'id="n-skipped">1<' in page
    assert "hx-get" not in page.partition('id="live"')[2], "it is settled"
    assert dlv(done[0].id) in operator.get(path, result="delivered").text
    again = operator.get(path, result="dead_lettered").text
    assert "Failed again" in again
    assert dlv(done[1].id) in again
    assert "Its endpoint is disabled" in operator.get(path, result="skipped").text


def test_it_is_paused_resumed_and_cancelled(pipeline, browser, replay):
    operator = browser()
    path = f"/tenants/acme/replays/{replay}"
    for verb, state in (
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ):
        assert operator.post(f"{path}/{verb}").location == f"/admin{path}"
        assert replays(pipeline)[0].state == state
        live = operator.get(f"{path}/progress", state=state)
        assert "HX-Refresh" not in live.headers
    assert operator.get(f"{path}/progress", state="running").headers["HX-Refresh"]
    assert operator.post(f"{path}/resume").location == f"/admin{path}"
    page = operator.get(path).text
    assert "Nothing was changed: " in page
    assert "Resume" not in page
    assert replays(pipeline)[0].state == "cancelled"


# Overviews


def test_an_overview_says_that_all_is_well(pipeline, browser, endpoint):
    page = browser(Role.VIEWER).get("/tenants/acme").text
    assert "All is well." in page


def test_an_overview_without_an_endpoint_says_what_to_do_first(browser):
    assert "Nothing is sent anywhere yet" in browser(Role.VIEWER).get("/overview").text


@pytest.mark.parametrize("path", ["/tenants/acme", "/overview"])
def test_an_overview_says_what_to_look_at_first(pipeline, browser, endpoint, path):
    pipeline.do(
        "UPDATE mailbox SET breaker_openings = 1, consecutive_failures = 12,"
        " breaker_until = now() + interval '1 minute', failing_since = now()"
    )
    plant(pipeline, endpoint, 2)
    page = browser(Role.VIEWER).get(path, span="1h").text
    assert "This needs somebody" in page
    assert "1 endpoint fails every time." in page
    assert "Breaker open" in page
    assert "All is well" not in page


def test_counts_of_a_tenant_end_at_their_bound(pipeline, endpoint):
    plant(pipeline, endpoint, 12)
    services = pipeline.services
    bounded = Overviews(
        pipeline.uow,
        services.statistics,
        services.gauges,
        services.gauge_samples,
        retention=timedelta(days=30),
        bound=10,
    )
    assert bounded.tenant("acme", Span.DAY).dead == (10, False)
    assert services.overviews.tenant("acme", Span.DAY).dead == (12, True)


# Settings and health


def test_settings_are_shown_without_secrets(pipeline, browser):
    page = browser(Role.VIEWER).get("/health").text
    assert "ASCWEBHOOKS_ENCRYPTION_KEYS" in page
    assert "k1:***" in page
    assert "No worker answers" in page
    assert "Start: ascwebhooks worker --deliver" in page
