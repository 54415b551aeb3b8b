"""OTLP/HTTP in JSON: spans with plain attributes, as mappings read them.

Source:
    OpenTelemetry Protocol 1.8, "JSON Protobuf Encoding"; ``trace.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ascwebhooks.integrations.allowed import mapping, sequence

_MAX_DEPTH = 8
_HEX = frozenset("0123456789abcdefABCDEF")


def spans(body: Any) -> list[dict[str, Any]]:
    """Return the spans of an export request.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(body, dict) or not isinstance(
        body.get("resourceSpans", []), list
    ):
        raise ValueError("the body is not an ExportTraceServiceRequest.")
    return list(_spans(body))


def _spans(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in map(mapping, sequence(body.get("resourceSpans"))):
        about = attributes(mapping(resource.get("resource")).get("attributes"))
        for scope in map(mapping, sequence(resource.get("scopeSpans"))):
            for span in sequence(scope.get("spans")):
                yield _span(mapping(span), about)


def _span(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    began, ended = (
        _nanoseconds(span.get(name))
        for name in ("startTimeUnixNano", "endTimeUnixNano")
    )
    trace_id, span_id = _id(span.get("traceId"), 32), _id(span.get("spanId"), 16)
    found = {
        "traceId": trace_id,
        "spanId": span_id,
        "kind": span.get("kind"),
        "status": mapping(span.get("status")).get("code"),
        "startTimeUnixNano": began,
        "endTimeUnixNano": ended,
        "attributes": attributes(span.get("attributes")),
        "resource": resource,
    }
    if began is not None and ended is not None and ended >= began:
        found["duration_ms"] = round((ended - began) / 1e6, 3)
    if trace_id and span_id:
        found["traceparent"] = f"00-{trace_id}-{span_id}-01"
    return found


def attributes(given: Any) -> dict[str, Any]:
    """Return attributes by their keys, their values untagged."""
    return {
        each["key"]: value(each.get("value"))
        for each in map(mapping, sequence(given))
        if isinstance(each.get("key"), str)
    }


def value(given: Any, depth: int = 0) -> Any:
    """Return an ``AnyValue`` as a plain one; None for bytes and for what is none."""
    tagged = mapping(given)
    if depth > _MAX_DEPTH:
        return None
    if "intValue" in tagged:
        # 64 bits do not fit into JSON's numbers everywhere, so it is a text.
        return _integer(tagged["intValue"])
    for tag in ("stringValue", "boolValue", "doubleValue"):
        if tag in tagged:
            return tagged[tag]
    if "arrayValue" in tagged:
        items = sequence(mapping(tagged["arrayValue"]).get("values"))
        return [value(each, depth + 1) for each in items]
    return None


def _integer(given: Any) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int | str):
        return None
    try:
        return int(given)
    except ValueError:
        return None


def _nanoseconds(given: Any) -> int | None:
    found = _integer(given)
    return found if found is not None and 0 < found < 2**64 else None


def _id(given: Any, digits: int) -> str | None:
    """Return an id in hexadecimal, as OTLP has it in JSON; None for any other."""
    if not isinstance(given, str) or len(given) != digits or not _HEX.issuperset(given):
        return None
    return given.lower()
