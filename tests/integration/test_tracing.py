"""One trace from the gateway to the receiver, seen by a real OTLP receiver."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from ascwebhooks.embedded.receiver import Failure, Received, Receiver
from tests.waiting import wait_until

TRACE, GATEWAY = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{GATEWAY}-01", f"00-{TRACE}-{GATEWAY}-00"


class Collector:
    """What was posted to it: spans by their names."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    def spans(self, name: str) -> list:
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [each for each in scope.spans if each.name == name]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            made.bodies.append(self.rfile.read(length))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sent(make_pipeline, event):
    """Send one event through processes of their own; return what was received."""

    def sent(collector, *, failure=None, **attributes) -> list[Received]:
        received: list[Received] = []
        url = collector and collector.url
        accepting = make_pipeline(traces_endpoint=url)
        sending = make_pipeline(traces_endpoint=url)
        accepting.services.tenants.create("acme")
        with Receiver(on_delivery=received.append, failure=failure) as receiver:
            endpoint_id = accepting.endpoint(receiver.url)
            delivery_id = accepting.deliver_one(**attributes)
            sending.turns().take([endpoint_id])
            sending.after_attempts(delivery_id)
        accepting.services.close()
        sending.services.close()
        return received

    return sent


def said(span) -> dict[str, object]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value"))
        for each in span.attributes
    }


def test_the_gateways_trace_goes_on_to_the_receiver(collector, sent):
    """Gateway, accept and attempt are each the parent of the next."""
    (received,) = sent(collector, traceparent=SAMPLED)
    (accept,) = collector.spans("ascwebhooks accept")
    (attempt,) = collector.spans("ascwebhooks attempt")
    assert {accept.trace_id.hex(), attempt.trace_id.hex()} == {TRACE}
    assert accept.parent_span_id.hex() == GATEWAY
    assert attempt.parent_span_id == accept.span_id
    shown = f"00-{TRACE}-{attempt.span_id.hex()}-01"
    assert received.headers["traceparent"] == shown
    assert accept.start_time_unix_nano < accept.end_time_unix_nano
    assert said(attempt)["http.response.status_code"] == 200
    assert said(attempt)["ascwebhooks.event_id"] == received.headers["webhook-id"]


def test_an_event_without_a_trace_begins_one(collector, sent):
    (received,) = sent(collector)
    (accept,) = collector.spans("ascwebhooks accept")
    (attempt,) = collector.spans("ascwebhooks attempt")
    assert accept.parent_span_id == b""
    assert attempt.parent_span_id == accept.span_id
    trace_id, span_id = received.headers["traceparent"].split("-")[1:3]
    assert (trace_id, span_id) == (accept.trace_id.hex(), attempt.span_id.hex())


def test_what_the_gateway_does_not_sample_is_not_sent_and_stays_in_its_trace(
    collector, sent
):
    (received,) = sent(collector, traceparent=NOT_SAMPLED)
    assert collector.bodies == []
    version, trace_id, span_id, flags = received.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "00")
    assert span_id != GATEWAY


def test_a_failure_is_told_by_its_class_and_the_url_by_nobody(collector, sent):
    sent(collector, failure=Failure(503), traceparent=SAMPLED)
    (attempt,) = collector.spans("ascwebhooks attempt")
    assert attempt.status.code == attempt.status.STATUS_CODE_ERROR
    assert said(attempt)["error.type"] == "http_status"
    assert said(attempt)["http.response.status_code"] == 503
    assert not any(b"http://" in body for body in collector.bodies)


def test_a_malformed_trace_of_a_gateways_is_replaced(collector, sent):
    (received,) = sent(collector, traceparent="not a trace")
    assert len(received.headers["traceparent"]) == len(SAMPLED)
    wait_until(lambda: collector.spans("ascwebhooks accept"), 5, "it was sent")


def test_switched_off_the_receiver_gets_the_gateways_own(sent):
    (received,) = sent(None, traceparent=SAMPLED)
    assert received.headers["traceparent"] == SAMPLED


def test_switched_off_nothing_of_it_is_imported():
    """But for what redis-py imports by itself wherever OpenTelemetry is installed."""
    code = (
        "import sys, ascwebhooks.bootstrap;"
        "ours = ('opentelemetry.exporter', 'ascwebhooks.outbound.traces');"
        "sys.exit(any(name.startswith(ours) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
