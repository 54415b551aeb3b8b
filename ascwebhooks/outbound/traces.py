"""Spans by OpenTelemetry, sent by OTLP over HTTP (the extra ``otel``).

Imported only where a process is to trace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ascwebhooks import __version__
from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import Outcome
from ascwebhooks.domain.events import Event
from ascwebhooks.domain.ids import Kind

_ACCEPT = "ascwebhooks accept"
_ATTEMPT = "ascwebhooks attempt"
_LOW_64 = (1 << 64) - 1
_propagator = TraceContextTextMapPropagator()


class _Ids(RandomIdGenerator):
    """Random ids, but for those that the calling thread has just asked for."""

    def __init__(self) -> None:
        self._wanted = threading.local()

    def want(self, trace_id: int, span_id: int) -> None:
        """Have the next span of this thread get these."""
        self._wanted.pair = (trace_id, span_id)

    def generate_trace_id(self) -> int:
        pair: tuple[int, int] | None = getattr(self._wanted, "pair", None)
        return super().generate_trace_id() if pair is None else pair[0]

    def generate_span_id(self) -> int:
        pair: tuple[int, int] | None = getattr(self._wanted, "pair", None)
        self._wanted.pair = None
        return super().generate_span_id() if pair is None else pair[1]


class Traces:
    """Makes spans and sends them, from a thread of its own (``services.tracing``)."""

    def __init__(self, endpoint: str) -> None:
        """Take the URL that spans are posted to; ``OTEL_…`` says the rest."""
        self._ids = _Ids()
        own = {"service.name": "ascwebhooks", "service.version": __version__}
        self._provider = TracerProvider(
            resource=Resource(own).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
        )
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ascwebhooks", __version__)

    def accepted(
        self, events: Sequence[tuple[UUID, Event]], *, via: str, began_ns: int
    ) -> None:
        """Make a span for each event of a batch that was just committed."""
        for event_id, event in events:
            accept = self._accept(event_id, event.traceparent)
            self._ids.want(accept.trace_id, accept.span_id)
            self._tracer.start_span(
                _ACCEPT,
                context=_gateway(event.traceparent),
                kind=SpanKind.CONSUMER,
                start_time=began_ns,
                attributes={
                    "ascwebhooks.event_id": ids.show(Kind.EVENT, event_id),
                    "ascwebhooks.event_type": event.type,
                    "ascwebhooks.tenant_id": event.tenant_id,
                    "ascwebhooks.via": via,
                },
            ).end()

    def attempt(
        self, event_id: UUID, traceparent: str | None, about: Mapping[str, str | int]
    ) -> _Attempt:
        """Begin the span of an attempt."""
        parent = NonRecordingSpan(self._accept(event_id, traceparent))
        span = self._tracer.start_span(
            _ATTEMPT,
            context=set_span_in_context(parent, Context()),
            kind=SpanKind.CLIENT,
            start_time=time.time_ns(),
            attributes={f"ascwebhooks.{name}": each for name, each in about.items()},
        )
        return _Attempt(span)

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _accept(self, event_id: UUID, traceparent: str | None) -> SpanContext:
        """Return the context of the span of accepting, wherever that was made."""
        gateway = _gateway(traceparent)
        before = get_current_span(gateway).get_span_context()
        trace_id = before.trace_id if before.is_valid else event_id.int
        # The samplers decide by the trace id and the parent alone: the same again.
        decision = self._provider.sampler.should_sample(
            gateway, trace_id, _ACCEPT, SpanKind.CONSUMER
        ).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return SpanContext(
            trace_id, event_id.int & _LOW_64, is_remote=True, trace_flags=flags
        )


class _Attempt:
    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}"
            f"-{context.trace_flags:02x}"
        )

    def end(self, outcome: Outcome) -> None:
        """End it with what came of the attempt; never what was sent or answered."""
        if outcome.status_code is not None:
            self._span.set_attribute("http.response.status_code", outcome.status_code)
        if outcome.error is not None:
            self._span.set_attribute("error.type", str(outcome.error))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _gateway(traceparent: str | None) -> Context:
    """Return the gateway's context; an empty one if it gave none that is valid."""
    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return _propagator.extract(carrier, Context())
