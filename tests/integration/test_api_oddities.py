"""Whatever stands in a path, a query, a header or a field: never a 500.

The routes and their parts are read from the description, so that what is added to it
is tried too.
"""

from __future__ import annotations

import json

import pytest

from ascwebhooks.domain.formats import Format

HUGE = 10**400
#: NUL, half a surrogate pair, no UTF-8, a slash, and ids that are none.
ODD_PATHS = [
    "%00",
    "acme%00",
    "%ED%A0%80",
    "%FF",
    "a%2Fb",
    "..",
    "%20",
    "%0A",
    "x" * 3000,
    "ep_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "ep_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "ep_0000000000000000000000000%C3%B6",
    "EP_00000000000000000000000000",
    "dlv_00000000000000000000000000",
    "evt_00000000000000000000000000",
    "rpl_00000000000000000000000000",
    "rej_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "_",
    "%F0%9F%92%A9",
    "'%22%3B--",
]
ODD_QUERIES = [
    "",
    "%00",
    "%ED%A0%80",
    "%FF",
    "%F0%9F%92%A9",
    str(HUGE),
    "-1",
    "1e3",
    "1_0",
    "%D9%A3",
    "NaN",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00%2B23:59",
    "9999-12-31T23:59:59Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.0000000000001Z",
    "2026-02-30T00:00:00Z",
    "x" * 4000,
    "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "ep_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "AAAA",
    "====",
    "%0A",
]
ODD_VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    HUGE,
    -HUGE,
    2**31,
    2**63,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\U0001f4a9",
    "x" * 100_000,
    "ep_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    [],
    ["\0"],
    ["\ud800"],
    [None],
    [[]],
    [HUGE],
    [1.5],
    {},
    {"\0": "\0"},
    {"\ud800": "\ud800"},
    {"x-a": "\r\nhost: x"},
    {"x-a": "x" * 100_000},
    {"x-a": HUGE},
    {"filter": {}},
    {"status": "\0"},
    {"since": "9999-12-31T23:59:59.999999-23:59"},
]
ODD_HEADERS = [
    "",
    '"',
    'W/"',
    "*, *",
    ",,,",
    '"a","b',
    "\xff",
    "\x7f",
    "%00",
    "x" * 5000,
]
ODD_TYPES = [
    "application/json; charset=utf-16",
    "application/json; charset=nonsense",
    "application/json;;;=",
    "application/cloudevents+json; charset=nonsense",
    "application/cloudevents-batch+json; boundary=",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=\xff",
    "/",
    "\xff",
    "",
]
ODD_BODIES = [
    b"",
    b"\0",
    b"\xff\xfe{\0}\0",
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b'{"a": 1, "a": 2}',
    b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b'{"id": "\\u0000"}',
    b"[" * 5000,
    b'{"a":' * 5000,
    b"1e999",
    b"-",
    b"NaN",
    b'"\\ud800"',
    b'"\xed\xa0\x80"',
]


@pytest.fixture
def full(api, event):
    """The API with one of everything, and what may stand in a path."""
    endpoint = api.post(
        "/tenants/acme/endpoints",
        {"url": "http://127.0.0.1:9009/", "event_types": ["*"], "filter": "true"},
    ).json
    (accepted,) = api.publish(event()).json["accepted"]
    api.publish_body(event(type=""), "application/cloudevents+json")
    (delivery,) = api.get("/tenants/acme/deliveries").json["items"]
    api.post(f"/tenants/acme/deliveries/{delivery['id']}/cancel")
    (subscription,) = api.get("/tenants/acme/subscriptions").json["items"]
    replay = api.post("/tenants/acme/replays", {"filter": {"status": "cancelled"}}).json
    (rejected,) = api.get("/rejected-events").json["items"]
    api.known = {
        "tenant_id": "acme",
        "endpoint_id": endpoint["id"],
        "event_id": accepted["id"],
        "delivery_id": delivery["id"],
        "subscription_id": subscription["id"],
        "replay_id": replay["id"],
        "rejected_id": rejected["id"],
    }
    return api


class Operation:
    """One operation of the description, with its path filled in."""

    def __init__(self, api, method, path, operation, schemas):
        self.api = api
        self.method = method.upper()
        self.path = path.removeprefix("/api/v1")
        self.operation = operation
        self.schemas = schemas

    def ask(self, path=None, **options):
        """Ask for it; fail on a 500, or on a refusal that is no problem."""
        whole = path or self.filled()
        answered = self.api.ask(self.method, whole, **options)
        assert answered.status_code < 500, (
            f"{self.method} {whole[:200]} {str(options)[:300]}: {answered.text}"
        )
        if answered.status_code >= 400:
            assert answered.content_type == "application/problem+json"
            assert answered.json["code"]
        return answered

    def filled(self, **values):
        """Return its path with what is known there, or else no such thing."""
        path = self.path
        for name in self.in_path():
            value = values.get(name, self.api.known.get(name, "nobody"))
            path = path.replace(f"{{{name}}}", value)
        return path

    def in_path(self):
        return [part.split("}")[0] for part in self.path.split("{")[1:]]

    def names(self, place):
        parameters = self.operation.get("parameters", ())
        return [each["name"] for each in parameters if each["in"] == place]

    def fields(self):
        """Return the content type and the schema of each body."""
        content = self.operation.get("requestBody", {}).get("content", {})
        for content_type, described in content.items():
            yield content_type, self._resolved(described["schema"])

    def _resolved(self, schema):
        if "$ref" in schema:
            return self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema


@pytest.fixture
def operations(full):
    """Every operation, those that delete last."""
    document = full.get("/openapi.json").json
    schemas = document["components"]["schemas"]
    found = [
        Operation(full, method, path, operation, schemas)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    return sorted(found, key=lambda each: each.method == "DELETE")


def test_odd_paths(operations):
    for operation in operations:
        for name in operation.in_path():
            for odd in ODD_PATHS:
                answered = operation.ask(operation.filled(**{name: odd}), json={})
                assert answered.status_code >= 300


def test_odd_queries(operations):
    for operation in operations:
        for name in operation.names("query"):
            for odd in ODD_QUERIES:
                operation.ask(f"{operation.filled()}?{name}={odd}")
                twice = f"{name}={odd}&{name}={odd}"
                operation.ask(f"{operation.filled()}?{twice}")


def test_odd_headers(operations):
    for operation in operations:
        for name in operation.names("header"):
            for odd in ODD_HEADERS:
                operation.ask(headers={name: odd})
    for name in ("Accept", "X-Request-Id", "If-Modified-Since", "Range"):
        for odd in ODD_HEADERS:
            operations[0].ask(headers={name: odd})


def test_odd_content_types_and_bodies(operations):
    for operation in operations:
        for odd in ODD_TYPES:
            operation.ask(data=b"{}", content_type=odd)
        for content_type, _ in operation.fields():
            for body in ODD_BODIES:
                operation.ask(data=body, content_type=content_type)


def test_odd_fields(operations):
    for operation in operations:
        for content_type, schema in operation.fields():
            for name in schema.get("properties", ()):
                for odd in ODD_VALUES:
                    body = _plain(operation.path) | {name: odd}
                    operation.ask(data=json.dumps(body), content_type=content_type)


def _plain(path):
    """Return a body that is taken, but for the field that is tried."""
    if path.endswith("/endpoints"):
        return {"url": "http://127.0.0.1:9009/", "format": Format.STANDARD.value}
    if path.endswith("/events"):
        required = ("id", "source", "type", "tenantid")
        return {"specversion": "1.0", **dict.fromkeys(required, "acme")}
    return {}


@pytest.mark.parametrize("key", ["\xff", "x y", "ascw_", "x" * 5000, "\x7f"])
def test_odd_keys_are_401(api, key):
    assert api.with_key(key).get("/tenants").status_code == 401


@pytest.mark.parametrize("odd", [0, 1, "true", "no", 1.0, None])
def test_only_a_boolean_is_a_flag(api, odd):
    for path, body in (
        ("subscriptions", {"endpoint_id": api.endpoint(), "event_types": ["*"]}),
        ("replays", {"filter": {}}),
    ):
        flag = "enabled" if path == "subscriptions" else "dry_run"
        refused = api.post(f"/tenants/acme/{path}", body | {flag: odd})
        assert refused.status_code == 422
        assert list(refused.json["errors"]) == [flag]
