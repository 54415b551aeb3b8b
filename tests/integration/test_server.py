"""The server process itself: what it refuses before the application sees it."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.web.server import MAX_REQUEST_LINE_BYTES
from tests.contract.servers import serving

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(postgres_server, valkey_server, migrated_template, tmp_path_factory):
    """One process for all tests here."""
    name = "asc_test_server"
    postgres_server.create_database(name, migrated_template)
    urls = postgres_server.url(name), valkey_server.url(62)
    with serving(*urls, tmp_path_factory.mktemp("server")) as made:
        yield made
    postgres_server.drop_database(name)


@pytest.fixture
def ask(server):
    """Asks for a path, as somebody with headers of their own."""

    def ask(path, headers=None):
        with closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as at:
            at.request("GET", path, headers=headers or {})
            answer = at.getresponse()
            return answer.status, answer.headers, answer.read()

    return ask


def line(path):
    return len(f"GET {path} HTTP/1.1")


def test_filters_of_many_thousand_characters_are_taken(server, ask):
    """By the API and by a page, up to the bound."""
    key = {"Authorization": f"Bearer {server.key(Role.VIEWER)}"}
    path = "/api/v1/tenants?limit=1&unused="
    path += "x" * (MAX_REQUEST_LINE_BYTES - line(path))
    assert line(path) == MAX_REQUEST_LINE_BYTES
    status, _, body = ask(path, key)
    assert status in {200, 422}, body
    services = server.services
    services.people.create("ann", grants=[Grant(Role.ADMIN)], password=PASSWORD)
    token = services.sessions.log_in("ann", PASSWORD, address="here")
    cookie = {"Cookie": f"ascw_session={token}"}
    status, _, body = ask("/admin/audit?actor=" + quote("é" * 1_200), cookie)
    # It reached the page, which knows no such names.
    assert status == 422
    assert b"actor" in body


@pytest.mark.parametrize("beyond", [1, 10_000, 60_000])
def test_a_longer_url_is_a_problem_of_ours(ask, beyond):
    path = "/admin/tenants?search="
    path += "x" * (MAX_REQUEST_LINE_BYTES - line(path) + beyond)
    status, headers, body = ask(path)
    assert status == 414
    assert headers["Content-Type"] == "application/problem+json"
    told = json.loads(body)
    assert told["code"] == "request_uri_too_long"
    assert "at most 8,190 bytes" in told["detail"]


def test_too_long_headers_are_a_problem_of_ours(ask):
    status, headers, body = ask("/healthz", {"X-Long": "x" * 20_000})
    assert status == 431
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "request_header_fields_too_large"


@pytest.mark.parametrize("mib", [6, 12])
def test_who_sends_too_much_is_told_so_and_not_cut_off(server, mib):
    """A connection closed with something unread is reset, and the answer with it."""
    head = {
        "Authorization": f"Bearer {server.key(Role.PUBLISHER)}",
        "Content-Type": "application/cloudevents-batch+json",
        "Connection": "close",
    }
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as at:
        at.request("POST", "/api/v1/events", b"[" * (mib * 1024 * 1024), head)
        answer = at.getresponse()
        told = json.loads(answer.read())

    assert (answer.status, told["code"]) == (413, "payload_too_large")
    assert told["detail"] == "the body is larger than 5,242,880 bytes."


def test_who_says_much_and_sends_nothing_is_not_waited_for(server):
    lines = [
        "POST /api/v1/events HTTP/1.1",
        "Host: here",
        f"Authorization: Bearer {server.key(Role.PUBLISHER)}",
        "Content-Type: application/cloudevents-batch+json",
        "Content-Length: 100000000",
    ]
    host, port = urlsplit(server.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as at:
        at.sendall("\r\n".join([*lines, "", ""]).encode())
        assert at.recv(1_000).startswith(b"HTTP/1.1 413")


def test_from_the_longest_page_one_gets_to_the_login(ask):
    """What its URL cannot carry along is left behind; it is never too long itself."""
    for length in (3_000, 3_960, 5_000, 8_000):
        status, headers, _ = ask("/admin/tenants?search=" + "%2F" * (length // 3))
        assert status == 303
        assert line(headers["Location"]) < MAX_REQUEST_LINE_BYTES
        assert ask(headers["Location"])[0] == 200
        assert ("next=" in headers["Location"]) == (length < 4_000)
