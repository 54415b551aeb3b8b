"""No spelling, answer or reused connection leads a delivery to a blocked address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import IPv4Network, ip_network

import pycurl
import pytest

from ascwebhooks.domain.addresses import BLOCKED, AddressPolicy
from ascwebhooks.domain.deliveries import ErrorClass, Outcome
from ascwebhooks.outbound.guard import Guard
from ascwebhooks.outbound.loop import Lane, Request, Sender
from ascwebhooks.outbound.requests import Destination
from tests.integration.receivers import OK, Receiver, answer, keep_alive

IN_TIME_S = 10
LOOPBACK = AddressPolicy((ip_network("127.0.0.0/8"),))


class Changing:
    """A policy whose answer changes: everything but ``blocked`` may be reached."""

    def __init__(self) -> None:
        self.blocked: set[str] = set()

    def reason(self, address: object) -> str | None:
        return "changed" if str(address) in self.blocked else None


class Sent:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.result: Outcome | None = None
        self.finished = threading.Event()

    def prepare(self) -> Request:
        return self.request

    def done(self, outcome: Outcome) -> None:
        self.result = outcome
        self.finished.set()


def send(sender: Sender, host: str, port: int) -> Outcome:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/"
    timeout = timedelta(seconds=IN_TIME_S)
    to = Destination(url, host, port, [], timeout, "tenant")
    job = Sent(Request(to, [], b"{}"))
    sender.submit(Lane(1), [job])
    assert job.finished.wait(IN_TIME_S)
    assert job.result is not None
    return job.result


@contextmanager
def running(policy, addresses: list[str] | None = None) -> Iterator[Sender]:
    """A sender for which every name resolves to ``addresses``."""

    def getaddrinfo(host: str, port: int, **options: object):
        if addresses is None:
            return socket.getaddrinfo(host, port, **options)
        return [(socket.AF_INET, 1, 6, "", (each, port)) for each in addresses]

    sender = Sender(policy, getaddrinfo=getaddrinfo)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop(0)


def assert_only_connection_is_ours(receiver: Receiver, expected: int) -> None:
    """Connections are accepted in order, so ours is the last of all there were."""
    with socket.create_connection((receiver.host, receiver.port)) as ours:
        ours.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert ours.recv(100)
    assert receiver.connections == expected + 1


@pytest.fixture(scope="module")
def strict() -> Iterator[Sender]:
    """Nothing is allowed; every name resolves to a public address."""
    with running(AddressPolicy(), ["93.184.215.14"]) as sender:
        yield sender


@pytest.mark.parametrize("network", [network for network, _ in BLOCKED])
def test_every_block_is_refused_as_a_literal(strict, network):
    parsed = ip_network(network)
    for address in {parsed[0], parsed[-1]}:
        outcome = send(strict, str(address), 8080)

        assert (outcome.status_code, outcome.error) == (
            None,
            ErrorClass.BLOCKED_ADDRESS,
        ), address
        assert outcome.retry_after is None
        assert ip_network(network).version == 6 or str(address) in outcome.detail


@pytest.mark.parametrize(
    "network",
    [each for each, _ in BLOCKED if isinstance(ip_network(each), IPv4Network)],
)
def test_every_ipv4_block_is_refused_mapped_to_ipv6(strict, network):
    outcome = send(strict, f"::ffff:{ip_network(network)[0]}", 8080)

    assert outcome.error is ErrorClass.BLOCKED_ADDRESS


@pytest.mark.parametrize(
    "spelling",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "127.000.000.001",
        "%31%32%37.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "0:0:0:0:0:ffff:7f00:0001",
        "::127.0.0.1",
        "::ffff:0:7f00:1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "::1",
        "::",
        "0.0.0.0",
        "0",
    ],
)
def test_loopback_is_refused_in_every_spelling(strict, spelling):
    """The resolver is told a public address, so only the socket's tells."""
    with Receiver(keep_alive()) as receiver:
        outcome = send(strict, spelling, receiver.port)

        assert outcome.error is ErrorClass.BLOCKED_ADDRESS
        assert_only_connection_is_ours(receiver, 0)


def test_localhost_is_refused_by_what_it_resolves_to():
    with Receiver(keep_alive()) as receiver, running(AddressPolicy()) as sender:
        outcome = send(sender, "localhost", receiver.port)

        assert outcome.error is ErrorClass.BLOCKED_ADDRESS
        assert "loopback" in outcome.detail
        assert_only_connection_is_ours(receiver, 0)


@pytest.mark.parametrize("spelling", ["①②⑦.⓪.⓪.①", "127。0。0。1"])
def test_what_is_not_ascii_is_not_sent(strict, spelling):
    assert send(strict, spelling, 8080).error is ErrorClass.INVALID_REQUEST


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]],
    ids=["private first", "private last"],
)
def test_of_several_addresses_the_blocked_one_is_not_reached(addresses):
    only_one = AddressPolicy((ip_network("127.0.0.1/32"),))
    with (
        Receiver(answer(OK)) as allowed,
        Receiver(keep_alive(), host="127.0.0.2", port=allowed.port) as private,
        running(only_one, addresses) as sender,
    ):
        for _ in range(3):
            outcome = send(sender, "several.test", allowed.port)
            assert outcome.error is None
            assert outcome.address == f"127.0.0.1:{allowed.port}"
        assert_only_connection_is_ours(private, 0)


def test_the_guard_sees_each_address_that_the_resolver_let_through():
    """What was fine when it was resolved is asked about again, one by one."""

    class Later(Changing):
        questions = 0

        def reason(self, address: object) -> str | None:
            self.questions += 1
            # The first two are the resolver's.
            blocked = self.questions > 2 and address == "127.0.0.2"
            return "changed" if blocked else None

    policy = Later()
    with (
        Receiver(answer(OK)) as allowed,
        Receiver(keep_alive(), host="127.0.0.2", port=allowed.port) as private,
        running(policy, ["127.0.0.2", "127.0.0.1"]) as sender,
    ):
        outcome = send(sender, "several.test", allowed.port)

        assert outcome.error is None
        assert outcome.address == f"127.0.0.1:{allowed.port}"
        assert policy.questions == 5, "two, the veto, the connection, the request"
        assert_only_connection_is_ours(private, 0)


def test_a_name_with_blocked_addresses_alone_is_refused():
    with Receiver(keep_alive()) as receiver:
        with running(AddressPolicy(), ["127.0.0.1", "10.0.0.1"]) as sender:
            outcome = send(sender, "inside.test", receiver.port)

        assert outcome.error is ErrorClass.BLOCKED_ADDRESS
        assert "10.0.0.1" in outcome.detail
        assert_only_connection_is_ours(receiver, 0)


def test_a_new_connection_is_checked_after_the_name_was():
    """Rebinding: the name is remembered as good, its address is so no more."""
    policy = Changing()
    with Receiver(answer(OK)) as receiver, running(policy, ["127.0.0.1"]) as sender:
        assert send(sender, "moved.test", receiver.port).error is None
        policy.blocked.add("127.0.0.1")
        outcome = send(sender, "moved.test", receiver.port)

        assert outcome.error is ErrorClass.BLOCKED_ADDRESS
        assert outcome.detail == "127.0.0.1: changed"
        assert len(receiver.requests) == 1
        assert_only_connection_is_ours(receiver, 1)


def test_a_reused_connection_is_checked_again():
    policy = Changing()
    with Receiver(keep_alive()) as receiver, running(policy, ["127.0.0.1"]) as sender:
        assert send(sender, "kept.test", receiver.port).error is None
        assert send(sender, "kept.test", receiver.port).error is None
        assert receiver.connections == 1, "it is kept alive"
        policy.blocked.add("127.0.0.1")
        outcome = send(sender, "kept.test", receiver.port)

        assert (outcome.status_code, outcome.error) == (
            None,
            ErrorClass.BLOCKED_ADDRESS,
        )
        assert len(receiver.requests) == 2
        # The veto is of this request alone and does not stick to the handle.
        policy.blocked.clear()
        assert send(sender, "kept.test", receiver.port).error is None


def test_a_veto_does_not_stick_to_the_handle():
    policy = Changing()
    policy.blocked.add("127.0.0.1")
    with running(policy) as sender:
        with Receiver(keep_alive()) as receiver:
            outcome = send(sender, "127.0.0.1", receiver.port)
            assert outcome.error is ErrorClass.BLOCKED_ADDRESS
        policy.blocked.clear()

        # Refused by the machine this time, which looks the same to libcurl.
        outcome = send(sender, "127.0.0.1", receiver.port)
        assert outcome.error is ErrorClass.CONNECT_ERROR


def test_what_is_allowed_is_reached_although_it_is_blocked_by_default():
    with Receiver(keep_alive()) as receiver, running(LOOPBACK) as sender:
        assert send(sender, "127.0.0.1", receiver.port).error is None
        assert send(sender, "::ffff:127.0.0.1", receiver.port).error is None
        assert send(sender, "::1", receiver.port).error is ErrorClass.BLOCKED_ADDRESS


def test_a_policy_that_fails_lets_nothing_through():
    class Failing(Changing):
        def reason(self, address: object) -> str | None:
            raise RuntimeError("no table")

    with Receiver(keep_alive()) as receiver, running(Failing()) as sender:
        outcome = send(sender, "127.0.0.1", receiver.port)

        assert outcome.error is ErrorClass.INTERNAL
        assert "no table" in outcome.detail
        assert_only_connection_is_ours(receiver, 0)


def test_a_policy_that_fails_on_a_reused_connection_lets_nothing_through():
    class Failing(Changing):
        def reason(self, address: object) -> str | None:
            if self.blocked:
                raise RuntimeError("no table")
            return None

    policy = Failing()
    with Receiver(keep_alive()) as receiver, running(policy) as sender:
        assert send(sender, "127.0.0.1", receiver.port).error is None
        policy.blocked.add("anything")
        outcome = send(sender, "127.0.0.1", receiver.port)

        assert outcome.error is ErrorClass.INTERNAL
        assert len(receiver.requests) == 1


def test_only_ip_sockets_are_opened():
    guard = Guard(lambda _: None)
    address = pycurl.CurlSockAddr(socket.AF_UNIX, socket.SOCK_STREAM, 0, "/tmp/x")

    assert guard.open_socket(0, address) == pycurl.SOCKET_BAD
    assert guard.vetoed
