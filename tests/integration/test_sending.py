"""The sender against receivers on loopback that behave well, badly or not at all."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ascwebhooks.domain.addresses import AddressPolicy
from ascwebhooks.domain.deliveries import ErrorClass, Outcome
from ascwebhooks.outbound.engine import Engine
from ascwebhooks.outbound.loop import Lane, Request, Sender
from ascwebhooks.outbound.requests import Destination
from ascwebhooks.outbound.resolver import (
    NEGATIVE_TTL_S,
    POSITIVE_TTL_S,
    Answer,
    Resolver,
)
from ascwebhooks.outbound.transfers import Attempt, Transfer
from tests.integration.receivers import (
    OK,
    Receiver,
    answer,
    endless,
    gated,
    keep_alive,
    silent,
)
from tests.waiting import wait_until

POLICY = AddressPolicy((ip_network("127.0.0.0/8"), ip_network("::1/128")))
IN_TIME_S = 10
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 2\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Sent:
    """A job that keeps its outcome."""

    def __init__(self, url: str, **options: object) -> None:
        host, _, port = url.split("/")[2].rpartition(":")
        to = Destination(
            url=url,
            host=str(options.get("host", host.strip("[]"))),
            port=int(port),
            headers=options.get("fixed", []),
            timeout=timedelta(seconds=options.get("timeout_s", IN_TIME_S)),
            pool=str(options.get("pool", "tenant")),
        )
        headers = options.get("headers", ["content-type: application/json"])
        self.request = Request(to, headers, options.get("body", b"{}"))
        self.outcomes: list[Outcome] = []
        self.finished = threading.Event()

    def prepare(self) -> Request:
        return self.request

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.finished.set()

    def outcome(self) -> Outcome:
        assert self.finished.wait(IN_TIME_S), "the job is not done"
        assert len(self.outcomes) == 1, "done is called once"
        return self.outcomes[0]


@contextmanager
def running(policy=POLICY, **options) -> Iterator[Sender]:
    sender = Sender(policy, **options)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop(0)


@pytest.fixture
def sender() -> Iterator[Sender]:
    with running() as sender:
        yield sender


def send(sender: Sender, url: str, **options: object) -> Outcome:
    job = Sent(url, **options)
    sender.submit(Lane(1), [job])
    return job.outcome()


def send_to(sender: Sender, script, **options: object) -> Outcome:
    with Receiver(script) as receiver:
        return send(sender, receiver.url(), **options)


def resolving(table: dict[str, list[str]]):
    """Return a getaddrinfo that knows ``table`` alone."""

    def getaddrinfo(host: str, port: int, **_: object):
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, 1, 6, "", (each, port)) for each in table[host]]

    return getaddrinfo


# A receiver that behaves


def test_a_whole_2xx_is_a_success(sender):
    with Receiver(answer(HEAD + b"X-A: b\r\nContent-Length: 2\r\n\r\nok")) as receiver:
        outcome = send(sender, receiver.url(), body=b'{"n":1}')

        assert (outcome.status_code, outcome.error, outcome.body) == (200, None, b"ok")
        assert outcome.headers == (("X-A", "b"), ("Content-Length", "2"))
        assert outcome.address == f"127.0.0.1:{receiver.port}"
        assert not outcome.body_truncated
        head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
        assert body == b'{"n":1}'
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post /hook http/1.1"
        assert b"accept-encoding: identity" in lines
        assert not any(line.startswith(b"expect") for line in lines)


def test_timings_follow_each_other(sender):
    timings = send_to(sender, answer(OK)).timings

    assert timings.tls_ms is None
    steps = [
        timings.dns_ms,
        timings.connect_ms,
        timings.first_byte_ms,
        timings.total_ms,
    ]
    assert None not in steps
    assert steps == sorted(steps)


def test_sends_over_ipv6(sender):
    with Receiver(answer(OK), host="::1") as receiver:
        outcome = send(sender, receiver.url())

        assert outcome.error is None
        assert outcome.address == f"[::1]:{receiver.port}"


def test_an_empty_header_is_sent_and_a_large_body_arrives_unasked(sender):
    body = b"x" * 2_000_000
    with Receiver(answer(OK)) as receiver:
        outcome = send(sender, receiver.url(), body=body, headers=["x-empty: "])

        assert outcome.error is None
        head, _, received = receiver.requests[0].partition(b"\r\n\r\n")
        assert b"x-empty:" in head.split(b"\r\n")
        assert b"expect" not in head.lower()
        assert received == body


def test_a_connection_is_used_again(sender):
    with Receiver(keep_alive()) as receiver:
        for _ in range(3):
            assert send(sender, receiver.url()).error is None

        assert (len(receiver.requests), receiver.connections) == (3, 1)


def test_as_many_connections_are_kept_as_were_busy(sender):
    gate = threading.Semaphore(0)
    lane = Lane(30, 30)
    with Receiver(gated(gate)) as receiver:
        for _ in range(3):
            jobs = [Sent(receiver.url()) for _ in range(30)]
            sender.submit(lane, jobs)
            wait_until(lambda: receiver.in_flight == 30, IN_TIME_S, "all are out")
            gate.release(30)
            assert all(job.outcome().error is None for job in jobs)

        assert receiver.connections == 30


def test_a_kept_connection_that_is_reset_costs_no_time(sender):
    """A hang-up is reported again and again, until somebody takes note of it."""
    gate = threading.Event()

    def one_answer_then_a_reset(receiver, connection):
        assert receiver.read_request(connection)
        connection.sendall(OK)
        assert gate.wait(IN_TIME_S)
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with Receiver(one_answer_then_a_reset) as receiver:
        assert send(sender, receiver.url()).error is None
        asleep = sender._engine._asleep
        kept = len(asleep)
        clock = time.pthread_getcpuclockid(sender._thread.ident)

        gate.set()
        wait_until(lambda: len(asleep) < kept, IN_TIME_S, "it was noticed")
        before = time.clock_gettime(clock)
        time.sleep(0.5)

        assert time.clock_gettime(clock) - before < 0.1
        assert send(sender, receiver.url()).error is None
        assert receiver.connections == 2


def test_a_proxy_in_the_environment_is_not_used(sender, monkeypatch):
    with Receiver(answer(b"HTTP/1.1 500 Proxy\r\n\r\n")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        monkeypatch.setenv("all_proxy", proxy.url(""))

        assert send_to(sender, answer(OK)).error is None
        assert proxy.connections == 0


def test_interim_answers_leave_no_trace(sender):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    outcome = send_to(sender, answer(b"HTTP/1.1 100 Continue\r\n\r\n" + early + OK))

    assert (outcome.status_code, outcome.error) == (200, None)
    assert outcome.headers == (("Content-Length", "2"),)


def test_trailers_are_no_headers(sender):
    outcome = send_to(sender, answer(CHUNKED + b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"))

    assert (outcome.error, outcome.body) == (None, b"ok")
    assert outcome.headers == (("Transfer-Encoding", "chunked"),)


def test_an_answer_that_ends_with_the_connection_is_whole(sender):
    outcome = send_to(sender, answer(HEAD + b"\r\n", b"until the end"))

    assert (outcome.error, outcome.body) == (None, b"until the end")


def test_headers_are_latin_1_folded_and_bounded(sender):
    many = b"".join(b"X-%d: \xe9\r\n" % each for each in range(300))
    outcome = send_to(sender, answer(HEAD + b"X-F: a\r\n b\r\n" + many + b"\r\n"))

    assert outcome.error is None
    assert dict(outcome.headers)["X-F"].split() == ["a", "b"]
    assert dict(outcome.headers)["X-1"] == "é"
    assert len(outcome.headers) <= 100


# A receiver that refuses


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (201, None),
        (204, None),
        (301, ErrorClass.REDIRECT),
        (304, ErrorClass.REDIRECT),
        (410, ErrorClass.HTTP_STATUS),
        (500, ErrorClass.HTTP_STATUS),
    ],
)
def test_only_2xx_succeeds(sender, status, error):
    outcome = send_to(sender, answer(b"HTTP/1.1 %d X\r\n\r\n" % status))

    assert (outcome.status_code, outcome.error) == (status, error)


def test_a_redirect_is_not_followed(sender):
    with Receiver(keep_alive()) as elsewhere:
        location = b"Location: " + elsewhere.url().encode() + b"\r\n"
        redirect = b"HTTP/1.1 302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n"
        outcome = send_to(sender, answer(redirect))

        assert (outcome.status_code, outcome.error) == (302, ErrorClass.REDIRECT)
        assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [410, 429, 503, 302])
def test_retry_after_in_seconds(sender, status):
    outcome = send_to(
        sender, answer(b"HTTP/1.1 %d X\r\nRetry-After: 120\r\n\r\n" % status)
    )

    assert outcome.retry_after == timedelta(seconds=120)


def test_retry_after_as_a_date(sender):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    head = f"HTTP/1.1 429 X\r\nretry-after: {date}\r\n\r\n".encode()
    outcome = send_to(sender, answer(head))

    assert timedelta(minutes=59) < outcome.retry_after <= timedelta(hours=1)


def test_a_success_asks_for_no_retry(sender):
    assert send_to(sender, answer(HEAD + b"Retry-After: 9\r\n\r\n")).retry_after is None


# A receiver that breaks off


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((HEAD + b"Content-Length: 10\r\n\r\nhalf",), id="short body"),
        pytest.param((HEAD + b"Content-Le",), id="half the headers"),
        pytest.param((HEAD + b"X-A: b\r\n",), id="no end of headers"),
        pytest.param((CHUNKED + b"zz\r\n",), id="bad chunk"),
        pytest.param((CHUNKED + b"5\r\nab",), id="half a chunk"),
        pytest.param((CHUNKED + b"2\r\nok\r\n",), id="no last chunk"),
    ],
)
def test_a_200_that_is_not_whole_is_a_failure(sender, parts):
    outcome = send_to(sender, answer(*parts))

    assert (outcome.status_code, outcome.error) == (200, ErrorClass.BROKEN_RESPONSE)
    assert outcome.detail


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello, this is not HTTP\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="interim alone"),
    ],
)
def test_no_answer_at_all_has_no_status(sender, sent):
    outcome = send_to(sender, answer(sent))

    assert (outcome.status_code, outcome.error) == (None, ErrorClass.BROKEN_RESPONSE)


def test_a_broken_503_still_says_when_to_come_back(sender):
    head = b"HTTP/1.1 503 X\r\nRetry-After: 60\r\nContent-Length: 10\r\n\r\nhalf"
    outcome = send_to(sender, answer(head))

    assert (outcome.status_code, outcome.error) == (503, ErrorClass.BROKEN_RESPONSE)
    assert outcome.retry_after == timedelta(seconds=60)


# A receiver that attacks


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(silent, id="never answers"),
        pytest.param(endless(HEAD, b"X", 0.1), id="headers dripped"),
        pytest.param(
            endless(HEAD + b"Content-Length: 999\r\n\r\n", b"x", 0.1), id="body dripped"
        ),
        pytest.param(
            endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), id="100s dripped"
        ),
    ],
)
def test_the_deadline_holds(sender, script):
    outcome = send_to(sender, script, timeout_s=1.5)

    assert outcome.error is ErrorClass.TIMEOUT
    assert 1.45 < outcome.timings.total_ms / 1000 < 3, "once, not once for each part"


def test_a_stalled_handshake_is_a_timeout(sender):
    """The server accepts and never speaks TLS."""
    with Receiver(lambda receiver, _: receiver.closing.wait(30) and None) as receiver:
        url = receiver.url().replace("http:", "https:")
        outcome = send(sender, url, timeout_s=0.5)

    assert outcome.error is ErrorClass.TIMEOUT
    assert outcome.timings.connect_ms is not None


@contextmanager
def deaf():
    """A port with a full backlog: the third way of the handshake never comes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        held = []
        for _ in range(3):
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for each in held:
                each.close()


def test_a_connection_that_is_never_accepted_times_out():
    with deaf() as port, running() as sender:
        outcome = send(sender, f"http://127.0.0.1:{port}/", timeout_s=0.5)

    assert outcome.error is ErrorClass.CONNECT_TIMEOUT
    assert (outcome.status_code, outcome.timings.connect_ms) == (None, None)


def test_connecting_may_take_all_the_time_that_an_attempt_has():
    """An endpoint's own timeout counts: nothing else cuts a connection off before."""
    with deaf() as port, running() as sender:
        job = Sent(f"http://127.0.0.1:{port}/", timeout_s=10.5)
        sender.submit(Lane(1), [job])
        assert job.finished.wait(15)
        outcome = job.outcome()

    assert outcome.error is ErrorClass.CONNECT_TIMEOUT
    assert 10_400 < outcome.timings.total_ms < 12_000


def test_endless_100_continue_ends(sender):
    outcome = send_to(sender, endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"))

    assert (outcome.status_code, outcome.error) == (None, ErrorClass.HEADERS_TOO_LARGE)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(endless(HEAD, b"X-A: " + b"a" * 1000 + b"\r\n"), id="many"),
        pytest.param(endless(HEAD, b"X:\r\n"), id="short ones"),
        pytest.param(endless(HEAD + b"X-A: ", b"a" * 65536), id="one line"),
        pytest.param(
            answer(HEAD + b"X-A: aaaa\r\n" * 500_000 + b"\r\n"), id="5 MB and an end"
        ),
    ],
)
def test_too_many_headers_are_refused(sender, script):
    outcome = send_to(sender, script)

    assert outcome.error is ErrorClass.HEADERS_TOO_LARGE
    assert sum(len(name) + len(value) for name, value in outcome.headers) <= 16_384


def test_an_endless_body_is_cut_and_counts_as_whole(sender):
    outcome = send_to(sender, endless(HEAD + b"\r\n", b"x" * 65536))

    assert (outcome.status_code, outcome.error) == (200, None)
    assert outcome.body == b"x" * 16_384
    assert outcome.body_truncated


def test_a_cut_500_is_still_a_500(sender):
    outcome = send_to(sender, endless(b"HTTP/1.1 500 X\r\n\r\n", b"x" * 65536))

    assert (outcome.status_code, outcome.error) == (500, ErrorClass.HTTP_STATUS)


@pytest.mark.parametrize(
    ("size", "cut"), [(16_384, False), (16_385, True), (65_536, True)]
)
def test_what_is_kept_of_a_body(sender, size, cut):
    sized = HEAD + b"Content-Length: %d\r\n\r\n" % size
    outcome = send_to(sender, answer(sized + b"x" * size))

    assert outcome.error is None
    assert len(outcome.body) == min(size, 16_384)
    assert outcome.body_truncated is cut


def test_a_compressed_body_is_not_unpacked(sender):
    packed = gzip.compress(b"\0" * 10_000_000)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    outcome = send_to(sender, answer(head + packed))

    assert outcome.error is None
    assert outcome.body == packed[:16_384]


def test_endless_chunk_extensions_are_broken_off(sender):
    """They pass every limit of libcurl and would eat a core until the deadline."""
    started = time.process_time()
    outcome = send_to(sender, endless(CHUNKED + b"5;", b"a=b;" * 16_384))

    assert (outcome.status_code, outcome.error) == (200, ErrorClass.BROKEN_RESPONSE)
    assert time.process_time() - started < IN_TIME_S / 2
    # The sender is none the worse for it.
    assert send_to(sender, answer(OK)).error is None


def test_nothing_listens(sender):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    outcome = send(sender, f"http://127.0.0.1:{port}/")

    assert (outcome.status_code, outcome.error) == (None, ErrorClass.CONNECT_ERROR)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody but a test trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver.test")])
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("receiver.test")]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(pem)
    )
    return path


@pytest.fixture
def tls_receiver(certificate) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(keep_alive(), tls=context) as receiver:
        yield receiver


def test_an_untrusted_certificate_is_refused(sender, tls_receiver):
    outcome = send(sender, tls_receiver.url())

    assert (outcome.status_code, outcome.error) == (None, ErrorClass.TLS_ERROR)
    assert tls_receiver.requests == []


def test_a_custom_authority_is_trusted(tls_receiver, certificate):
    with running(ca_file=str(certificate)) as sender:
        outcome = send(sender, tls_receiver.url())

    assert outcome.error is None
    assert outcome.timings.connect_ms <= outcome.timings.tls_ms


def test_a_certificate_for_another_name_is_refused(tls_receiver, certificate):
    names = resolving({"other.test": ["127.0.0.1"]})
    with running(ca_file=str(certificate), getaddrinfo=names) as sender:
        outcome = send(sender, tls_receiver.url(host="other.test"))

    assert outcome.error is ErrorClass.TLS_ERROR


# Requests that are wrong


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:{}/", ["a: b\r\nx-smuggled: 1"]),
        ("http://127.0.0.1:{}/", ["a: b\nx-smuggled: 1"]),
        ("http://127.0.0.1:{}/", ["a: b\n"]),
        ("http://127.0.0.1:{}/", ["a: é"]),
        ("http://127.0.0.1:{}/", ["a b: c"]),
        ("http://127.0.0.1:{}/", ["no colon"]),
        ("http://127.0.0.1:{}/a\r\nx: y", []),
        ("http://127.0.0.1:{}/a b", []),
        ("file://127.0.0.1:{}/etc/passwd", []),
        ("gopher://127.0.0.1:{}/", []),
    ],
)
@pytest.mark.parametrize("whose", ["headers", "fixed"])
def test_a_request_that_could_be_split_is_not_sent(sender, url, headers, whose):
    with Receiver(keep_alive()) as receiver:
        lines = {whose: headers}
        outcome = send(sender, url.format(receiver.port), host="x", **lines)

        assert outcome.error is ErrorClass.INVALID_REQUEST
        assert receiver.connections == 0


def test_a_job_that_raises_hurts_no_other(sender):
    class Broken(Sent):
        def prepare(self) -> Request:
            raise RuntimeError("no key")

    class Careless(Sent):
        def done(self, outcome: Outcome) -> None:
            super().done(outcome)
            raise RuntimeError("no room")

    with Receiver(keep_alive()) as receiver:
        url = receiver.url()
        untyped = Sent(url, headers=[1])
        jobs = [Sent(url), Broken(url), Careless(url), untyped, Sent(url)]
        sender.submit(Lane(1), jobs)

        assert [job.outcome().error for job in jobs] == [
            None,
            ErrorClass.INTERNAL,
            None,
            ErrorClass.INTERNAL,
            None,
        ]


# Lanes


def test_a_lane_starts_small_and_grows_with_each_answer(sender):
    gate = threading.Semaphore(0)
    lane = Lane(6)
    with Receiver(gated(gate)) as receiver:
        jobs = [Sent(receiver.url()) for _ in range(30)]
        sender.submit(lane, jobs)
        wait_until(lambda: receiver.in_flight == 4, IN_TIME_S, "four are out")
        # Another lane's answer: the loop has gone round and started no fifth.
        assert send_to(sender, answer(OK)).error is None
        assert (receiver.in_flight, lane.active, lane.queued) == (4, 4, 26)

        gate.release()
        wait_until(lambda: receiver.in_flight == 5, IN_TIME_S, "five are out")
        assert (lane.window, lane.active) == (5, 5)
        gate.release(29)
        assert all(job.outcome().error is None for job in jobs)

        assert (lane.window, lane.active, lane.queued) == (6, 0, 0)
        assert receiver.most_in_flight <= 6, "never more than the cap"


def test_the_window_is_halved_by_timeouts_and_no_lower_than_one(sender):
    lane = Lane(8, start_window=8)
    with Receiver(silent) as receiver:
        jobs = [Sent(receiver.url(), timeout_s=0.3) for _ in range(10)]
        sender.submit(lane, jobs)
        for job in jobs:
            assert job.outcome().error is ErrorClass.TIMEOUT

        assert receiver.most_in_flight == 8 or receiver.connections == 10
    assert lane.window == 1


def test_a_500_is_an_answer_and_widens(sender):
    lane = Lane(20, start_window=1)
    with Receiver(
        keep_alive(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    ) as receiver:
        jobs = [Sent(receiver.url()) for _ in range(5)]
        sender.submit(lane, jobs)
        assert {job.outcome().status_code for job in jobs} == {500}

    assert lane.window == 6


def test_a_window_forgets_nothing_beyond_its_cap():
    """However many answers came, one timeout halves what is really used."""
    lane = Lane(6)
    lane.put([Sent("http://127.0.0.1:80/") for _ in range(200)])
    for outcome in [Outcome(200)] * 100 + [Outcome(None, ErrorClass.TIMEOUT)]:
        assert lane.take(0.0)
        lane.finished(outcome)
    assert lane.window == 3

    lane.cap = 2
    while lane.take(0.0):
        pass
    assert lane.active == 2, "a lowered cap counts at once"


def test_lanes_take_turns_when_transfers_are_few():
    order: list[str] = []
    prepared: list[int] = []

    class Noted(Sent):
        def prepare(self) -> Request:
            prepared.append(len(prepared) + 1 - len(order))
            return super().prepare()

        def done(self, outcome: Outcome) -> None:
            order.append(self.request.to.url[-1])
            super().done(outcome)

    with running(max_transfers=2) as sender, Receiver(keep_alive()) as receiver:
        long = [Noted(receiver.url("/a")) for _ in range(300)]
        short = [Noted(receiver.url("/b")) for _ in range(3)]
        sender.submit(Lane(50, 50), long)
        sender.submit(Lane(50, 50), short)
        for job in long + short:
            assert job.outcome().error is None

        assert receiver.most_in_flight <= 2, "max_transfers binds"
        assert max(prepared) <= 2, "a job is prepared when it can go out"
        last = len(order) - order[::-1].index("b")
        assert last < 200, "the short lane did not wait for the long one"


def test_hanging_lanes_leave_room_for_others():
    """Ten lanes of a hundred requests each hold no more than their windows."""
    with running(max_transfers=50) as sender, Receiver(silent) as hanging:
        lanes = [Lane(100) for _ in range(10)]
        for lane in lanes:
            sender.submit(lane, [Sent(hanging.url(), timeout_s=30)] * 100)
        wait_until(lambda: hanging.in_flight == 40, IN_TIME_S, "forty are out")

        assert send_to(sender, answer(OK)).error is None
        assert sum(lane.active for lane in lanes) == 40


def test_drain_returns_what_was_not_started(sender):
    gate = threading.Semaphore(0)
    lane = Lane(1)
    with Receiver(gated(gate)) as receiver:
        jobs = [Sent(receiver.url()) for _ in range(5)]
        sender.submit(lane, jobs)
        wait_until(lambda: receiver.in_flight == 1, IN_TIME_S, "the first is out")

        assert sender.drain(lane) == jobs[1:]
        assert (lane.queued, lane.active) == (0, 1)
        gate.release(5)
        assert jobs[0].outcome().error is None
        # The lane is still good, and none of the others came out of it.
        again = Sent(receiver.url())
        sender.submit(lane, [again])
        assert again.outcome().error is None
        assert len(receiver.requests) == 2
    assert not any(job.finished.is_set() for job in jobs[1:])


def test_what_was_submitted_before_the_start_is_sent():
    sender = Sender(POLICY)
    with Receiver(keep_alive()) as receiver:
        job = Sent(receiver.url())
        sender.submit(Lane(1), [job])
        sender.start()
        assert job.outcome().error is None
        sender.stop(1)


def test_stop_waits_for_what_is_out_and_starts_nothing_more():
    gate = threading.Semaphore(0)
    lane = Lane(1)
    with Receiver(gated(gate)) as receiver, running() as sender:
        jobs = [Sent(receiver.url()) for _ in range(3)]
        sender.submit(lane, jobs)
        wait_until(lambda: receiver.in_flight == 1, IN_TIME_S, "the first is out")
        stopping = threading.Thread(target=sender.stop, args=(IN_TIME_S,))
        stopping.start()
        gate.release(3)
        stopping.join(IN_TIME_S)

        assert not stopping.is_alive()
        assert jobs[0].outcome().error is None
        assert sender.drain(lane) == jobs[1:]
        assert len(receiver.requests) == 1


def test_stop_aborts_what_does_not_end():
    asked, names = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object):
        asked.set()
        names.wait(IN_TIME_S)
        return []

    with Receiver(silent) as receiver, running(getaddrinfo=getaddrinfo) as sender:
        out, unresolved = Sent(receiver.url()), Sent("http://slow.test:80/")
        queued = Sent(receiver.url())
        lane = Lane(1)
        sender.submit(lane, [out, queued])
        sender.submit(Lane(1), [unresolved])
        wait_until(lambda: receiver.in_flight == 1, IN_TIME_S, "one is out")
        assert asked.wait(IN_TIME_S), "the other is being resolved"
        started = time.monotonic()
        sender.stop(0.2)

        assert time.monotonic() - started < IN_TIME_S / 2, "it waits for neither"
        assert out.outcome().error is ErrorClass.INTERNAL
        assert unresolved.outcome().error is ErrorClass.INTERNAL
        assert sender.drain(lane) == [queued]
        names.set()
        # Submitting is harmless: the job stays where drain finds it.
        sender.submit(lane, [queued])
        assert sender.drain(lane) == [queued]


def test_stop_without_start_is_harmless():
    sender = Sender(POLICY)
    sender.stop(1)
    sender.stop(1)
    lane = Lane(1)
    job = Sent("http://127.0.0.1:80/")
    sender.submit(lane, [job])
    assert sender.drain(lane) == [job]


# Names


def test_a_name_is_resolved_once_and_remembered():
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object):
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

    with running(getaddrinfo=getaddrinfo) as sender, Receiver(keep_alive()) as receiver:
        url = receiver.url(host="receiver.test")
        outcomes = [send(sender, url) for _ in range(3)]

        assert [each.error for each in outcomes] == [None] * 3
        assert outcomes[0].address == f"127.0.0.1:{receiver.port}"
        assert b"Host: receiver.test" in receiver.requests[0]
    assert asked == ["receiver.test"]


def test_an_unknown_name_is_a_dns_error():
    with running(getaddrinfo=resolving({})) as sender:
        outcome = send(sender, "http://nowhere.test:80/")

    assert (outcome.status_code, outcome.error) == (None, ErrorClass.DNS_ERROR)
    assert "not known" in outcome.detail


def test_the_next_address_is_tried_when_one_refuses():
    with (
        Receiver(keep_alive()) as receiver,
        running(
            getaddrinfo=resolving({"two.test": ["127.0.0.2", "127.0.0.1"]})
        ) as sender,
    ):
        outcome = send(sender, receiver.url(host="two.test"))

        assert outcome.error is None
        assert outcome.address == f"127.0.0.1:{receiver.port}"


def test_slow_names_cost_their_tenant_alone_and_count_for_the_deadline():
    asked: list[str] = []
    release = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object):
        if host.startswith("slow"):
            asked.append(host)
            release.wait(IN_TIME_S)
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

    with running(getaddrinfo=getaddrinfo) as sender, Receiver(keep_alive()) as receiver:
        slow = [
            Sent(receiver.url(host=f"slow{each}.test"), pool="a", timeout_s=0.8)
            for each in range(100)
        ]
        lanes = [Lane(1) for _ in slow]
        for lane, job in zip(lanes, slow, strict=True):
            sender.submit(lane, [job])
        wait_until(lambda: len(asked) == 8, IN_TIME_S, "the tenant's share is taken")

        fast = send(sender, receiver.url(host="fast.test"), pool="b", timeout_s=0.5)
        assert fast.error is None
        assert len(asked) == 8, "no more than its share"
        for job in slow:
            outcome = job.outcome()
            assert outcome.error is ErrorClass.DNS_ERROR
            assert outcome.timings.total_ms < 1500
        release.set()
        assert len(receiver.requests) == 1
        # Those that nobody waits for any more are not asked for.
        assert send(sender, receiver.url(host="next.test"), pool="a").error is None
        assert len(asked) == 8


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def ask(resolver: Resolver, bell: threading.Event, host: str) -> Answer:
    answer = resolver.lookup(host, 443, "tenant", "waiter")
    if answer is not None:
        return answer
    assert bell.wait(IN_TIME_S)
    bell.clear()
    [(_, answer)] = resolver.finished()
    return answer


def test_answers_are_forgotten_in_time():
    clock, bell, table = Clock(), threading.Event(), {"a.test": ["127.0.0.1"]}
    calls: list[str] = []

    def getaddrinfo(host: str, port: int, **options: object):
        calls.append(host)
        return resolving(table)(host, port, **options)

    resolver: Resolver[str] = Resolver(
        POLICY, bell.set, threads=2, getaddrinfo=getaddrinfo, clock=clock
    )
    assert ask(resolver, bell, "a.test").pin == "+a.test:443:127.0.0.1"
    assert ask(resolver, bell, "b.test").error is ErrorClass.DNS_ERROR
    moved = ["127.0.0.2", "10.0.0.1", "127.0.0.3", "127.0.0.2"]
    table.update({"a.test": moved, "b.test": ["::1"]})

    clock.now_s += NEGATIVE_TTL_S - 0.1
    assert ask(resolver, bell, "b.test").error is ErrorClass.DNS_ERROR
    clock.now_s += 0.2
    assert ask(resolver, bell, "b.test").pin == "+b.test:443:[::1]"
    clock.now_s += POSITIVE_TTL_S - NEGATIVE_TTL_S - 0.2
    assert ask(resolver, bell, "a.test").pin == "+a.test:443:127.0.0.1"
    clock.now_s += 0.2
    assert ask(resolver, bell, "a.test").pin == "+a.test:443:127.0.0.2,127.0.0.3"
    # Each once, and without the one that is blocked.
    assert calls == ["a.test", "b.test", "b.test", "a.test"]
    resolver.close()


def test_a_name_that_moved_is_followed_by_used_handles():
    """libcurl's own cache must not hold an address longer than the resolver."""
    engine = Engine(2)
    transfer = Transfer(POLICY, "/dev/null")

    def go(host: str, port: int, pin: str | None) -> str | None:
        job = Sent(f"http://{host}:{port}/")
        now = time.monotonic()
        transfer.begin(Attempt(job, Lane(1), job.request, [], now, now + 5), pin, now)
        engine.add(transfer)
        finished = []
        while not finished:
            finished = engine.turn(1)
        outcome = transfer.outcome(*finished[0][1:])
        transfer.release()
        assert outcome.error is None, outcome
        return outcome.address

    with (
        Receiver(answer(OK)) as one,
        Receiver(answer(OK), host="127.0.0.2", port=one.port),
    ):
        port = one.port
        assert go("a.test", port, f"+a.test:{port}:127.0.0.1") == f"127.0.0.1:{port}"
        assert go("127.0.0.2", port, None) == f"127.0.0.2:{port}"
        assert go("b.test", port, f"+b.test:{port}:127.0.0.1") == f"127.0.0.1:{port}"
        assert go("a.test", port, f"+a.test:{port}:127.0.0.2") == f"127.0.0.2:{port}"
        assert go("a.test", port, f"+a.test:{port}:127.0.0.1") == f"127.0.0.1:{port}"
    transfer.curl.close()
    engine.close()


def test_a_handle_that_moved_on_takes_no_other_ones_address_with_it():
    """libcurl's cache is all handles': what one took out, another found missing."""
    closing = HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    gate = threading.Semaphore(0)
    table = {"a.test": ["127.0.0.1"], "b.test": ["127.0.0.1"]}

    def together(sender, *hosts):
        jobs = [Sent(f"http://{each}:{port}/") for each in hosts]
        for job in jobs:
            sender.submit(Lane(1), [job])
        gate.release(len(jobs))
        return [job.outcome() for job in jobs]

    with (
        Receiver(gated_answer(gate, closing)) as receiver,
        running(getaddrinfo=resolving(table)) as sender,
    ):
        port = receiver.port
        outcomes = together(sender, "a.test", "a.test")
        outcomes += together(sender, "b.test")
        outcomes += together(sender, "b.test", "a.test")
        outcomes += together(sender, "a.test", "b.test")

    assert [(each.status_code, each.error) for each in outcomes] == [(200, None)] * 7


def gated_answer(gate, response):
    """Answer as the gate lets through, so that several are out at once."""

    def script(receiver, connection):
        receiver.read_request(connection)
        gate.acquire(timeout=IN_TIME_S)
        connection.sendall(response)

    return script
