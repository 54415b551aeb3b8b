"""What the API refuses, how it says so, and what every answer carries."""

from __future__ import annotations

import base64
import io
import json
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from ascwebhooks.domain.keys import Role

ENDPOINTS = "/tenants/acme/endpoints"
ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
URL = "http://127.0.0.1:9009/hook"
MIB = 1024 * 1024


def check_problem(answered, status, code):
    """Check that an answer is problem details with this status and code."""
    assert (answered.status_code, answered.json["code"]) == (status, code)
    assert answered.content_type == "application/problem+json"
    assert answered.json["type"] == f"urn:ascwebhooks:error:{code}"
    assert answered.json["status"] == status
    assert answered.json["title"]


BAD_ENDPOINTS = {
    "a url that is none": ({"url": "nonsense"}, "url"),
    "an address inside": ({"url": "https://10.0.0.1/"}, "url"),
    "a url that is too long": ({"url": "https://e.com/" + "x" * 2048}, "url"),
    "half a surrogate pair": ({"description": "\ud800"}, "description"),
    "NUL": ({"description": "\0"}, "description"),
    "a long description": ({"description": "x" * 501}, "description"),
    "an event type with a blank": ({"event_types": ["a b"]}, "event_types"),
    "too many event types": ({"event_types": ["a"] * 101}, "event_types"),
    "null event types": ({"event_types": None}, "event_types"),
    "timeout 0": ({"timeout_s": 0}, "timeout_s"),
    "timeout 31": ({"timeout_s": 31}, "timeout_s"),
    "timeout as text": ({"timeout_s": "15"}, "timeout_s"),
    "timeout 1.5": ({"timeout_s": 1.5}, "timeout_s"),
    "timeout true": ({"timeout_s": True}, "timeout_s"),
    "max_in_flight 0": ({"max_in_flight": 0}, "max_in_flight"),
    "max_in_flight 1001": ({"max_in_flight": 1001}, "max_in_flight"),
    "a delay of 0": ({"retry_schedule_s": [0]}, "retry_schedule_s"),
    "a negative delay": ({"retry_schedule_s": [5, -300]}, "retry_schedule_s"),
    "a delay as text": ({"retry_schedule_s": ["5"]}, "retry_schedule_s"),
    "delays as text": ({"retry_schedule_s": "5,300"}, "retry_schedule_s"),
    "a delay of null": ({"retry_schedule_s": [None]}, "retry_schedule_s"),
    "a delay of 8 days": ({"retry_schedule_s": [691_200]}, "retry_schedule_s"),
    "21 delays": ({"retry_schedule_s": [1] * 21}, "retry_schedule_s"),
    "a region elsewhere": ({"region": "mars"}, "region"),
    "a format": ({"format": "avro"}, "format"),
    "null format": ({"format": None}, "format"),
    "a signature": ({"signature": "v2"}, "signature"),
    "an unknown order": ({"ordering": "lifo"}, "ordering"),
    "a rate of nothing": ({"rate_limit_per_s": 0}, "rate_limit_per_s"),
    "half a filter": ({"event_types": ["*"], "filter": "type =="}, "filter"),
    "a filter of nothing": ({"event_types": ["*"], "filter": ""}, "filter"),
    "a filter for no types": ({"event_types": [], "filter": "true"}, "filter"),
    "a filter that is no text": ({"event_types": ["*"], "filter": 1}, "filter"),
    "an unknown field": ({"retries": 3}, "retries"),
    "a header's mask": ({"headers": {"x-a": "[hidden]"}}, "headers"),
    "a header that is no text": ({"headers": {"x-a": 1}}, "headers"),
}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_bad_endpoint_is_refused_and_the_field_is_named(api, subtests, method):
    path = f"{ENDPOINTS}/{api.endpoint()}" if method == "PATCH" else ENDPOINTS
    before = api.get(ENDPOINTS).json
    for name, (body, field) in BAD_ENDPOINTS.items():
        with subtests.test(name):
            whole = body if field == "url" else {"url": URL, **body}
            refused = api.ask(method, path, json=whole)
            check_problem(refused, 422, refused.json["code"])
            assert refused.json["code"] in {"invalid_input", "target_rejected"}
            assert list(refused.json["errors"]) == [field]
            assert api.get(ENDPOINTS).json == before


def test_many_endpoints_are_refused_what_one_is(api, subtests):
    """The rows of a list are read by rules of their own; they must not differ."""
    rows = [
        body if field == "url" else {"url": f"{URL}/{at}", **body}
        for at, (body, field) in enumerate(BAD_ENDPOINTS.values())
    ]
    refused = api.post(f"{ENDPOINTS}/bulk", {"endpoints": rows})
    check_problem(refused, 422, "no_endpoint_created")
    for (name, (_, field)), item in zip(
        BAD_ENDPOINTS.items(), refused.json["items"], strict=True
    ):
        with subtests.test(name):
            assert list(item["errors"]) == [field]


def test_an_empty_schedule_is_one_attempt(api):
    made = api.post(ENDPOINTS, {"url": URL, "retry_schedule_s": []})
    assert (made.status_code, made.json["retry_schedule_s"]) == (201, [])


def test_an_endpoint_needs_a_url(api):
    refused = api.post(ENDPOINTS, {})
    check_problem(refused, 422, "invalid_input")
    assert refused.json["errors"] == {"url": ["Missing data for required field."]}


@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"webhook-id": "x"}, {"a b": "x"}, {"x-a": "é"}]
)
def test_a_bad_header_is_refused_and_its_value_not_shown(api, headers):
    (name,) = headers
    refused = api.post(ENDPOINTS, {"url": URL, "headers": headers | {"x-b": "hunter2"}})
    check_problem(refused, 422, "invalid_input")
    assert name in refused.json["detail"]
    assert b"hunter2" not in refused.data


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate_limit_per_s", 0),
        ("rate_limit_per_s", -1),
        ("rate_limit_per_s", 2.5),
        ("rate_limit_per_s", "20"),
        ("rate_limit_per_s", 10_001),
        ("ordering", "lifo"),
        ("ordering", None),
        ("max_in_flight", 0),
        ("retry_schedule_s", [5, -5]),
        ("retry_schedule_s", [0]),
    ],
)
def test_what_no_endpoint_could_follow_is_refused_by_its_field(api, field, value):
    refused = api.post(ENDPOINTS, {"url": URL, field: value})
    check_problem(refused, 422, "invalid_input")
    assert list(refused.json["errors"]) == [field]


BAD_TENANTS = [
    ({}, "id"),
    ({"id": ""}, "id"),
    ({"id": "a b"}, "id"),
    ({"id": "a\0"}, "id"),
    ({"id": 5}, "id"),
    ({"id": "a", "home_region": "EU"}, "allowed_regions"),
    ({"id": "a", "home_region": "eu", "allowed_regions": ["us"]}, "home_region"),
    ({"id": "a", "allowed_regions": []}, "allowed_regions"),
    ({"id": "a", "name": ""}, "name"),
    ({"id": "a", "created_at": "2026-01-01T00:00:00Z"}, "created_at"),
]


def test_a_bad_tenant_is_refused(api, subtests):
    for body, field in BAD_TENANTS:
        with subtests.test(repr(body)):
            refused = api.post("/tenants", body)
            check_problem(refused, 422, "invalid_input")
            assert list(refused.json["errors"]) == [field]


BAD_KEYS = [
    ({}, "role"),
    ({"role": "root"}, "role"),
    ({"role": "viewer", "expires_in_s": 0}, "expires_in_s"),
    ({"role": "viewer", "expires_in_s": 10**12}, "expires_in_s"),
    ({"role": "viewer", "name": "x" * 201}, "name"),
    ({"role": "viewer", "key": "mine"}, "key"),
]


def test_a_bad_key_is_refused(api, subtests):
    for body, field in BAD_KEYS:
        with subtests.test(repr(body)[:80]):
            refused = api.post("/keys", body)
            check_problem(refused, 422, "invalid_input")
            assert list(refused.json["errors"]) == [field]


def test_a_key_for_an_unknown_tenant_is_404(api):
    body = {"role": "viewer", "tenant_id": "nobody"}
    check_problem(api.post("/keys", body), 404, "not_found")


@pytest.mark.parametrize("overlap_s", [-1, 604_801, "5", None])
def test_an_overlap_beyond_its_bounds_is_refused(api, overlap_s):
    path = f"{ENDPOINTS}/{api.endpoint()}/rotate-secret"
    check_problem(api.post(path, {"overlap_s": overlap_s}), 422, "invalid_input")


BAD_QUERIES = [
    ("/tenants?limit=0", "limit"),
    ("/tenants?limit=201", "limit"),
    ("/tenants?limit=many", "limit"),
    ("/tenants?page=2", "page"),
    ("/tenants/acme/deliveries?status=lost", "status"),
    ("/tenants/acme/deliveries?endpoint_id=evt_00000000000000000000000000",
     "endpoint_id"),
    ("/tenants/acme/deliveries?event_type=%00", "event_type"),
    ("/tenants/acme/events?since=yesterday", "since"),
    ("/tenants/acme/events?since=2026-01-01T00:00:00", "since"),
    ("/tenants/acme/events?since=1969-01-01T00:00:00Z", "since"),
    ("/tenants/acme/events?until=0001-01-01T00:00:00%2B23:59", "until"),
    ("/tenants/acme/events?source_id=a%00b", "source_id"),
]  # fmt: skip


def test_a_bad_query_is_refused_and_its_part_is_named(api, subtests):
    for path, field in BAD_QUERIES:
        with subtests.test(path):
            refused = api.get(path)
            check_problem(refused, 422, "invalid_input")
            assert list(refused.json["errors"]) == [field]


def test_a_cursor_that_this_list_did_not_hand_out_is_refused(api):
    for at in range(3):
        api.pipeline.services.tenants.create(f"tenant-{at}")
        api.endpoint()
    cursor = api.get("/tenants?limit=1").json["next_cursor"]
    other = api.get(f"{ENDPOINTS}?limit=1").json["next_cursor"]
    assert api.get(f"/tenants?cursor={cursor}").status_code == 200
    tampered = [
        cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        for at in range(len(cursor))
    ]
    for bad in (*tampered, other, "", "x", "%FF", cursor[:-1], cursor + "A"):
        refused = api.get(f"/tenants?cursor={bad}")
        check_problem(refused, 422, "invalid_cursor")


LISTS = [
    "/tenants",
    "/keys",
    "/event-types",
    "/rejected-events",
    *(f"/tenants/acme/{kind}" for kind in (
        "endpoints", "subscriptions", "events", "deliveries", "replays",
        "rejected-events",
    )),
]  # fmt: skip


def forged(number):
    """Return what looks like a cursor and was handed out by nobody."""
    packed = bytes(6) + str(UUID(int=number)).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


@pytest.fixture
def cursors(api, event):
    """A cursor of each list, with a second page behind it."""
    api.post("/tenants", {"id": "globex"})
    for at in range(2):
        api.endpoint()
        api.post("/keys", {"role": "viewer"})
        api.publish(event(id=f"a-{at}"), event(id=f"b-{at}", type=...))
        api.publish(event(id=f"c-{at}", tenantid="nobody"))
        api.post("/tenants/acme/replays", {"filter": {}})
    found = {each: api.get(f"{each}?limit=1").json["next_cursor"] for each in LISTS}
    assert all(found.values()), found
    return found


def test_a_cursor_is_of_one_list_of_one_tenant(api, cursors, subtests):
    """Tampered with, another list's, another tenant's or empty: 422, and no rows."""
    for path, cursor in cursors.items():
        others = [each for name, each in cursors.items() if name != path]
        flipped = ("B" if cursor[0] == "A" else "A") + cursor[1:]
        for bad in (*others, flipped, cursor[:-2], cursor * 2, "", "%00", forged(1)):
            with subtests.test(f"{path} {bad[:12]}"):
                refused = api.get(f"{path}?cursor={bad}")
                check_problem(refused, 422, "invalid_cursor")
                assert list(refused.json["errors"]) == ["cursor"]
        with subtests.test(f"{path} of another tenant"):
            if "acme" in path:
                there = path.replace("acme", "globex")
                refused = api.get(f"{there}?cursor={cursor}")
                check_problem(refused, 422, "invalid_cursor")
        assert api.get(f"{path}?cursor={cursor}").json["items"]


NOT_THERE = [
    "/nothing",
    "/tenants/nobody",
    "/tenants/%00",
    "/tenants/%FF",
    f"{ENDPOINTS}/nonsense",
    f"{ENDPOINTS}/%00",
    f"{ENDPOINTS}/ep_00000000000000000000000000",
    f"{ENDPOINTS}/evt_00000000000000000000000000",
    "/tenants/acme/events/evt_00000000000000000000000000",
    "/tenants/acme/deliveries/dlv_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "/rejected-events/rej_00000000000000000000000000",
]


def test_what_is_not_there_is_404(api, subtests):
    for path in NOT_THERE:
        with subtests.test(path):
            check_problem(api.get(path), 404, "not_found")


def test_a_title_says_what_kind_of_problem_it_is_and_the_detail_which(api):
    """RFC 9457, 3.1.3 and 3.1.4: a title is the same each time."""
    one, other = (api.get(f"/tenants/{name}").json for name in ("one", "other"))

    assert one["title"] == other["title"] == "Not found"
    assert one["detail"] == "there is no tenant 'one'."
    assert other["detail"] == "there is no tenant 'other'."


def test_a_wrong_method_is_405_and_the_right_ones_are_named(api):
    refused = api.ask("PUT", "/tenants")
    check_problem(refused, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(refused.headers["Allow"].split(", "))


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_400(api, body):
    refused = api.ask("POST", "/tenants", data=body, content_type="application/json")
    check_problem(refused, 400, "unreadable_body")


def test_a_number_of_5000_digits_is_400(api):
    body = b'{"id": %b}' % (b"9" * 5000)
    refused = api.ask("POST", "/tenants", data=body, content_type="application/json")
    check_problem(refused, 400, "unreadable_body")


@pytest.mark.parametrize("body", ["[]", "5", "null", '"text"'])
def test_a_body_that_is_no_object_is_422(api, body):
    refused = api.ask("POST", "/tenants", data=body, content_type="application/json")
    check_problem(refused, 422, "invalid_input")


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", None])
def test_a_body_of_another_type_is_415(api, content_type):
    refused = api.ask("POST", "/tenants", data=b"{}", content_type=content_type)
    check_problem(refused, 415, "unsupported_media_type")


def test_a_bug_is_500_without_its_detail_and_is_logged(api):
    api.pipeline.do("ALTER TABLE tenant RENAME TO elsewhere")
    try:
        with capture_logs() as logs:
            refused = api.get("/tenants")
    finally:
        api.pipeline.do("ALTER TABLE elsewhere RENAME TO tenant")
    check_problem(refused, 500, "internal")
    assert set(refused.json) == {"type", "title", "status", "code"}
    assert b"tenant" not in refused.data
    assert [each["event"] for each in logs] == ["request_failed", "request_served"]


UNREADABLE = {
    "nothing": (b"", ONE),
    "blanks": (b" \n", MANY),
    "text": (b"nonsense", ONE),
    "half an event": (b'{"id": 1', ONE),
    "an array as one event": (b"[{}]", ONE),
    "a number as one event": (b"5", ONE),
    "two events as one": (b'{"id": 1} {"id": 2}', ONE),
    "no value": (b'{"id": }', ONE),
    "an event as a batch": (b"{}", MANY),
    "half a batch": (b"[{}", MANY),
    "a batch of nonsense": (b"[nonsense]", MANY),
    "a batch without a comma": (b"[{} {}]", MANY),
    "a batch and more": (b"[{}] [{}]", MANY),
    "brackets of the wrong kind": (b"[{]}", MANY),
    "an unfinished string": (b'[{"a": "]', MANY),
    "open brackets": (b"[" * 10_000 + b"]", MANY),
    "closed brackets": (b"[" + b"[" * 5000 + b"]" * 5002, MANY),
}


def test_a_body_that_cannot_be_read_is_400_and_leaves_no_row(api, subtests):
    for name, (body, content_type) in UNREADABLE.items():
        with subtests.test(name):
            refused = api.publish_body(body, content_type)
            check_problem(refused, 400, "unreadable_body")
    assert api.pipeline.one("SELECT count(*) FROM rejected_event") == 0


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_events_of_another_type_are_415(api, event, content_type):
    refused = api.publish_body(event(), content_type)
    check_problem(refused, 415, "unsupported_media_type")
    assert api.pipeline.one("SELECT count(*) FROM event") == 0


def test_an_empty_batch_accepts_nothing(api):
    answered = api.publish()
    check_problem(answered, 422, "events_rejected")
    assert (answered.json["accepted"], answered.json["rejected"]) == ([], [])


def test_1000_events_are_taken_and_1001_are_not(api, event):
    raws = [event(id=str(at)) for at in range(1001)]
    check_problem(api.publish(*raws), 413, "payload_too_large")
    assert api.pipeline.one("SELECT count(*) FROM event") == 0
    assert len(api.publish(*raws[1:]).json["accepted"]) == 1000


def test_5_mib_are_taken_and_a_byte_more_is_not(api, event):
    def batch(size):
        raws = [event(json.dumps("x" * 200_000), id=str(at)) for at in range(25)]
        body = b"[" + b",".join(raws)
        return body + b" " * (size - len(body) - 1) + b"]"

    refused = api.publish_body(batch(5 * MIB + 1), MANY)
    check_problem(refused, 413, "payload_too_large")
    assert api.pipeline.one("SELECT count(*) FROM event") == 0
    assert api.publish_body(batch(5 * MIB), MANY).status_code == 202


class Endless(io.RawIOBase):
    """A body without end; tells how much of it was read."""

    read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self.read_bytes += len(buffer)
        buffer[:] = b"[" * len(buffer)
        return len(buffer)


@pytest.mark.parametrize(
    ("path", "content_type", "limit"),
    [("/events", MANY, 5 * MIB), ("/tenants", "application/json", MIB // 4)],
)
def test_a_body_sent_in_chunks_is_read_up_to_its_limit(api, path, content_type, limit):
    body = Endless()
    refused = api.ask(
        "POST",
        path,
        content_type=content_type,
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    check_problem(refused, 413, "payload_too_large")
    assert body.read_bytes <= limit + MIB


def test_a_long_body_is_refused_by_its_length_alone(api):
    body = Endless()
    refused = api.ask(
        "POST",
        "/events",
        content_type=MANY,
        environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(2**30)},
    )
    check_problem(refused, 413, "payload_too_large")
    assert body.read_bytes == 0


def test_a_body_without_a_key_is_not_read(api):
    body = Endless()
    refused = api.with_key(None).ask(
        "POST",
        "/events",
        content_type=MANY,
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    check_problem(refused, 401, "not_authenticated")
    assert body.read_bytes == 0


@pytest.mark.parametrize(
    "path", ["/tenants", "/nothing", "/openapi.json", "!/healthz", "!/api/docs"]
)
def test_every_answer_has_its_headers(api, path):
    headers = api.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Request-Id"]
    if path == "/tenants":
        assert headers["Cache-Control"] == "no-store"


def test_a_request_is_logged_without_its_path_query_or_body(api, event):
    with capture_logs() as logs:
        api.get(
            "/tenants/acme/events?source_id=hunter2", headers={"X-Request-Id": "r-1"}
        )
        api.publish_body(event('"hunter2"'), ONE)
        api.patch("/tenants/acme", {"name": "hunter2"})
    lines = [each for each in logs if each["event"] == "request_served"]
    assert [(each["method"], each["route"], each["status"]) for each in lines] == [
        ("GET", "/api/v1/tenants/<tenant_id>/events", 200),
        ("POST", "/api/v1/events", 202),
        ("PATCH", "/api/v1/tenants/<tenant_id>", 200),
    ]
    assert {each["key"] for each in lines} == {api.key[:12]}
    assert all(each["ms"] > 0 for each in lines)
    assert "hunter2" not in repr(logs)
    assert api.key not in repr(logs)


def test_a_request_id_is_handed_back_unless_it_could_do_harm(api):
    def given(text):
        return api.get("/tenants", headers={"X-Request-Id": text}).headers[
            "X-Request-Id"
        ]

    assert given("abc-1.2_3") == "abc-1.2_3"
    assert given("a b") != "a b"
    assert given("x" * 65) != "x" * 65


def test_the_page_for_people_loads_from_this_host_alone(api):
    nobody = api.with_key(None)
    page = nobody.get("!/api/docs")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "http" not in text.replace("<!doctype html>", "")
    assert "<style" not in text
    for name in ("docs.js", "docs.css", "swagger-ui-bundle.js", "swagger-ui.css"):
        assert f'"/api/docs/{name}"' in text
        found = nobody.get(f"!/api/docs/{name}")
        assert found.status_code == 200
        assert len(found.data) > 20
    check_problem(nobody.get("!/api/docs/nothing"), 404, "not_found")
    check_problem(nobody.get("!/api/docs/..%2f__init__.py"), 404, "not_found")


def test_a_viewer_sees_payloads(api, event):
    (accepted,) = api.publish(event('"text"')).json["accepted"]
    path = f"/tenants/acme/events/{accepted['id']}"
    assert api.as_(Role.VIEWER, "acme").get(path).json["data"] == "text"
