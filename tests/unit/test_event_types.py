"""The catalogue: its schemas are schemas, and what was recorded keeps to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files

import jsonschema
import pytest

from ascwebhooks.domain import event_types
from ascwebhooks.domain.derived import derived
from ascwebhooks.domain.event_fields import FIELDS
from ascwebhooks.domain.event_types import CATALOGUE, DIALECT, Sender
from ascwebhooks.domain.signals import is_signal, read
from ascwebhooks.errors import NotFound

#: Gateways may tell more of these than this service does.
SENT_BY_BOTH = {
    "model.access_denied",
    "rate_limit.exceeded",
    "residency.violation_blocked",
    "route.fallback_exhausted",
    "route.fallback_triggered",
}
AT = datetime(2026, 11, 23, 7, 40, tzinfo=UTC)
#: Fields of a signal, and where events have them.
WIRED = {
    "request_id": "request_id",
    "trace_id": "trace_id",
    "route": "route",
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "deployment_id": "deployment_id",
    "region": "region",
    "duration_ms": "duration_ms",
    "http_status": "http_status",
    "error_type": "error.type",
    "fallback_from": "fallback_from",
    "policy_id": "policy_id",
    "severity": "severity",
    "action": "action",
}
SAMPLES = files("ascwebhooks.embedded") / "sample_events.jsonl"


def checked(found):
    return jsonschema.Draft202012Validator(
        found.schema,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


@pytest.mark.parametrize("found", CATALOGUE.values(), ids=CATALOGUE)
def test_a_schema_is_one_and_its_example_keeps_to_it(found):
    jsonschema.Draft202012Validator.check_schema(found.schema)
    assert found.schema["$schema"] == DIALECT
    checked(found).validate(found.example)
    assert set(found.example) <= set(found.schema["properties"])
    if found.sender is Sender.SERVICE and found.type not in SENT_BY_BOTH:
        assert set(found.example) == set(found.schema["properties"])
    assert found.description.endswith(".")


SIGNALS = [each for each in CATALOGUE.values() if is_signal(each.type)]


@pytest.mark.parametrize("found", SIGNALS, ids=lambda each: each.type)
def test_an_example_of_a_signal_is_read_whole_by_what_reads_signals(found):
    event = derived(
        found.type, id="1", tenant_id="acme", at=AT, subject="a", data=found.example
    )
    signal = read(event, AT)
    said = {name: found.example.get(wire) for name, wire in WIRED.items()}
    known = {name: value for name, value in said.items() if value is not None}
    assert {name: getattr(signal, name) for name in known} == known
    if "cost" in found.example:
        assert signal.cost == Decimal(found.example["cost"]["amount"])
        assert signal.cost_problem is None


def test_an_answered_request_has_no_error():
    """Examples are of events as they come, not of fields side by side."""
    example = CATALOGUE["request.completed"].example
    assert not {"http_status", "error.type", "normalized_error"} & example.keys()
    assert CATALOGUE["request.failed"].example["http_status"] == 429
    assert CATALOGUE["policy.content_redacted"].example["action"] == "redact"
    outage = CATALOGUE["provider.outage_started"].example
    assert outage["error_rate"] >= outage["threshold"]
    over = CATALOGUE["provider.outage_resolved"].example
    assert over["error_rate"] < over["resolve_threshold"]


@pytest.mark.parametrize("found", CATALOGUE.values(), ids=CATALOGUE)
def test_a_schema_refuses_what_is_none(found):
    """So that the tests beside this one show something."""
    wrong = dict.fromkeys(found.example, object())
    assert len(list(checked(found).iter_errors(wrong))) >= len(found.example)
    assert not checked(found).is_valid({})
    assert not checked(found).is_valid([])


def test_every_recorded_event_keeps_to_its_types_schema():
    seen = set()
    for line in SAMPLES.read_text().splitlines():
        event = json.loads(line)
        found = CATALOGUE[event["type"]]
        checked(found).validate(event["data"])
        assert event["data"].keys() <= found.schema["properties"].keys()
        seen.add(event["type"])
    assert seen == {"request.completed", "request.failed", "policy.violation_blocked"}


def test_every_field_is_used_and_prompts_are_in_none():
    used = {name for each in CATALOGUE.values() for name in each.schema["properties"]}
    assert used == {name for each in CATALOGUE.values() for name in each.example}
    assert used == set(FIELDS)
    assert not used & {"prompt", "messages", "input", "output", "content", "answer"}


def test_a_page_goes_on_where_the_last_one_ended():
    whole = [each.type for each in event_types.page(after=None, limit=1_000)]
    assert whole == sorted(CATALOGUE)
    assert [each.type for each in event_types.page(after=whole[1], limit=2)] == whole[
        2:4
    ]
    keys = event_types.page(after=None, limit=9, group="key")
    assert {each.group for each in keys} == {"key"}
    assert event_types.page(after=None, limit=9, group="ke") == []


def test_what_the_catalogue_lacks_is_not_found():
    with pytest.raises(NotFound, match=r"no event type 'a\.b'"):
        event_types.find("a.b")


def test_what_this_service_sends_is_told_from_what_gateways_send():
    own = {each.type for each in CATALOGUE.values() if each.sender == Sender.SERVICE}
    groups = {each.partition(".")[0] for each in own}
    assert groups >= {"budget", "endpoint", "delivery", "provider", "latency", "route"}
    assert not groups & {"request", "key"}
