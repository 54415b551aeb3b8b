"""What a real LiteLLM proxy handed to a callback, replayed through ours."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace

import pytest
import redis
from jsonschema import Draft202012Validator

from ascwebhooks.client import Publisher
from ascwebhooks.domain.event_types import CATALOGUE
from ascwebhooks.integrations.litellm import Callback, Terms, from_environment
from ascwebhooks.services.sealing import Sealing
from tests.integration import recorded_litellm as recorded
from tests.integration.private import everything

TENANTS = ("northwind", "contoso-health", "unattributed")


@pytest.fixture
def callback(redis_url):
    made = Callback(redis_url)
    yield made
    made.close()


@pytest.fixture
def published(redis_url, callback):
    """Returns the events on the stream so far, in the order they were published."""

    def read() -> list[dict]:
        assert callback._publisher.flush(10)
        with redis.Redis.from_url(redis_url) as client:
            found = client.xrange("asc:events")
        return [json.loads(fields[b"event"]) for _, fields in found]

    return read


def test_the_recorded_calls_become_the_events_that_were_expected_of_them(
    callback, published
):
    """Each field of those 254 is the same.  Ours may have more fields, and ids of
    failures that also name the deployment: two of them may fail for one call.
    """
    recorded.replay(callback)
    expected = recorded.expected()

    found = {
        each["id"]: each
        for each in published()
        if each["type"].startswith("request.")
        or each["type"] == "policy.violation_blocked"
    }

    assert len(found) == len(expected) == 254
    for event in found.values():
        if ":failure:" in event["id"]:
            event["id"] = event["id"].rpartition(":")[0]
        known = expected.pop(event["id"])
        # "unattributed/None" was nobody's team.
        known["subject"] = known["subject"].removesuffix("/None")
        scope = known["data"].pop("scope")
        assert scope.items() <= event["data"].pop("scope").items()
        data = known.pop("data")
        assert data.items() <= event.pop("data").items()
        assert known == event


def test_every_call_is_accounted_for_once(callback, published):
    """A fallback is a failure and a success of one call, and one call all the same."""
    recorded.replay(callback)
    found = published()

    ends = Counter(
        {
            each["data"]["trace_id"]: each["type"]
            for each in found
            if each["type"] in ("request.failed", "policy.violation_blocked")
        }
        | {
            each["data"]["trace_id"]: each["type"]
            for each in found
            if each["type"] == "request.completed"
        }
    )
    assert len(ends) == recorded.CALLS
    assert Counter(each["type"] for each in found) == {
        "request.completed": 202,
        "request.failed": 39,
        "policy.violation_blocked": 13,
        "policy.content_redacted": 7,
        "route.fallback_triggered": 14,
    }
    assert len({each["id"] for each in found}) == len(found)


def test_spend_is_equal_to_the_last_digit(callback, published):
    recorded.replay(callback)

    told = [each["data"]["cost"] for each in published() if "cost" in each["data"]]

    assert len(told) == 254, "one for each record, none for what guardrails did"
    total = sum((Decimal(each["amount"]) for each in told), Decimal())
    assert total == recorded.spend(recorded.payloads())
    assert total == Decimal("0.0019686499999999999996"), "a float's digits, all of them"


def schema_problems(events: list[dict]) -> list[str]:
    """Return what of events is not as the catalogue describes their types."""
    return [
        f"{each['type']}: {problem.message}"
        for each in events
        for problem in Draft202012Validator(CATALOGUE[each["type"]].schema).iter_errors(
            each["data"]
        )
    ]


def test_all_of_them_are_as_the_catalogue_describes_their_types(callback, published):
    """Also of records that say next to nothing."""
    recorded.replay(callback)
    bare = [
        {"status": "success"},
        {"status": "failure"},
        {
            "status": "failure",
            "error_information": {"normalized_error": "403_MODEL_ACCESS_DENIED"},
        },
        {
            "status": "success",
            "guardrail_information": [
                {"guardrail_status": "guardrail_flagged"},
                {"guardrail_status": "guardrail_failed_to_respond"},
            ],
        },
    ]
    for number, each in enumerate(bare):
        payload = {"id": f"bare-{number}", **each}
        callback.log_success_event(
            {"standard_logging_object": payload}, None, None, None
        )

    found = published()

    assert len(found) == 275 + 6
    assert schema_problems(found) == []


def test_a_fallback_says_whose_it_was_and_where_it_went(callback, published):
    """The hook that tells of it may not know whose it is: the failure before did."""
    recorded.replay(callback)
    found = published()

    moved = [each for each in found if each["type"] == "route.fallback_triggered"]
    assert len(moved) == 14
    for each in moved:
        data = each["data"]
        assert (data["from_model"], data["to_model"]) == ("flaky", "copilot")
        assert data["error.type"] == "InternalServerError"
        assert each["tenantid"] in TENANTS[:2]
        assert data["scope"]["team_id"]
    answered = [each for each in found if each["data"].get("fallback_from")]
    assert [each["data"]["fallback_from"] for each in answered] == ["flaky"] * 14
    assert {each["data"]["attempt"] for each in answered} == {2}


def test_time_to_first_token_is_told_of_streams_alone(callback, published):
    streams = {
        each["id"] for each in recorded.payloads() if each["stream"] and each["id"]
    }
    recorded.replay(callback)

    timed = {
        each["id"]
        for each in published()
        if "gen_ai.response.time_to_first_chunk" in each["data"]
    }
    assert timed == streams
    assert len(timed) == 69


def test_no_prompt_answer_or_text_of_an_error_is_in_the_database(
    make_pipeline, redis_url
):
    """Accepted or rejected, stored or sealed; the rejected are those of a tenant that
    there is not.
    """
    pipeline = make_pipeline()
    for tenant in TENANTS[:2]:
        pipeline.services.tenants.create(tenant)
        pipeline.endpoint(tenant_id=tenant)
    callback = Callback(redis_url)
    recorded.replay(callback)
    callback.close(10)

    entries = pipeline.redis.xrange("asc:events")
    pipeline.accept(*(fields[b"event"] for _, fields in entries))

    assert pipeline.one("SELECT count(*) FROM event") == 275 - 4
    assert pipeline.one("SELECT count(*) FROM rejected_event") == 4
    found = everything(
        pipeline.engine, Sealing(pipeline.uow, pipeline.parts.ring, os.urandom)
    )
    assert b"chatcmpl-210c1cd3" in found, "what is there would be found"
    assert b'"gen_ai.usage.input_tokens"' in found, "and what is sealed, too"
    assert list(recorded.leaks(found)) == []


def test_what_is_no_record_is_counted_and_never_raised(callback, published, caplog):
    class Hostile(dict):
        def get(self, *_):
            raise RuntimeError("my ssn is 123-45-6789")

    bad = [
        None,
        {},
        {"standard_logging_object": None},
        {"standard_logging_object": {"id": "x", "status": "odd"}},
        {"standard_logging_object": {"status": "success"}},
        {"standard_logging_object": Hostile()},
    ]
    with caplog.at_level(logging.WARNING):
        for each in bad:
            callback.log_success_event(each, None, None, None)
            recorded.run(callback.async_log_failure_event(each, None, None, None))
        recorded.run(callback.log_success_fallback_event(None, None, None))
        recorded.run(callback.async_post_call_failure_hook(None, None, None))

    assert published() == []
    assert callback.failed == 10
    assert "123-45" not in caplog.text


def test_a_gateway_does_not_wait_for_a_redis_that_is_away():
    callback = Callback(publisher=Publisher("redis://127.0.0.1:1/0", buffer_events=100))

    recorded.replay(callback)

    stats = callback._publisher.stats
    assert (stats.buffered, stats.dropped) == (100, 275 - 100)
    callback.close(0)


class Guardrail:
    """A guardrail of somebody's own, which tells LiteLLM nothing."""

    def __init__(self, error: Exception) -> None:
        self.guardrail_name = "own-rules"
        self.error = error

    def async_pre_call_hook(self) -> None:
        raise self.error


class HttpError(Exception):
    status_code = 400


def raised(error: Exception) -> Exception:
    try:
        Guardrail(error).async_pre_call_hook()
    except type(error) as caught:
        return caught
    raise AssertionError


def failure(**changes) -> dict:
    """Return a failure of a call to a model, with some of it changed."""
    found = next(
        each for each in recorded.payloads() if each["model_group"] == "throttled"
    )
    error = found["error_information"] | changes.pop("error_information", {})
    return found | {"error_information": error, "guardrail_information": None} | changes


@pytest.mark.parametrize(
    ("error", "types"),
    [
        pytest.param(HttpError(), ["policy.violation_blocked"], id="refuses"),
        pytest.param(
            KeyError("x"), ["request.failed", "policy.guardrail_failed"], id="breaks"
        ),
    ],
)
def test_a_guardrail_that_raises_is_known_by_where_it_raised(
    callback, published, error, types
):
    """LiteLLM's record says "not_run" of it."""
    payload = failure(status_fields={"guardrail_status": "not_run"})
    kwargs = {"standard_logging_object": payload, "exception": raised(error)}

    callback.log_failure_event(kwargs, None, None, None)

    found = published()
    assert [each["type"] for each in found] == types
    assert found[-1]["data"]["guardrail_name"] == "own-rules"


def test_what_only_the_hook_tells_is_told_once(callback, published):
    """Of an error that LiteLLM does not expect it keeps no record, or a late one."""
    request = {"litellm_call_id": "call-1", "model": "copilot", "user": "a@example.com"}
    key = SimpleNamespace(team_id="labs", org_id="contoso", api_key="sk-plain")
    error = raised(ValueError("my ssn is 123-45-6789"))

    recorded.run(callback.async_post_call_failure_hook(request, error, key))
    callback.log_failure_event(
        {"standard_logging_object": failure(litellm_call_id="call-1")}, None, None, None
    )

    (event,) = published()
    assert event["type"] == "policy.violation_blocked"
    assert event["data"]["policy_id"] == "own-rules"
    assert event["tenantid"] == "contoso"
    assert event["data"]["scope"]["end_user_id"].startswith("sha256:")
    assert event["data"]["scope"]["key_id"].startswith("sha256:")
    assert "123-45" not in json.dumps(event)


def test_when_no_other_model_answers_that_is_told_once(callback, published):
    """Each hop that fails is told to us; only the call's end says it was the last."""
    kwargs = {
        "litellm_call_id": "call-1",
        "metadata": {"user_api_key_org_id": "acme", "attempted_fallbacks": 2},
        "model": "third",
    }
    for model in ("second", "third"):
        hop = {**kwargs, "model": model}
        recorded.run(callback.log_failure_fallback_event("first", hop, KeyError()))
    assert published() == []
    payload = failure(litellm_call_id="call-1", id="call-1")
    callback.log_failure_event({"standard_logging_object": payload}, None, None, None)
    request = {"litellm_call_id": "call-1", "model": "first"}
    key = SimpleNamespace(org_id="acme")
    recorded.run(callback.async_post_call_failure_hook(request, KeyError(), key))

    assert [each["type"] for each in published()] == [
        "request.failed",
        "route.fallback_exhausted",
    ]
    data = published()[-1]["data"]
    assert (data["from_model"], data["to_model"], data["attempts"]) == (
        "first",
        "third",
        2,
    )


@pytest.mark.parametrize(
    ("error", "type"),
    [
        pytest.param(
            {"error_class": "BudgetExceededError"}
            | {"normalized_error": "429_BUDGET_EXCEEDED"},
            "request.blocked",
            id="LiteLLM's own budget",
        ),
        pytest.param(
            {"error_rate_limit_category": "litellm_rate_limit"},
            "request.blocked",
            id="LiteLLM's own rate limit",
        ),
        pytest.param(
            {"error_rate_limit_category": "vendor_rate_limit"},
            "request.failed",
            id="the provider's rate limit",
        ),
        pytest.param(
            {"normalized_error": "403_MODEL_ACCESS_DENIED"},
            "model.access_denied",
            id="a model that the key may not use",
        ),
        pytest.param(
            {"error_class": "GuardrailRaisedException"},
            "policy.violation_blocked",
            id="a guardrail's own error",
        ),
    ],
)
def test_errors_are_told_apart(callback, published, error, type):
    payload = failure(error_information=error)

    callback.log_failure_event({"standard_logging_object": payload}, None, None, None)

    (event,) = published()
    assert event["type"] == type


@pytest.mark.parametrize(
    ("terms", "tenant"),
    [
        pytest.param(Terms(), "contoso-health", id="organisation"),
        pytest.param(Terms(tenant_by="team"), "labs", id="team"),
        pytest.param(Terms(tenant="acme"), "acme", id="fixed"),
        pytest.param(
            Terms(tenants={"contoso-health": "contoso"}), "contoso", id="renamed"
        ),
    ],
)
def test_the_tenant_is_whom_the_terms_say(redis_url, terms, tenant):
    callback = Callback(redis_url, terms=terms)
    payload = failure()
    callback.log_failure_event({"standard_logging_object": payload}, None, None, None)
    callback.close(10)

    with redis.Redis.from_url(redis_url) as client:
        ((_, fields),) = client.xrange("asc:events")
    assert json.loads(fields[b"event"])["tenantid"] == tenant


def test_the_environment_says_it_all(redis_url):
    made = from_environment(
        {
            "ASCWEBHOOKS_REDIS_URL": redis_url,
            "ASCWEBHOOKS_LITELLM_TENANT_BY": "team",
            "ASCWEBHOOKS_LITELLM_SOURCE": "/gateways/eu",
            "ASCWEBHOOKS_STREAM": "other",
        }
    )
    made.log_failure_event({"standard_logging_object": failure()}, None, None, None)
    made.close(10)

    with redis.Redis.from_url(redis_url) as client:
        ((_, fields),) = client.xrange("other")
    event = json.loads(fields[b"event"])
    assert (event["tenantid"], event["source"]) == ("labs", "/gateways/eu")
    with pytest.raises(ValueError, match="ASCWEBHOOKS_REDIS_URL"):
        from_environment({})
    with pytest.raises(ValueError, match="tenant_by"):
        from_environment(
            {"ASCWEBHOOKS_REDIS_URL": "redis://x", "ASCWEBHOOKS_LITELLM_TENANT_BY": "x"}
        )
