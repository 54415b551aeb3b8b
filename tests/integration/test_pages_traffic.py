"""Pages of events, deliveries and rejected events, as each role has them."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from urllib.parse import quote

import msgspec
import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.services import recording
from ascwebhooks.services.intakes import Refused
from ascwebhooks.services.sealing import day_scope
from ascwebhooks.web.app import create_app
from tests.integration.dead import plant
from tests.integration.receivers import Receiver, keep_alive

PASSWORD = "correct horse battery"
SECRET_TEXT = "nobody but operators sees this"
NASTY = '<script>alert(1)</script>\\u202e\\u2028"'


class Browser:
    """Somebody's session."""

    def __init__(self, pipeline, role: Role, tenant_id: str | None = None) -> None:
        login = f"{role.value}-{tenant_id or 'all'}"
        grants = [Grant(role, tenant_id)]
        pipeline.services.people.create(login, grants=grants, password=PASSWORD)
        token = pipeline.services.sessions.log_in(login, PASSWORD, address="127.0.0.1")
        self.client = create_app(pipeline.services, pipeline.settings).test_client()
        self.client.set_cookie("ascw_session", token)

    def get(self, path, status=200, **options):
        response = self.client.get(f"/admin{path}", **options)
        assert response.status_code == status, response.text[:2000]
        return response

    def text(self, path) -> str:
        """Return what a page says, without its marks."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.get(path).text))

    def post(self, path, status=303, *, csrf=True, **fields):
        if csrf:
            page = self.client.get("/admin/tenants").text
            fields["_csrf"] = re.search(r'name="_csrf" value="([^"]+)"', page)[1]
        response = self.client.post(f"/admin{path}", data=fields)
        assert response.status_code == status, response.text[:2000]
        return response


@pytest.fixture
def as_(pipeline):
    """Opens sessions: ``as_(Role.VIEWER)``, or ``as_(Role.VIEWER, "acme")``."""
    return lambda role, tenant_id=None: Browser(pipeline, role, tenant_id)


def answering(status: int, body: bytes = b"no") -> Receiver:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return Receiver(keep_alive(head + body))


def attempted(pipeline, receiver, data="{}", **attributes):
    """Have one delivery attempted once; return its id and its event's."""
    endpoint_id = pipeline.endpoint(
        receiver.url(), headers={"x-api-token": "swordfish"}
    )
    delivery_id = pipeline.deliver_one(data, **attributes)
    pipeline.turns().take([endpoint_id])
    row = pipeline.after_attempts(delivery_id)
    pipeline.idle(endpoint_id)
    return delivery_id, row.event_id


def page_of(delivery_id) -> str:
    return f"/tenants/acme/deliveries/{ids.show(Kind.DELIVERY, delivery_id)}"


def event_page(event_id) -> str:
    return f"/tenants/acme/events/{ids.show(Kind.EVENT, event_id)}"


def seal_again(pipeline, delivery_id, plain: bytes) -> None:
    """Replace what is sealed of a delivery's one attempt."""
    (attempt,) = pipeline.attempts(delivery_id)
    sealed = pipeline.services.deliveries._sealing.seal(
        "acme", day_scope(delivery_id), recording.ATTEMPT_TABLE, attempt.id, plain
    )
    pipeline.do(
        "UPDATE attempt SET sealed = :sealed WHERE id = :id AND delivery_id = :of",
        sealed=sealed,
        id=attempt.id,
        of=delivery_id,
    )


def looks(pipeline, action) -> int:
    return pipeline.one("SELECT count(*) FROM audit_entry WHERE action = :a", a=action)


def test_an_events_page_says_where_it_went_and_why_not_elsewhere(pipeline, as_):
    unsubscribed = pipeline.endpoint(event_types=["key.rotated"])
    pipeline.endpoint(event_types=["budget.*"], filter="data.spend > 100")
    with answering(500) as receiver:
        _, event_id = attempted(pipeline, receiver, '{"spend":1}')
    late = pipeline.endpoint(description="Created too late")
    shown = as_(Role.VIEWER, "acme").text(event_page(event_id))

    assert "Created too late" in shown and "after the event came" in shown
    assert "1 attempt failed." in shown and "Next attempt" in shown
    assert "Its filter said no." in shown and "data.spend > 100" in shown
    assert "No enabled subscription takes its type." in shown
    assert "Retry now" not in shown
    assert unsubscribed and late


def test_a_request_is_shown_with_the_url_it_went_to(pipeline, as_):
    """The endpoint moves afterwards; of old attempts that is not kept, and said."""
    with answering(500) as receiver:
        delivery_id, _ = attempted(pipeline, receiver)
        then = receiver.url()
    page, operator = f"{page_of(delivery_id)}?opened=1", as_(Role.OPERATOR)
    endpoint_id = pipeline.delivery(delivery_id).endpoint_id
    assert "another URL" not in operator.text(page)
    pipeline.services.endpoints.change(
        "acme", endpoint_id, {"url": "http://127.0.0.1:9009/moved"}
    )

    shown = operator.text(page)
    assert f"POST {then}" in shown and "The endpoint has another URL by now." in shown
    command = re.search(r'data-copy="(curl [^"]+)"', operator.get(page).text)[1]
    assert html.unescape(command).startswith(f"curl --globoff --request POST '{then}'")

    old = recording.Detail((("a", "b"),), (), b"", response_truncated=False)
    bare = msgspec.msgpack.encode(((("a", "b"),), (), b"", False))
    assert recording.decode_detail(bare) == old
    plain = pipeline.services.deliveries._open(pipeline.attempts(delivery_id)[0])
    assert plain.url == then
    seal_again(pipeline, delivery_id, bare)
    shown = operator.text(page)
    assert "http://127.0.0.1:9009/moved" in shown
    assert "The URL of that time was not kept" in shown


def test_payloads_are_for_operators_and_every_look_is_recorded(pipeline, as_):
    with answering(500, SECRET_TEXT.encode()) as receiver:
        delivery_id, event_id = attempted(
            pipeline, receiver, f'{{"note":"{SECRET_TEXT}"}}'
        )
        viewer, operator = as_(Role.VIEWER, "acme"), as_(Role.OPERATOR, "acme")
        event, delivery = event_page(event_id), page_of(delivery_id)

        for path in (event, f"{event}?payload=1", delivery, f"{delivery}?opened=1"):
            assert SECRET_TEXT not in viewer.text(path)
        viewer.get(f"{event}/data", 403)
        assert SECRET_TEXT not in operator.text(event) + operator.text(delivery)
        before = looks(pipeline, "event.viewed"), looks(pipeline, "delivery.viewed")
        assert before == (0, 0)

        assert SECRET_TEXT in operator.text(f"{event}?payload=1")
        assert SECRET_TEXT in operator.text(f"{delivery}?opened=1")
        exact = operator.get(f"{event}/data")

    assert exact.data == f'{{"note":"{SECRET_TEXT}"}}'.encode()
    assert exact.headers["Content-Type"] == "application/octet-stream"
    assert looks(pipeline, "event.viewed") == 2
    assert looks(pipeline, "delivery.viewed") == 1


def test_what_receivers_and_gateways_send_is_shown_as_text(pipeline, as_):
    answer = "<img src=x onerror=alert(1)>\u202e\u2028".encode()
    with answering(500, answer) as receiver:
        delivery_id, event_id = attempted(pipeline, receiver, f'{{"a":"{NASTY[:-1]}"}}')
        operator = as_(Role.OPERATOR, "acme")
        pages = [
            operator.get(f"{page_of(delivery_id)}?opened=1").text,
            operator.get(f"{event_page(event_id)}?payload=1").text,
        ]

    for page in pages:
        assert "<script>alert" not in page and "<img src=x" not in page
    assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' in pages[0]
    assert "LINE SEPARATOR" in pages[0]
    body = re.sub(r'data-copy="[^"]*"', "", pages[0])
    assert "\u202e" not in body and "\u2028" not in body


def test_the_endpoints_own_headers_and_secrets_stay_hidden(pipeline, as_):
    with answering(200) as receiver:
        delivery_id, _ = attempted(pipeline, receiver)
        operator = as_(Role.OPERATOR)
        page = operator.get(f"{page_of(delivery_id)}?opened=1").text
        attempt = pipeline.attempts(delivery_id)[0]
        shown = ids.show(Kind.ATTEMPT, attempt.id)
        verify = operator.get(f"{page_of(delivery_id)}/attempts/{shown}/verify").text

    assert "swordfish" not in page + verify
    assert "&lt;your x-api-token&gt;" in page
    assert "whsec_…" in verify and not re.search(r"whsec_[A-Za-z0-9+/]", verify)
    assert "the same as signature 1 of 1" in re.sub(r"\s+", " ", verify)


def test_details_are_for_the_platforms_operators_alone(pipeline, as_):
    endpoint_id = pipeline.endpoint()  # nobody listens
    delivery_id = pipeline.deliver_one()
    pipeline.turns().take([endpoint_id])
    pipeline.after_attempts(delivery_id)

    assert "For operators of the platform" in as_(Role.OPERATOR).text(
        page_of(delivery_id)
    )
    tenants = as_(Role.ADMIN, "acme").text(page_of(delivery_id))
    assert "For operators of the platform" not in tenants
    assert "Nobody listens there" in tenants


def test_retry_and_cancel_from_the_page(pipeline, as_):
    with answering(500) as receiver:
        delivery_id, _ = attempted(pipeline, receiver)
    viewer, operator = as_(Role.VIEWER, "acme"), as_(Role.OPERATOR, "acme")
    page = page_of(delivery_id)

    assert "Retry now" not in viewer.get(page).text
    viewer.post(f"{page}/retry", 403)
    operator.post(f"{page}/cancel", 400, csrf=False)
    assert pipeline.delivery(delivery_id).status == "pending"

    operator.post(f"{page}/cancel")
    assert pipeline.delivery(delivery_id).status == "cancelled"
    operator.post(f"{page}/cancel")
    assert "Nothing was changed: the delivery is cancelled already." in operator.text(
        page
    )
    operator.post(f"{page}/retry")
    assert pipeline.delivery(delivery_id).status == "pending"
    assert looks(pipeline, "delivery.cancelled") == 1


def test_what_counts_dead_letters_leads_to_those_of_its_time(pipeline, as_):
    """By when they died: their events may have come days before."""
    with answering(500) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url(), retry_schedule_s=[])
        delivery_id = pipeline.deliver_one()
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        pipeline.idle(endpoint_id)
    assert pipeline.delivery(delivery_id).status == "dead_lettered"
    pipeline.services.statistics.sum_up()
    viewer = as_(Role.VIEWER)
    place = "/admin/tenants/acme/dead-letters?"
    tenants = viewer.get("/tenants/acme?span=1h").text
    assert tenants.count(f'href="{place}died=1h"') == 2, "a tile's and a concern's"
    endpoint = f"/tenants/acme/endpoints/{ids.show(Kind.ENDPOINT, endpoint_id)}"
    assert "died=1h" in viewer.get(f"{endpoint}?span=1h").text
    assert f'href="{place}died=1h"' in viewer.get("/overview?span=1h").text
    shown = viewer.text("/tenants/acme/dead-letters?died=1h")
    assert "1 dead letter at 1 endpoint" in shown


def test_pages_hear_of_what_has_moved_on_since(pipeline, as_):
    """They ask with what they show; as long as it is so, there is no answer."""
    pipeline.endpoint()
    delivery_id = pipeline.deliver_one()
    event_id = pipeline.delivery(delivery_id).event_id
    viewer = as_(Role.VIEWER, "acme")
    for page in (page_of(delivery_id), event_page(event_id)):
        asked = html.unescape(
            re.search(r'hx-get="/admin([^"]+moves[^"]+)"', viewer.get(page).text)[1]
        )
        assert viewer.get(asked, 204).text == ""
    assert "kept=1" not in asked
    pipeline.services.deliveries.cancel("acme", delivery_id)
    assert viewer.get(asked).headers["HX-Refresh"] == "true"
    told = viewer.get(f"{asked}&kept=1")
    assert "HX-Refresh" not in told.headers
    assert "cancelled after 0 attempts" in told.text
    ended = viewer.get(page_of(delivery_id)).text
    asked = re.search(r'hx-get="/admin([^"]+moves[^"]+)" hx-trigger="every 20s', ended)
    asked = html.unescape(asked[1])
    assert viewer.get(asked, 204).text == "", "it ended"
    pipeline.services.deliveries.retry("acme", delivery_id)
    assert viewer.get(asked).headers["HX-Refresh"] == "true", "and goes on after all"

    pipeline.services.tenants.create("globex")
    other = as_(Role.VIEWER, "globex")
    other.get(asked, 404)
    foreign = other.get(f"{asked}&kept=1".replace("acme", "globex"))
    assert "cancelled" not in foreign.text


def test_another_tenants_are_not_found(pipeline, as_):
    pipeline.services.tenants.create("globex")
    with answering(500) as receiver:
        delivery_id, event_id = attempted(pipeline, receiver)
    (verdict,) = pipeline.accept(b'{"tenantid":"acme"', via="http", tenant_id="acme")
    assert isinstance(verdict, Refused)
    rejected_id = pipeline.one("SELECT id FROM rejected_event")
    rejected = ids.show(Kind.REJECTED_EVENT, rejected_id)
    stranger = as_(Role.ADMIN, "globex")

    for path in (page_of(delivery_id), event_page(event_id), "/tenants/acme/events"):
        stranger.get(path, 404)
    for path in (page_of(delivery_id), event_page(event_id)):
        stranger.get(path.replace("acme", "globex"), 404)
    stranger.post(f"{page_of(delivery_id).replace('acme', 'globex')}/retry", 404)
    for path in (f"/tenants/acme/rejected-events/{rejected}", "/rejected-events"):
        stranger.get(path, 404)
    stranger.get(f"/tenants/globex/rejected-events/{rejected}", 404)
    stranger.post(f"/rejected-events/{rejected}/delete", 404)
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/tenants/acme/events/evt_nonsense",
        "/tenants/acme/events/dlv_01m89hbvkpf1vtz72cmr1ths71",
        "/tenants/acme/deliveries/dlv_01m89hbvkpf1vtz72cmr1ths71",
        "/tenants/acme/rejected-events/x",
        "/tenants/acme/deliveries/dlv_01m89hbvkpf1vtz72cmr1ths71/attempts/x/verify",
    ],
)
def test_bad_ids_are_not_found(pipeline, as_, path):
    as_(Role.ADMIN).get(path, 404)


def test_lists_narrow_by_each_filter_and_go_both_ways(pipeline, as_):
    first, second = pipeline.endpoint(), pipeline.endpoint()
    plant(pipeline, first, 120)
    plant(pipeline, second, 3, reason="gone", event_type="key.rotated")
    plant(pipeline, second, 2, status="cancelled", days_ago=0.9)
    viewer = as_(Role.VIEWER, "acme")
    root = "/tenants/acme/deliveries"

    def rows(query: str) -> list[str]:
        page = viewer.get(f"{root}?{query}").text
        return re.findall(r'<tr id="(dlv_\w+)"', page)

    second_id = ids.show(Kind.ENDPOINT, second)
    assert len(rows(f"endpoint_id={second_id}")) == 5
    assert len(rows("type=key.rotated")) == 3
    assert len(rows("status=cancelled")) == 2
    assert len(rows("status=pending")) == 0
    assert len(rows("reason=gone")) == 3
    assert len(rows("code=503&error=http_status")) == 50
    assert len(rows("code=418")) == 0
    assert len(rows(f"range=1h&endpoint_id={second_id}")) == 3
    assert "No delivery fits" in viewer.text(f"{root}?type=nothing")

    one = rows("")
    two = rows(f"after={one[-1]}")
    assert len(two) == 50 and not set(one) & set(two)
    assert rows(f"before={two[0]}") == one
    three = rows(f"after={two[-1]}")
    assert rows(f"before={three[0]}") == two


@pytest.mark.parametrize(
    "query",
    [
        "code=abc",
        "status=nonsense",
        "endpoint_id=ep_x",
        "range=own&since=yesterday",
        "after=x",
    ],
)
def test_a_filter_that_cannot_be_read_is_said_so(pipeline, as_, query):
    response = as_(Role.VIEWER).get(f"/tenants/acme/deliveries?{query}", 422)
    assert "This filter cannot be read." in response.text


def test_a_search_that_takes_too_long_is_said_so(pipeline, as_, monkeypatch):
    """A lock stands for a million rows: the statement is stopped, the page is not."""
    monkeypatch.setattr(
        "ascwebhooks.services.deliveries.SEARCH_WITHIN", timedelta(milliseconds=100)
    )
    viewer = as_(Role.VIEWER)
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE")
        response = viewer.get("/tenants/acme/deliveries?type=a", 503)
    assert "too much to look through" in response.text


def test_a_pasted_id_leads_to_its_page(pipeline, as_):
    endpoint_id = pipeline.endpoint()
    delivery_id = pipeline.deliver_one(id="order-7")
    event_id = pipeline.delivery(delivery_id).event_id
    viewer = as_(Role.VIEWER, "acme")
    for found, page in (
        (ids.show(Kind.EVENT, event_id), event_page(event_id)),
        (ids.show(Kind.DELIVERY, delivery_id), page_of(delivery_id)),
    ):
        response = viewer.get(f"/tenants/acme/events?find=%20{found}", 303)
        assert response.headers["Location"] == f"/admin{page}"
    assert "budget.exceeded" in viewer.text("/tenants/acme/events?find=order-7")
    assert "No event fits" in viewer.text("/tenants/acme/events?find=order")
    assert endpoint_id


def test_the_tail_brings_what_is_new_and_what_has_moved(pipeline, as_):
    endpoint_id = pipeline.endpoint()
    old = pipeline.deliver_one(id="one")
    viewer = as_(Role.VIEWER, "acme")
    root, old_id = "/tenants/acme/deliveries", ids.show(Kind.DELIVERY, old)
    news = f"{root}/news?newest={old_id}&waiting={old_id}"

    assert "fresh" not in viewer.get(f"{root}/news?newest=").text
    pipeline.do("UPDATE delivery SET status = 'delivered'")
    new_id = ids.show(Kind.DELIVERY, pipeline.deliver_one(id="two"))
    shown = viewer.get(news).text

    assert f'<tr id="{new_id}" data-row class="fresh">' in shown
    assert f'<tr id="{old_id}" data-row hx-swap-oob="true">' in shown
    assert f'name="newest" value="{new_id}"' in shown
    narrowed = viewer.get(f"{news}&type=key.rotated").text
    assert new_id not in narrowed
    assert endpoint_id


def test_the_tail_of_an_outcome_is_its_first_page_again(pipeline, as_):
    """What died last may have been accepted long before what is shown."""
    endpoint_id = pipeline.endpoint()
    waits = pipeline.deliver_one(id="long ago")
    (dead,) = plant(pipeline, endpoint_id)
    viewer, root = as_(Role.VIEWER, "acme"), "/tenants/acme/deliveries"
    page = viewer.get(f"{root}?status=dead_lettered").text
    assert 'id="tail-button"' in page
    version = re.search(r'id="tail-version" name="version" value="(\w+)"', page)[1]
    newest = ids.show(Kind.DELIVERY, dead)
    news = f"{root}/news?status=dead_lettered&newest={newest}&version="

    assert viewer.get(news + version, 204).text == "", "nothing has changed"
    pipeline.do(
        "UPDATE delivery SET status = 'dead_lettered', dead_reason = 'gone'"
        " WHERE id = :id",
        id=waits,
    )
    shown = viewer.get(news + version).text
    assert shown.count("data-row") == 2 and ids.show(Kind.DELIVERY, waits) in shown
    now = re.search(r'name="version" value="(\w+)"', shown)[1]
    assert viewer.get(news + now, 204).text == ""

    pipeline.do("UPDATE delivery SET status = 'pending', dead_reason = NULL")
    assert viewer.get(news + now).headers["HX-Refresh"] == "true"
    for none in ("&until=2026-01-01", f"&after={newest}"):
        assert "tail-button" not in viewer.get(f"{root}?status=pending{none}").text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-11-22T17:03Z", "2026-11-22T17:03"),
        ("2026-11-22T17:03", "2026-11-22T17:03"),
        ("2026-11-22T17:03:07Z", "2026-11-22T17:03:07"),
        ("2026-11-22T17:03+02:00", "2026-11-22T15:03"),
        ("2026-11-22 17:03", "2026-11-22T17:03"),
        ("2026-11-22", "2026-11-22T00:00"),
    ],
)
def test_times_in_urls_are_absolute_and_shown_as_utc_without_scripts(
    pipeline, as_, given, shown
):
    """A script of the page shows them in the viewer's zone."""
    viewer = as_(Role.VIEWER, "acme")
    for path in ("deliveries?range=own&", "events?", "dead-letters?"):
        page = viewer.get(f"/tenants/acme/{path}since={quote(given)}").text
        assert f'name="since" value="{shown}" data-utc="{shown}Z"' in page
        assert "(UTC)</span></label>" in page
        assert ('step="1"' in page) == (len(shown) > 16)


def test_what_is_no_time_is_said(pipeline, as_):
    viewer = as_(Role.VIEWER, "acme")
    for given in ("yesterday", "2026-99-99T00:00", "1969-01-01T00:00Z"):
        viewer.get(f"/tenants/acme/deliveries?since={given}", 422)
        page = viewer.get(f"/tenants/acme/dead-letters?since={given}", 422).text
        assert "That was left out." in page


def rejected(pipeline, raw: bytes, **terms) -> str:
    (verdict,) = pipeline.accept(raw, **terms)
    assert isinstance(verdict, Refused)
    row_id = pipeline.one("SELECT id FROM rejected_event ORDER BY id DESC LIMIT 1")
    return ids.show(Kind.REJECTED_EVENT, row_id)


def test_a_rejected_event_is_mended_and_resubmitted(pipeline, as_, event):
    pipeline.endpoint()
    broken = event('{"a": 1,,}')
    rejected_id = rejected(pipeline, broken, via="http", tenant_id="acme")
    page = f"/tenants/acme/rejected-events/{rejected_id}"
    viewer, operator = as_(Role.VIEWER, "acme"), as_(Role.OPERATOR, "acme")

    assert "It is not JSON" in viewer.text("/tenants/acme/rejected-events")
    assert "1,," not in viewer.text(f"{page}?opened=1")
    viewer.post(page, 403, event="{}")
    viewer.get(f"{page}/raw", 403)
    assert "1,," not in operator.text(page)
    assert "1,," in operator.text(f"{page}?opened=1")
    assert operator.get(f"{page}/raw").data == broken
    assert looks(pipeline, "rejected_event.viewed") == 2

    refused = operator.post(page, 422, event='{\r\n"a": oops}')
    assert "Line 2, column 6" in refused.text
    assert "oops}</textarea>" in refused.text
    made = operator.post(page, event=event('{"a": 1}').decode())
    assert "/tenants/acme/events/evt_" in made.headers["Location"]
    assert "it goes to 1 endpoint." in operator.text(
        made.headers["Location"].removeprefix("/admin")
    )
    operator.post(page, 404, event="{}")


def test_an_unknown_tenant_is_created_and_the_event_resubmitted(pipeline, as_, event):
    rejected_id = rejected(pipeline, event(tenantid="initech"))
    page, admin = f"/rejected-events/{rejected_id}", as_(Role.ADMIN)

    assert "initech" in admin.text("/rejected-events")
    assert "/admin/new/tenant?id=initech" in admin.get(page).text
    assert 'value="initech"' in admin.get("/new/tenant?id=initech").text
    admin.post(page, 422)
    pipeline.services.tenants.create("initech")
    made = admin.post(page, owner="initech")
    assert "/tenants/initech/events/evt_" in made.headers["Location"]


def test_deleting_a_rejected_event_takes_an_administrator(pipeline, as_):
    rejected_id = rejected(pipeline, b"\xff", via="http", tenant_id="acme")
    page = f"/tenants/acme/rejected-events/{rejected_id}"
    operator, admin = as_(Role.OPERATOR, "acme"), as_(Role.ADMIN, "acme")

    operator.post(f"{page}/delete", 403)
    admin.post(f"{page}/delete", 400, csrf=False)
    admin.post(f"{page}/delete")
    admin.post(f"{page}/delete", 404)
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 0


@pytest.mark.parametrize("noun", ["events", "deliveries", "rejected-events"])
def test_empty_lists_say_what_to_do(pipeline, as_, noun):
    page = as_(Role.VIEWER, "acme").get(f"/tenants/acme/{noun}").text
    assert 'class="empty"' in page
