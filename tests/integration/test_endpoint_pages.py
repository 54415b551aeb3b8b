"""Pages of endpoints: what they show, change and refuse, for whom."""

from __future__ import annotations

import html
import re

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.embedded.receiver import Failure, Receiver

ROOT = "/tenants/acme/endpoints"
URL = "http://127.0.0.1:9009/hook"
FORM = {
    "url": URL,
    "types": ["budget.*"],
    "event_types": "billing.paid, orders.*",
    "filter": "data.spent > 10",
    "format": "cloudevents",
    "header_name": ["Authorization", ""],
    "header_value": ["Bearer one", ""],
    "retry_schedule_s": "5 s, 2 min",
    "timeout_s": "10",
    "max_in_flight": "5",
    "rate_limit_per_s": "",
    "ordering": "fifo",
    "region": "default",
    "signature": "v1",
}


@pytest.fixture
def admin(visit):
    return visit()


def shown(endpoint_id):
    return ids.show(Kind.ENDPOINT, endpoint_id)


def seen(page):
    """Return the fields of a form that say what it was opened on."""
    return re.search(r'name="seen" value="([^"]+)"', page.text)[1]


def links(page):
    return [html.unescape(each) for each in re.findall(r'href="([^"]+)"', page)]


def only(pipeline):
    (found,) = pipeline.services.endpoints.page("acme", after=None, limit=10)
    return found


def make(pipeline, **options):
    given = {"event_types": ["budget.*"], "headers": {"Authorization": "a"}, **options}
    return shown(pipeline.endpoint(URL, **given))


# Lists


def test_an_empty_list_says_what_to_do_first(admin, visit):
    page = admin.get(ROOT).text
    assert "No endpoints yet" in page
    assert "/admin/tenants/acme/new/endpoint" in page
    assert "Create the first" not in visit(Role.VIEWER, "acme").get(ROOT).text


def test_each_state_is_said_with_its_reason(pipeline, admin):
    states = pipeline.services.endpoint_states
    states.pause("acme", pipeline.endpoint())
    states.disable("acme", pipeline.endpoint(), "gone")
    changes = {
        "Failing": "consecutive_failures = 3, failing_since = now()",
        "Held": "held_until = now() + interval '1 hour'",
        "Breaker open": "consecutive_failures = 12, breaker_openings = 1,"
        " breaker_until = now() + interval '1 minute'",
        "Probing": "consecutive_failures = 12, breaker_openings = 1,"
        " breaker_until = now() - interval '1 minute'",
        "Healthy": "last_success_at = now()",
        "Active": "slow = false",
    }
    for change in changes.values():
        endpoint_id = pipeline.endpoint()
        pipeline.do(
            f"UPDATE mailbox SET {change} WHERE endpoint_id = :id", id=endpoint_id
        )
    page = admin.get(ROOT).text
    for word in (*changes, "Paused", "Disabled", "410 Gone", "12 failures in a row"):
        assert word in page, word


@pytest.mark.parametrize(
    ("change", "idle", "waits"),
    [
        pytest.param(
            "consecutive_failures = 3",
            "3 failures in a row; nothing waits for it now.",
            "3 failures in a row; it is tried again.",
            id="failing",
        ),
        pytest.param(
            "consecutive_failures = 12, breaker_openings = 1,"
            " breaker_until = now() + interval '1 minute'",
            "12 failures in a row; nothing waits for it now.",
            "nothing is sent for now, then one delivery tries.",
            id="breaker open",
        ),
    ],
)
def test_only_of_what_waits_it_is_said_that_it_is_tried_again(
    pipeline, admin, change, idle, waits
):
    """In the list, on its page and on the tenant's, whose mailbox has fallen quiet."""
    path = f"{ROOT}/{shown(pipeline.endpoint())}"
    pipeline.do(f"UPDATE mailbox SET {change}, failing_since = now()")
    for page in (ROOT, path, f"{path}/head"):
        assert idle in admin.get(page).text
    overview = admin.get("/tenants/acme").text
    assert "tried again by their schedule" not in overview
    assert "one at a time finds out" not in overview
    pipeline.deliver_one()
    for page in (ROOT, path, f"{path}/head"):
        text = admin.get(page).text
        assert waits in text
        assert idle not in text


FOUND = [
    ("search=NINE", ["nine"]),
    ("search=9010", ["ten"]),
    ("search=%25", []),
    ("state=paused", ["ten"]),
    ("state=disabled", []),
    ("state=healthy", ["nine"]),
    ("state=failing", ["eleven"]),
    ("state=barred", ["eleven"]),
    ("search=ep_nonsense", []),
]


def test_endpoints_are_found_by_text_and_state(pipeline, admin):
    pipeline.endpoint(URL, description="nine")
    paused = pipeline.endpoint("http://127.0.0.1:9010/", description="ten")
    pipeline.services.endpoint_states.pause("acme", paused)
    failing = pipeline.endpoint("http://127.0.0.1:9011/", description="eleven")
    pipeline.do(
        "UPDATE mailbox SET consecutive_failures = 12, breaker_openings = 1,"
        " breaker_until = now() + interval '1 minute' WHERE endpoint_id = :id",
        id=failing,
    )
    for query, found in FOUND:
        page = admin.get(f"{ROOT}?{query}").text
        assert re.findall(r'title="(nine|ten|eleven)"', page) == found, query


def test_an_id_finds_its_endpoint_and_no_other_tenants(pipeline, admin):
    pipeline.services.tenants.create("globex")
    mine, theirs = make(pipeline), make(pipeline, tenant_id="globex")
    assert URL in admin.get(f"{ROOT}?search={mine}").text
    assert URL not in admin.get(f"{ROOT}?search={theirs}").text


def test_a_list_goes_on_page_by_page_with_its_filter(pipeline, admin):
    for n in range(53):
        pipeline.endpoint(URL, description=f"many-{n:02}")
    pipeline.endpoint(URL, description="other")
    first = admin.get(f"{ROOT}?search=many").text
    rest = html.unescape(re.search(r'rel="next" href="/admin([^"]+)"', first)[1])
    last = admin.get(rest).text
    found = re.findall(r'title="(many-\d+|other)"', first + last)
    assert found == [f"many-{n:02}" for n in reversed(range(53))]


# One endpoint


def test_a_page_shows_charts_settings_subscriptions_and_secrets(pipeline, admin):
    with Receiver() as receiver:
        endpoint_id = pipeline.endpoint(receiver.url, filter="data.n > 1")
        pipeline.turns().take([endpoint_id])
        pipeline.idle(endpoint_id)
    page = admin.get(f"{ROOT}/{shown(endpoint_id)}?span=7d").text
    assert "data.n &gt; 1" in page
    assert "whsec_…" in page
    assert "until replaced" in page
    assert re.search(r'span=7d" aria-current="true"', page)


def test_the_live_parts_are_parts(pipeline, admin):
    endpoint_id = pipeline.endpoint()
    for name in ("head", "recent"):
        part = admin.part(f"{ROOT}/{shown(endpoint_id)}/{name}")
        assert part.status_code == 200
        assert "<html" not in part.text


def test_text_from_outside_is_escaped_and_what_is_hidden_is_named(pipeline, admin):
    nasty = "<script>alert(1)</script> \u202etxt\u2028"
    endpoint_id = shown(pipeline.endpoint(description=nasty))
    for path in (ROOT, f"{ROOT}/{endpoint_id}"):
        page = admin.get(path).text
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>txt' in page
    assert "[U+202E]txt[U+2028]" in admin.get(ROOT).text, "in an attribute"


def test_attributes_hold_text_alone(pipeline, admin):
    endpoint_id = shown(pipeline.endpoint(URL, description="a\u200bb"))
    for path in (ROOT, f"{ROOT}/{endpoint_id}", "/tenants/acme/subscriptions"):
        assert not re.search(r'="[^"<>]*<span', admin.get(path).text), path


def test_an_endpoint_leads_to_its_deliveries_and_dead_letters_and_they_back(
    pipeline, admin, event
):
    """Links are followed: what is behind each is of this endpoint alone."""
    other_id = pipeline.endpoint(f"{URL}/other")
    endpoint_id = pipeline.endpoint(URL)
    pipeline.accept(event("{}"))
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', dead_reason = 'gone',"
        " completed_at = clock_timestamp()"
    )
    here = f"{ROOT}/{shown(endpoint_id)}"
    assert pipeline.one("SELECT count(*) FROM delivery") == 2
    own = links(admin.get(here).text) + links(admin.part(f"{here}/recent").text)

    (deliveries,) = {each for each in own if "/deliveries?" in each}
    page = admin.client.get(deliveries).text
    assert f"/admin{here}" in page
    assert f"{ROOT}/{shown(other_id)}" not in page

    (delivery,) = (each for each in own if "/deliveries/dlv_" in each)
    (dead,) = (
        each
        for each in links(admin.client.get(delivery).text)
        if "/dead-letters?" in each
    )
    assert f"endpoint_id={shown(endpoint_id)}" in dead and "reason=gone" in dead
    for path in (dead, *(each for each in own if "/dead-letters?" in each)):
        page = admin.client.get(path).text
        assert f"/admin{here}" in page
        assert f"{ROOT}/{shown(other_id)}" not in page


def test_pausing_and_resuming(pipeline, admin):
    endpoint_id = make(pipeline)
    assert admin.post(f"{ROOT}/{endpoint_id}/pause").status_code == 303
    page = admin.get(f"{ROOT}/{endpoint_id}").text
    assert "The endpoint is paused" in page
    assert "Resume" in page
    admin.post(f"{ROOT}/{endpoint_id}/resume")
    assert only(pipeline).endpoint.state == "active"


# Creating and changing


def test_a_new_endpoint_is_as_the_form_says_and_its_secret_is_shown_once(
    pipeline, admin
):
    answer = admin.post("/tenants/acme/new/endpoint", FORM)
    assert answer.status_code == 200
    secret = re.search(r"whsec_[A-Za-z0-9+/=]{40,}", answer.text)[0]
    assert answer.headers["Cache-Control"] == "no-store"

    row = only(pipeline).endpoint
    assert (row.url, row.format, row.ordering) == (URL, "cloudevents", "fifo")
    assert (row.timeout_s, row.max_in_flight, row.rate_limit_per_s) == (10, 5, None)
    assert row.retry_schedule_s == [5, 120]
    (wish,) = only(pipeline).subscriptions
    assert wish.event_types == ["budget.*", "billing.paid", "orders.*"]
    assert wish.filter == "data.spent > 10"
    assert only(pipeline).header_names == ["Authorization"]
    assert secret not in admin.get(f"{ROOT}/{shown(row.id)}").text


WRONG = [
    ({"url": ""}, "Give an https URL"),
    ({"url": "ftp://x/"}, "has the scheme"),
    ({"url": "https://10.0.0.1/"}, "may not reach"),
    ({"filter": "data.spent >"}, "line 1, column"),
    ({"event_types": "caf\u00e9"}, "visible ASCII"),
    ({"retry_schedule_s": "soon"}, "is no delay"),
    ({"retry_schedule_s": "30 d"}, "is not within"),
    ({"timeout_s": "31"}, "from 1 to 30"),
    ({"timeout_s": "ten"}, "from 1 to 30"),
    ({"timeout_s": ""}, "from 1 to 30"),
    ({"region": "mars"}, "is not among"),
    ({"header_name": ["Host"], "header_value": ["x"]}, "set by the sender"),
    ({"header_name": ["A", "A"], "header_value": ["x", "y"]}, "given twice"),
    ({"header_name": ["A"], "header_value": ["\x7f"]}, "visible ASCII"),
    ({"format": "xml"}, "Must be one of"),
    ({"types": [], "event_types": ""}, "a filter needs"),
    ({"description": "x" * 501}, "500"),
]


def test_the_form_offers_the_catalogue_with_examples(pipeline, admin, event):
    pipeline.accept(event(type="own.thing"))
    page = html.unescape(admin.get("/tenants/acme/new/endpoint").text)
    for each in CATALOGUE.values():
        assert f'value="{each.type}"' in page and each.description in page
    assert '"budget_id": ' in page
    assert 'value="own.*"' in page and "A type of your own." in page


def test_what_is_wrong_is_said_and_what_was_typed_stays(pipeline, admin):
    for change, told in WRONG:
        form = {**FORM, "description": "mine", **change}
        answer = admin.post("/tenants/acme/new/endpoint", form)
        assert answer.status_code == 422, change
        assert told.lower() in html.unescape(answer.text).lower(), change
        assert "Nothing was saved yet" in answer.text
        kept = 'value="budget.*" checked' in answer.text
        assert kept or change.get("types") == [], change
    assert not pipeline.services.endpoints.page("acme", after=None, limit=1)


def test_a_change_keeps_the_values_of_headers_that_were_not_typed_again(
    pipeline, admin
):
    endpoint_id = make(pipeline, headers={"A": "secret", "B": "two"})
    path = f"{ROOT}/{endpoint_id}/edit"
    opened = admin.get(path)
    assert "secret" not in re.findall(r'value="(secret)"', opened.text)
    form = {
        **FORM,
        "seen": seen(opened),
        "header_name": ["A", "C"],
        "header_value": ["", "three"],
    }
    assert admin.post(path, form).status_code == 303
    with pipeline.uow() as uow:
        row = uow.endpoints.find("acme", only(pipeline).endpoint.id)
        headers = pipeline.services.secrets.with_kept(row, {"A": None, "C": None})
    assert headers == {"A": "secret", "C": "three"}


def test_a_form_that_is_out_of_date_changes_nothing(pipeline, admin):
    endpoint_id = make(pipeline)
    path = f"{ROOT}/{endpoint_id}/edit"
    stale = seen(admin.get(path))
    fresh = only(pipeline).subscriptions[0]
    pipeline.services.subscriptions.change("acme", fresh.id, {"event_types": ["a"]})
    answer = admin.post(path, {**FORM, "seen": stale, "description": "mine"})
    assert answer.status_code == 412
    assert "somebody changed this endpoint" in answer.text.lower()
    assert 'value="mine"' in answer.text, "nothing that was typed is lost"
    assert only(pipeline).endpoint.description == ""


def test_several_subscriptions_are_left_as_they_are(pipeline, admin):
    endpoint_id = make(pipeline)
    found = only(pipeline)
    pipeline.services.subscriptions.create(
        "acme", endpoint_id=found.endpoint.id, event_types=["key.*"]
    )
    path = f"{ROOT}/{endpoint_id}/edit"
    opened = admin.get(path)
    assert "has 2 subscriptions" in opened.text
    form = {k: v for k, v in FORM.items() if k not in ("types", "event_types")}
    assert admin.post(path, {**form, "seen": seen(opened)}).status_code == 303
    types = [each.event_types for each in only(pipeline).subscriptions]
    assert types == [["budget.*"], ["key.*"]]


def test_deleting_wants_the_host_typed(pipeline, admin):
    path = f"{ROOT}/{make(pipeline)}/delete"
    assert admin.post(path, {"typed": "other"}).status_code == 422
    assert only(pipeline)
    assert admin.post(path, {"typed": "127.0.0.1:9009"}).status_code == 303
    assert not pipeline.services.endpoints.page("acme", after=None, limit=1)


# Secrets


def test_a_secret_is_rotated_once_by_a_double_click(pipeline, admin):
    path = f"{ROOT}/{make(pipeline)}/rotate-secret"
    form = {"overlap_s": "3600", "signature": "v1", "seen": seen(admin.get(path))}
    first, second = admin.post(path, form), admin.post(path, form)
    assert (first.status_code, second.status_code) == (200, 412)
    assert re.search(r"whsec_[A-Za-z0-9+/=]{40,}", first.text)
    assert "rotated since you opened" in second.text
    assert len(only(pipeline).secrets) == 2
    assert only(pipeline).secrets[1].expires_at is not None


def test_no_overlap_ends_the_old_secret(pipeline, admin):
    path = f"{ROOT}/{make(pipeline)}/rotate-secret"
    form = {"overlap_s": "0", "signature": "v1a", "seen": seen(admin.get(path))}
    assert "whpk_" in admin.post(path, form).text
    assert [each.scheme for each in only(pipeline).secrets] == ["v1a"]


# Tests


@pytest.mark.parametrize(
    ("failure", "told"),
    [(None, "Taken: 200"), (Failure(503), "Not taken: 503")],
)
def test_a_test_event_shows_its_answer(pipeline, admin, failure, told):
    with Receiver(failure=failure) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url, event_types=["a"])
        sent = admin.post(f"{ROOT}/{shown(endpoint_id)}/tests")
        path = sent.location.removeprefix("/admin")
        waiting = admin.get(path)
        assert "Waiting for the answer" in waiting.text
        again = re.search(r'hx-get="/admin([^"]+)"', waiting.text)[1]
        pipeline.turns().take([endpoint_id])
        pipeline.idle(endpoint_id)
    answer = admin.part(html.unescape(again))
    assert told in answer.text
    assert "Body of the answer" in answer.text
    # What is tried again may still move, and soon.
    assert ('hx-trigger="every 3s' in answer.text) is (failure is not None)


def test_of_a_test_without_an_answer_none_is_shown(pipeline, admin):
    endpoint_id = pipeline.endpoint(event_types=["a"])
    sent = admin.post(f"{ROOT}/{shown(endpoint_id)}/tests")
    pipeline.turns().take([endpoint_id])
    pipeline.idle(endpoint_id)
    answer = admin.get(sent.location.removeprefix("/admin")).text
    assert "Not taken: Connection refused" in answer
    assert "Given up" in answer
    for missing in ("Body of the answer", "First byte", "Whole answer"):
        assert missing not in answer


def test_a_test_that_waits_long_says_why(pipeline, admin):
    endpoint_id = pipeline.endpoint()
    sent = admin.post(f"{ROOT}/{shown(endpoint_id)}/tests")
    path = sent.location.removeprefix("/admin")
    late = admin.part(f"{path}?looks=45").text
    assert "No attempt was made yet" in late
    assert "hx-get" not in late
    pipeline.services.endpoint_states.pause("acme", endpoint_id)
    assert "the endpoint is paused" in admin.get(path).text


def test_anothers_event_is_no_test_of_this_endpoint(pipeline, admin):
    one, other = pipeline.endpoint(), pipeline.endpoint()
    sent = admin.post(f"{ROOT}/{shown(one)}/tests").location.removeprefix("/admin")
    assert admin.get(sent.replace(shown(one), shown(other))).status_code == 404


# Checks


URLS = [
    ("http://127.0.0.1:9020/x", "Deliveries may go there"),
    ("https://10.1.1.1/", "may not reach"),
    ("https://u:p@x.example/", "into a header below"),
    ("hooks.example", "with https:// in front"),
    ("https://no-such-host.invalid/", "has no address now"),
    ("", ""),
]


def test_a_url_is_checked_while_it_is_typed(admin):
    for url, told in URLS:
        assert told in admin.post("/tenants/acme/checks/url", {"url": url}).text, url


def test_a_schedule_is_shown_while_it_is_typed(admin):
    path = "/tenants/acme/checks/schedule"
    shown = admin.post(path, {"retry_schedule_s": "5 s, 1 h"}).text
    assert "3 attempts; the last one 1 h 5 s after the first" in shown
    assert "is no delay" in admin.post(path, {"retry_schedule_s": "x"}).text
    assert "One attempt" in admin.post(path, {"retry_schedule_s": ""}).text


def test_a_filter_is_tried_on_recent_events(pipeline, admin, event):
    path = "/tenants/acme/checks/filter"
    form = {"types": ["budget.*"], "event_types": "", "filter": "data.n > 1"}
    assert "No event has come yet" in admin.post(path, form).text
    pipeline.accept(
        event('{"n": 2}', id="1"), event('{"n": 1}', id="2"), event("{}", id="3")
    )
    answer = admin.post(path, form).text
    assert "1 of the last 3 events" in answer
    assert "on 1 the filter fails" in answer
    assert "there is no key" in answer
    wrong = admin.post(path, {**form, "filter": "true &&\n data.n >> 1"}).text
    assert "line 2, column" in wrong
    assert " data.n &gt;&gt; 1" in wrong


# Who may


EVERY = [
    ("GET", "", Role.VIEWER),
    ("GET", "/EP", Role.VIEWER),
    ("GET", "/EP/head", Role.VIEWER),
    ("GET", "/EP/recent", Role.VIEWER),
    ("POST", "/EP/tests", Role.OPERATOR),
    ("POST", "/EP/pause", Role.OPERATOR),
    ("POST", "/EP/resume", Role.OPERATOR),
    ("GET", "/EP/edit", Role.ADMIN),
    ("POST", "/EP/edit", Role.ADMIN),
    ("GET", "/EP/delete", Role.ADMIN),
    ("POST", "/EP/delete", Role.ADMIN),
    ("GET", "/EP/rotate-secret", Role.ADMIN),
    ("POST", "/EP/rotate-secret", Role.ADMIN),
    ("GET", "/../new/endpoint", Role.ADMIN),
    ("POST", "/../new/endpoint", Role.ADMIN),
    ("POST", "/../checks/url", Role.ADMIN),
    ("POST", "/../checks/schedule", Role.ADMIN),
    ("POST", "/../checks/filter", Role.ADMIN),
]
RANKS = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]


@pytest.mark.parametrize("role", RANKS)
def test_each_role_may_what_it_may_and_nothing_of_another_tenants(
    pipeline, visit, role
):
    pipeline.services.tenants.create("globex")
    endpoint_id, theirs = make(pipeline), make(pipeline, tenant_id="globex")
    who = visit(role, "acme")
    token = who.csrf
    for method, path, needed in EVERY:
        wanted = RANKS.index(role) >= RANKS.index(needed)
        for tenant, endpoint, allowed in (
            ("acme", endpoint_id, wanted),
            ("globex", theirs, None),
            ("acme", theirs, wanted if "EP" not in path else None),
            ("nobody", endpoint_id, None),
        ):
            where = f"/tenants/{tenant}/endpoints{path}".replace("EP", endpoint)
            where = where.replace("/endpoints/..", "")
            answer = (
                who.get(where)
                if method == "GET"
                else who.client.post(f"/admin{where}", data={"_csrf": token})
            )
            expected = {True: {200, 303, 422}, False: {403}, None: {404}}[allowed]
            if allowed is None and not wanted:
                expected = {403, 404}
            if tenant != "acme":
                expected = {404}
            assert answer.status_code in expected, (role, method, where)


def test_what_a_role_may_not_do_is_not_offered(pipeline, visit):
    path = f"{ROOT}/{make(pipeline)}"
    viewer = visit(Role.VIEWER, "acme").get(path).text
    operator = visit(Role.OPERATOR, "acme").get(path).text
    assert not re.search(r"/(pause|tests|edit|delete|rotate-secret)\"", viewer)
    assert set(re.findall(r"/(pause|tests|edit|delete|rotate-secret)\"", operator)) == {
        "pause",
        "tests",
    }


def test_without_the_sessions_token_nothing_changes(pipeline, admin):
    endpoint_id = make(pipeline)
    for path in ("pause", "delete", "rotate-secret", "edit", "tests"):
        where = f"{ROOT}/{endpoint_id}/{path}"
        assert admin.post(where, csrf="forged").status_code == 400
    assert only(pipeline).endpoint.state == "active"


def test_bad_ids_are_no_pages(admin):
    for bad in ("ep_x", "sub_01kb0c6v4ze8tbc5t6q1s2n3xy", "..%00"):
        assert admin.get(f"{ROOT}/{bad}").status_code == 404, bad
